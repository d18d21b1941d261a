import Buffers
import Glibc
import TestSupport
import Testing

@testable import MuntinGuest

/// Zeros, of a stable place.
private final class Memory {
  let bytes: UnsafeMutableRawBufferPointer

  init(_ byteCount: Int) {
    bytes = .allocate(byteCount: byteCount, alignment: 8)
    bytes.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { bytes.deallocate() }
}

@Suite struct PictureTests {
  private func noise(_ size: Size, _ format: PixelFormat, seed: UInt64 = 1) throws -> Pixels {
    var random = SplitMix(seed: seed)
    let bytes = (0..<Int(size.width * size.height * 4)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    return try #require(Pixels(size: size, format: format, bytes: bytes))
  }

  @Test(arguments: PixelFormat.known)
  func aPixelOfThePatternSaysItsPlaceAndItsFrame(format: PixelFormat) throws {
    let layout = try #require(
      PixelLayout(size: Size(width: 300, height: 270), format: format, stride: 1280, offset: 64))
    var bytes = [UInt8](repeating: 0, count: layout.byteCount)
    bytes.withUnsafeMutableBytes { Pattern.draw(5, into: $0, layout) }
    let order = ColourOrder(format)
    for (x, y) in [(UInt32(0), UInt32(0)), (299, 269), (255, 256), (256, 255)] {
      let start = layout.byteOffset(x: x, y: y)
      #expect(bytes[start + order.red] == UInt8(x & 255))
      #expect(bytes[start + order.green] == UInt8(y & 255))
      #expect(bytes[start + order.blue] == UInt8((16 * (x / 256) + y / 256 + 185) & 255))
    }
    #expect(bytes[..<64].allSatisfy { $0 == 0 }, "nothing before the picture is touched")
  }

  @Test func aPatternStandsStillAfterItsFrames() throws {
    let layout = try #require(PixelLayout(size: Size(width: 8, height: 8), format: .xrgb8888))
    var drawing = FrameDrawing(.pattern(frames: 2), layout)
    let memory = Memory(layout.byteCount)
    #expect(try drawing.draw(into: memory.bytes) == Rectangle(layout.size))
    #expect(try drawing.draw(into: memory.bytes) != nil)
    #expect(try drawing.draw(into: memory.bytes) == nil)
    drawing.startAgain()
    #expect(try drawing.draw(into: memory.bytes) != nil, "new memory gets the last frame")
    #expect(try drawing.draw(into: memory.bytes) == nil)
  }

  @Test(arguments: PixelFormat.known)
  func aPNGFileKeepsThePixelsOfEveryFormat(format: PixelFormat) throws {
    let folder = try ScratchFolder()
    let file = PictureFile.png("\(folder.path)/picture.png")
    let picture = try noise(Size(width: 13, height: 7), format)
    try file.write(picture)
    let read = try file.read(picture.size, format)
    guard !format.hasAlpha else {
      #expect(read == picture)
      return
    }
    let order = ColourOrder(format)
    for start in stride(from: 0, to: picture.bytes.count, by: 4) {
      for byte in [order.red, order.green, order.blue] {
        #expect(read.bytes[start + byte] == picture.bytes[start + byte])
      }
    }
  }

  @Test func aRawFileHasExactlyThePicturesBytes() throws {
    let folder = try ScratchFolder()
    let file = PictureFile.raw("\(folder.path)/picture")
    let picture = try noise(Size(width: 5, height: 4), .xrgb8888)
    try file.write(picture)
    #expect(try file.read(picture.size, picture.format) == picture)
    #expect(throws: GuestError.picture(path: file.path, reason: "more than the 64 bytes of 4x4 pixels of 4 bytes")) {
      try file.read(Size(width: 4, height: 4), .xrgb8888)
    }
    #expect(throws: GuestError.picture(path: file.path, reason: "only 80 of the 100 bytes of 5x5 pixels of 4 bytes")) {
      try file.read(Size(width: 5, height: 5), .xrgb8888)
    }
  }

  @Test func aFileThatChangedDamagesWhatDiffers() throws {
    let folder = try ScratchFolder()
    let file = PictureFile.raw("\(folder.path)/picture")
    var picture = try noise(Size(width: 16, height: 16), .xrgb8888)
    let layout = try #require(PixelLayout(size: Size(width: 16, height: 16), format: .xrgb8888, stride: 80, offset: 8))
    var drawing = FrameDrawing(.file(file), layout)
    let memory = Memory(layout.byteCount)
    try file.write(picture)
    #expect(try drawing.draw(into: memory.bytes) == Rectangle(x: 0, y: 0, width: 16, height: 16))
    #expect(try drawing.draw(into: memory.bytes) == nil)
    picture.bytes[4 * (16 * 3 + 2)] ^= 1
    picture.bytes[4 * (16 * 5 + 9) + 3] ^= 1
    try file.write(picture)
    #expect(try drawing.draw(into: memory.bytes) == Rectangle(x: 2, y: 3, width: 8, height: 3))
    #expect(Pixels(copying: UnsafeRawBufferPointer(memory.bytes), layout) == picture)
    try file.write(try noise(Size(width: 16, height: 15), .xrgb8888))
    #expect(try drawing.draw(into: memory.bytes) == nil, "a file that is half written is read later")
  }

  @Test func anImageThatWasNotDrawnForAWhileIsBroughtUpToDate() throws {
    let folder = try ScratchFolder()
    let file = PictureFile.raw("\(folder.path)/picture")
    var picture = try noise(Size(width: 16, height: 16), .xrgb8888)
    let layout = try #require(PixelLayout(size: Size(width: 16, height: 16), format: .xrgb8888))
    var drawing = FrameDrawing(.file(file), layout, images: 3)
    let images = (0..<3).map { _ in Memory(layout.byteCount) }
    for (frame, image) in [0, 1, 0, 0, 2, 1].enumerated() {
      picture.bytes[4 * (16 * frame + 2)] ^= 1
      try file.write(picture)
      let damage = try drawing.draw(into: images[image].bytes, image: image)
      let new = Rectangle(x: 2, y: UInt32(frame), width: 1, height: 1)
      #expect(damage == (frame == 0 ? Rectangle(layout.size) : new), "since the frame before, whatever the image shows")
      #expect(Pixels(copying: UnsafeRawBufferPointer(images[image].bytes), layout) == picture)
    }
  }

  @Test func aFileThatCannotBeReadIsNamed() throws {
    let layout = try #require(PixelLayout(size: Size(width: 8, height: 8), format: .xrgb8888))
    var drawing = FrameDrawing(.file(.png("/nothing/here.png")), layout)
    let memory = Memory(layout.byteCount)
    #expect { try drawing.draw(into: memory.bytes) } throws: { "\($0)".hasPrefix("/nothing/here.png: ") }
  }
}
