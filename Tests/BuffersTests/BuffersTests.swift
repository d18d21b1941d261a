import Glibc
import Platform
import Testing

@testable import Buffers

@Suite struct BufferIDTests {
  @Test func `a random id is a version 4 UUID`() {
    let text = Array(BufferID.random().description)
    #expect(text.count == 36)
    #expect(text[14] == "4")
    #expect("89ab".contains(text[19]))
  }

  @Test func `text and bytes give the same id back`() throws {
    let id = BufferID.random()
    #expect(BufferID(id.description) == id)
    var bytes = [UInt8](repeating: 0, count: 16)
    bytes.withUnsafeMutableBytes { id.store(into: $0) }
    #expect(bytes.withUnsafeBytes { BufferID(bytes: $0) } == id)
    #expect(id.description.hasPrefix(String(bytes[0], radix: 16).count == 1 ? "0" : String(bytes[0], radix: 16)))
  }

  @Test(arguments: [
    "", "0-0-0-0-0", "g0000000-0000-0000-0000-000000000000", "+0000000-0000-0000-0000-000000000000",
    "00000000-0000-0000-0000-0000000000000",
  ])
  func `text that is no UUID is refused`(text: String) {
    #expect(BufferID(text) == nil)
  }
}

@Suite struct RectangleTests {
  let whole = Rectangle(x: 0, y: 0, width: 100, height: 60)

  @Test func `edges past 32 bits do not wrap`() {
    let wide = Rectangle(x: 1, y: 0, width: .max, height: 1)
    #expect(wide.maxX == 1 << 32)
    #expect(!wide.fits(in: Size(width: 100, height: 60)))
    #expect(wide.intersection(whole) == Rectangle(x: 1, y: 0, width: 99, height: 1))
  }

  @Test func `rectangles apart have no intersection`() {
    #expect(whole.intersection(Rectangle(x: 100, y: 0, width: 1, height: 1)) == .empty)
  }

  @Test func `a union is the smallest around both and forgets the empty`() {
    let a = Rectangle(x: 10, y: 10, width: 5, height: 5)
    #expect(a.union(Rectangle(x: 20, y: 0, width: 1, height: 1)) == Rectangle(x: 10, y: 0, width: 11, height: 15))
    #expect(a.union(.empty) == a)
    #expect(Rectangle.empty.union(a) == a)
  }

  @Test(arguments: [
    "1280x800": true, "0x5": false, "5x0": false, "5": false, "-1x5": false, "+1x5": false, "5x5x5": false,
  ])
  func `a size is read from text or refused`(text: String, valid: Bool) {
    #expect((Size(text) != nil) == valid)
  }
}

@Suite struct PixelLayoutTests {
  @Test func `rows follow each other without a gap unless told otherwise`() throws {
    let layout = try #require(PixelLayout(size: Size(width: 100, height: 60), format: .xrgb8888))
    #expect(layout.stride == 400)
    #expect(layout.byteCount == 24_000)
    #expect(layout.byteOffset(x: 3, y: 2) == 812)
  }

  @Test func `the last row needs no padding`() throws {
    let layout = try #require(PixelLayout(size: Size(width: 1, height: 2), format: .xrgb8888, stride: 64, offset: 10))
    #expect(layout.byteCount == 78)
  }

  @Test func `numbers that disagree are refused`() {
    let size = Size(width: 100, height: 60)
    #expect(PixelLayout(size: size, format: .xrgb8888, stride: 399) == nil)
    #expect(PixelLayout(size: size, format: PixelFormat(rawValue: 0x3231_564e)) == nil)
    #expect(PixelLayout(size: Size(width: 0x4000_0001, height: 1), format: .xrgb8888) == nil)
    #expect(PixelLayout(size: Size(width: 0, height: 1), format: .xrgb8888) == nil)
    #expect(PixelLayout(size: size, format: .xrgb8888, offset: .max) == nil)
  }

  @Test func `a fourcc reads as its characters`() {
    #expect(PixelFormat.xrgb8888.description == "XR24")
    #expect(PixelFormat.xrgb8888.rawValue == 0x3432_5258)
  }
}

@Suite struct HostBufferTests {
  private func layout(_ width: UInt32, _ height: UInt32) throws -> PixelLayout {
    try #require(PixelLayout(size: Size(width: width, height: height), format: .xrgb8888))
  }

  @Test func `a new buffer is zero and whole pages`() throws {
    let buffer = try HostBuffer(layout: layout(33, 33))
    #expect(buffer.byteCount == 8192)
    #expect(buffer.bytes.allSatisfy { $0 == 0 })
  }

  @Test func `a consumer sees what the owner writes but cannot write`() throws {
    let buffer = try HostBuffer(layout: layout(16, 16))
    let descriptor = try buffer.readOnlyDescriptor()
    let seen = try ReadOnlyBuffer(id: buffer.id, layout: buffer.layout, descriptor: descriptor.raw)
    buffer.bytes[5] = 42
    #expect(seen.bytes[5] == 42)
    #expect(throws: SystemError.self) {
      _ = try MemoryMapping(descriptor: descriptor.raw, count: 4096, access: .readWrite)
    }
  }

  @Test func `a file shorter than its picture is refused`() throws {
    let file = try SharedMemory.create(name: "test", count: 4096)
    let layout = try layout(64, 64)
    #expect(throws: ReadOnlyBuffer.Refusal.tooShort(byteCount: 4096, needed: 16384)) {
      _ = try ReadOnlyBuffer(id: .random(), layout: layout, descriptor: file.raw)
    }
  }
}
