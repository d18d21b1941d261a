import Glibc
import Platform
import Testing

@Suite("memory that a peer takes away")
struct MemoryFaultTests {
  /// A memory file without seals, as a hostile peer makes it.
  private func unsealedFile(pages: Int) throws -> FileDescriptor {
    var path = Array("/tmp/muntin-fault-XXXXXX".utf8CString)
    let raw = mkstemp(&path)
    try #require(raw >= 0)
    unlink(path)
    try #require(ftruncate(raw, pages * SharedMemory.pageSize) == 0)
    return FileDescriptor(adopting: raw)
  }

  @Test("a truncated file reads as zeros and rings the bell")
  func truncated() throws {
    let file = try unsealedFile(pages: 4)
    let bell = try Doorbell()
    let mapping = try MemoryMapping(descriptor: file.raw, count: 4 * SharedMemory.pageSize, access: .readWrite)
    let guardian = try FaultGuard(mapping, bell: bell)
    mapping.base.storeBytes(of: 7, as: UInt8.self)
    #expect(!guardian.hasFaulted)
    #expect(ftruncate(file.raw, 0) == 0)

    #expect(mapping.base.load(fromByteOffset: SharedMemory.pageSize, as: UInt8.self) == 0)
    #expect(guardian.hasFaulted)
    #expect(bell.drain())
    mapping.base.storeBytes(of: 9, toByteOffset: 3 * SharedMemory.pageSize, as: UInt8.self)
    #expect(mapping.base.load(fromByteOffset: 3 * SharedMemory.pageSize, as: UInt8.self) == 9)
  }

  @Test("a fault is counted for its own mapping only")
  func ownMapping() throws {
    let bell = try Doorbell()
    let first = try unsealedFile(pages: 1)
    let second = try unsealedFile(pages: 1)
    let kept = try MemoryMapping(descriptor: first.raw, count: SharedMemory.pageSize, access: .readWrite)
    let lost = try MemoryMapping(descriptor: second.raw, count: SharedMemory.pageSize, access: .readWrite)
    let guards = (try FaultGuard(kept, bell: bell), try FaultGuard(lost, bell: bell))
    kept.base.storeBytes(of: 5, as: UInt8.self)
    #expect(ftruncate(second.raw, 0) == 0)

    #expect(lost.base.load(as: UInt8.self) == 0)
    #expect(guards.1.hasFaulted && !guards.0.hasFaulted)
    #expect(kept.base.load(as: UInt8.self) == 5)
  }

  @Test("guards are free again when they go")
  func reuse() throws {
    let file = try unsealedFile(pages: 1)
    let bell = try Doorbell()
    let mapping = try MemoryMapping(descriptor: file.raw, count: SharedMemory.pageSize, access: .readOnly)
    for _ in 0..<5000 { _ = try FaultGuard(mapping, bell: bell) }
  }
}
