import Glibc
import TestSupport
import Testing

@testable import Platform

@Suite struct MemoryTests {
  @Test func `shared memory is zero and sealed against any change of size`() throws {
    let file = try SharedMemory.create(name: "test", count: 8192)
    #expect(SharedMemory.isSealedAgainstResize(file.raw))
    #expect(ftruncate(file.raw, 0) == -1 && errno == EPERM)
    #expect(ftruncate(file.raw, 16384) == -1 && errno == EPERM)
    let mapping = try MemoryMapping(descriptor: file.raw, count: 8192, access: .readOnly)
    #expect(mapping.bytes.allSatisfy { $0 == 0 })
  }

  @Test func `two mappings see the same bytes`() throws {
    let file = try SharedMemory.create(name: "test", count: 4096)
    let writer = try MemoryMapping(descriptor: file.raw, count: 4096, access: .readWrite)
    let reader = try MemoryMapping(descriptor: file.raw, count: 4096, access: .readOnly)
    writer.mutableBytes[17] = 99
    #expect(reader.bytes[17] == 99)
  }

  @Test func `a descriptor reopened for reading cannot be mapped writable`() throws {
    let file = try SharedMemory.create(name: "test", count: 4096)
    let readOnly = try SharedMemory.reopenReadOnly(file.raw)
    #expect(throws: SystemError(call: "mmap", code: EACCES)) {
      _ = try MemoryMapping(descriptor: readOnly.raw, count: 4096, access: .readWrite)
    }
    _ = try MemoryMapping(descriptor: readOnly.raw, count: 4096, access: .readOnly)
  }

  @Test func `an ordinary file counts as not sealed`() throws {
    let folder = try ScratchFolder()
    let path = "\(folder.path)/socket"
    let file = FileDescriptor(adopting: open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600))
    #expect(!SharedMemory.isSealedAgainstShrinking(file.raw))
  }

  @Test func `a descriptor is closed when its owner goes`() throws {
    let ends = try UnixSocket.pair(.stream).take()
    do { _ = FileDescriptor(adopting: ends.0) }
    var bytes: [UInt8] = [0]
    var descriptors: [Int32] = []
    let received = try bytes.withUnsafeMutableBytes {
      try UnixSocket.receive(ends.1, into: $0, descriptors: &descriptors)
    }
    #expect(received == .closed)
    closeAll([ends.1])
  }

  @Test func `an empty mapping is refused`() throws {
    let file = try SharedMemory.create(name: "test", count: 4096)
    #expect(throws: SystemError(call: "mmap", code: EINVAL)) {
      _ = try MemoryMapping(descriptor: file.raw, count: 0, access: .readOnly)
    }
  }
}
