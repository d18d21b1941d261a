import Glibc
import TestSupport
import Testing

@testable import Platform

@Suite struct MemoryTests {
  @Test func `shared memory is zero, has the size asked for, and may be shared`() throws {
    let file = try SharedMemory.create(name: "test", count: 8192)
    #expect(try SharedMemory.size(of: file.raw) == 8192)
    #expect(SharedMemory.mayBeShared(file.raw))
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
    let file = try SharedMemoryFile(name: "test", count: 4096)
    let readOnly = try file.readOnly()
    #expect(throws: SystemError(call: "mmap", code: EACCES)) {
      _ = try MemoryMapping(descriptor: readOnly.raw, count: 4096, access: .readWrite)
    }
    _ = try MemoryMapping(descriptor: readOnly.raw, count: 4096, access: .readOnly)
  }

  @Test func `the holder of a read-only descriptor cannot change the file's size`() throws {
    let file = try SharedMemoryFile(name: "test", count: 4096)
    let readOnly = try file.readOnly()
    #expect(ftruncate(readOnly.raw, 0) == -1)
    #expect(ftruncate(readOnly.raw, 8192) == -1)
    #expect(try SharedMemory.size(of: file.writable.raw) == 4096)
  }

  @Test func `a read-only descriptor outlives the file's owner`() throws {
    let file = try SharedMemoryFile(name: "test", count: 4096)
    let readOnly = try file.readOnly()
    try put(7, into: file.writable.raw)
    closeAll([file.takeWritable().release()])
    #expect(try firstByte(of: readOnly.raw) == 7)
  }

  @Test func `a name with strange characters is taken, and two files may have the same`() throws {
    for name in ["a/b", "", String(repeating: "long name ", count: 20)] {
      let first = try SharedMemory.create(name: name, count: 4096)
      let second = try SharedMemory.create(name: name, count: 4096)
      try put(1, into: first.raw)
      #expect(try firstByte(of: first.raw) == 1)
      #expect(try firstByte(of: second.raw) == 0)
    }
  }

  @Test func `what is no file may not be shared`() throws {
    let pair = try UnixSocket.pair(.stream)
    let bell = try Doorbell()
    for raw in [pair.first.raw, bell.ringing.raw, bell.waiting.raw] {
      #expect(!SharedMemory.mayBeShared(raw))
      #expect(SharedMemory.readerSafety(of: raw) == nil)
    }
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

/// Writes the first byte of a memory file.
func put(_ byte: UInt8, into raw: Int32) throws {
  let mapping = try MemoryMapping(descriptor: raw, count: 4096, access: .readWrite)
  withExtendedLifetime(mapping) { mapping.mutableBytes[0] = byte }
}

/// Reads the first byte of a memory file.
func firstByte(of raw: Int32) throws -> UInt8 {
  let mapping = try MemoryMapping(descriptor: raw, count: 4096, access: .readOnly)
  return withExtendedLifetime(mapping) { mapping.bytes[0] }
}
