import Glibc
import Platform
import Testing

@testable import Buffers

@Suite struct GuardTests {
  @Test func `a picture whose owner takes the memory away reads as zeros, and says so`() throws {
    let layout = try #require(PixelLayout(size: Size(width: 64, height: 64), format: .xrgb8888))
    let file = try SharedMemoryFile(name: "test", count: layout.byteCount)
    let view = try file.readOnly()
    let picture = try ReadOnlyBuffer(id: .random(), layout: layout, descriptor: view.raw)
    let own = try MemoryMapping(descriptor: file.writable.raw, count: layout.byteCount, access: .readWrite)
    withExtendedLifetime(own) { own.mutableBytes[0] = 9 }
    #expect(picture.bytes[0] == 9 && !picture.isLost)
    #expect(ftruncate(file.writable.raw, 0) == 0)
    #expect(picture.bytes.allSatisfy { $0 == 0 })
    #expect(picture.isLost)
  }

  @Test func `what is no file is refused`() throws {
    let layout = try #require(PixelLayout(size: Size(width: 16, height: 16), format: .xrgb8888))
    let pair = try UnixSocket.pair(.stream)
    #expect(throws: ReadOnlyBuffer.Refusal.notSealed) {
      _ = try ReadOnlyBuffer(id: .random(), layout: layout, descriptor: pair.first.raw)
    }
  }
}
