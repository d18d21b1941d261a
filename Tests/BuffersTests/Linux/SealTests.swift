import Glibc
import Platform
import Testing

@testable import Buffers

@Suite struct SealTests {
  @Test func `a file that can shrink is refused`() throws {
    let directory = "/tmp/muntin-buffers-\(getpid())"
    let file = FileDescriptor(adopting: open(directory, O_CREAT | O_RDWR | O_CLOEXEC, 0o600))
    unlink(directory)
    #expect(ftruncate(file.raw, 4096) == 0)
    let layout = try #require(PixelLayout(size: Size(width: 16, height: 16), format: .xrgb8888))
    #expect(throws: ReadOnlyBuffer.Refusal.notSealed) {
      _ = try ReadOnlyBuffer(id: .random(), layout: layout, descriptor: file.raw)
    }
  }
}
