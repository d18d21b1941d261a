import Buffers
import Glibc
import Platform
import TestSupport
import Testing

@testable import HubProtocol

extension HostilePeerTests {
  @Test func `a file that can shrink is refused`() throws {
    let directory = try ScratchFolder()
    let path = directory.path + "/hub.sock"
    let raw = open(path, O_RDWR | O_CREAT, 0o600)
    try #require(raw >= 0 && ftruncate(raw, 1 << 20) == 0)
    let file = FileDescriptor(adopting: raw)
    #expect(try offer(file.raw)?.code == .badBuffer)
  }

  @Test func `a memory file that is not sealed is refused`() throws {
    let raw = try #require(unsealedMemoryFile(count: 1 << 20))
    let file = FileDescriptor(adopting: raw)
    let reader = try SharedMemory.reopenReadOnly(file.raw)
    #expect(try offer(reader.raw)?.code == .badBuffer)
  }
}

/// A memory file without seals (the project's own always have them).
private func unsealedMemoryFile(count: Int) -> Int32? {
  typealias Create = @convention(c) (UnsafePointer<CChar>, UInt32) -> Int32
  guard let symbol = dlsym(nil, "memfd_create") else { return nil }
  let raw = unsafeBitCast(symbol, to: Create.self)("unsealed", 3)
  return ftruncate(raw, count) == 0 ? raw : nil
}
