import Buffers
import CPNG
import Compositor
import Glibc
import TestSupport
import Testing

@Suite("PNG files")
struct PNGFileTests {
  /// Reads a file as rows of R, G, B.
  private func read(_ path: String) throws -> (width: UInt32, height: UInt32, bytes: [UInt8]) {
    var image = png_image()
    image.version = png_uint_32(PNG_IMAGE_VERSION)
    try #require(png_image_begin_read_from_file(&image, path) != 0)
    image.format = png_uint_32(PNG_FORMAT_FLAG_COLOR)
    var bytes = [UInt8](repeating: 0, count: Int(image.width * image.height) * 3)
    try #require(png_image_finish_read(&image, nil, &bytes, 0, nil) != 0)
    return (image.width, image.height, bytes)
  }

  private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = try ScratchFolder()
    try body(folder.path)
  }

  @Test("hold the pixels, red as red", arguments: [1, 3, 5, 8] as [UInt32])
  func pixels(width: UInt32) throws {
    try withFolder { folder in
      let path = "\(folder)/a.png"
      let size = Size(width: width, height: 3)
      let pixels = (0..<width * 3).map { 0xff10_2030 + $0 }
      try PNGFile.write(path: path, pixels: pixels, size: size)
      let image = try read(path)
      #expect(image.width == width && image.height == 3)
      let expected = pixels.flatMap { [UInt8(0x10), UInt8(0x20), UInt8(truncatingIfNeeded: $0)] }
      #expect(image.bytes == expected)
      #expect(ScratchFolder.names(in: folder) == ["a.png"])
    }
  }

  @Test("are made from any layout")
  func layouts() throws {
    try withFolder { folder in
      let buffer = try TestBuffer(6, 5, format: .rgbx8888, stride: 40, offset: 4096) { x, y in
        0x4050_6000 | x << 24 | y
      }
      let path = "\(folder)/a.png"
      try PNGFile.write(path: path, pixels: buffer.readOnly.bytes, layout: buffer.host.layout)
      #expect(try read(path).bytes.prefix(6) == [0x40, 0x50, 0x60, 0x41, 0x50, 0x60])
    }
  }

  @Test("replace what was there, whole")
  func replaced() throws {
    try withFolder { folder in
      let path = "\(folder)/a.png"
      try PNGFile.write(path: path, pixels: [1, 2, 3, 4], size: Size(width: 2, height: 2))
      try PNGFile.write(path: path, pixels: [0x99], size: Size(width: 1, height: 1))
      #expect(try read(path).bytes == [0, 0, 0x99])
    }
  }

  @Test("that cannot be written are a clear error and leave nothing")
  func errors() throws {
    try withFolder { folder in
      let size = Size(width: 1, height: 1)
      #expect(
        throws: CompositorError.image(path: "\(folder)/no/a.png", reason: "create: No such file or directory")
      ) { try PNGFile.write(path: "\(folder)/no/a.png", pixels: [0], size: size) }
      #expect(throws: CompositorError.self) {
        try PNGFile.write(path: "\(folder)/a.png", pixels: [0], size: Size(width: 2, height: 1))
      }
      mkdir("\(folder)/b.png", 0o755)
      #expect(throws: CompositorError.image(path: "\(folder)/b.png", reason: "rename: Is a directory")) {
        try PNGFile.write(path: "\(folder)/b.png", pixels: [0], size: size)
      }
      #expect(ScratchFolder.names(in: folder) == ["b.png"])
      rmdir("\(folder)/b.png")
    }
  }
}
