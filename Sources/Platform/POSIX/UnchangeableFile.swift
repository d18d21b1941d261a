import Glibc

// Memory files whose contents, too, should not change: POSIX has no way to fix or to know that. Only who holds no
// writable descriptor cannot change them.

extension SharedMemory {
  /// Whether ``isUnchangeable(_:)`` knows; where not, who has checked a file passes on a copy of its own.
  public static let fixesContents = false

  /// Makes a memory file with these contents, for reading only: nobody has a writable descriptor.
  public static func createUnchangeable(
    name: String, contents: UnsafeRawBufferPointer
  ) throws(SystemError) -> FileDescriptor {
    let file = try SharedMemoryFile(name: name, count: contents.count)
    if !contents.isEmpty {
      let mapping = try MemoryMapping(descriptor: file.writable.raw, count: contents.count, access: .readWrite)
      withExtendedLifetime(mapping) { mapping.mutableBytes.copyMemory(from: contents) }
    }
    return try file.readOnly()
  }

  /// Whether the holder of this descriptor cannot change the file; others may.
  public static func isUnchangeable(_ raw: Int32) -> Bool { isMemoryFile(raw) && isReadOnly(raw) }

  /// Fills `room` with the file's first bytes. POSIX reads shared memory by mapping it only, so its owner may take it
  /// away meanwhile.
  public static func read(_ raw: Int32, into room: UnsafeMutableRawBufferPointer) throws(SystemError) {
    guard !room.isEmpty else { return }
    guard try size(of: raw) >= UInt64(room.count) else { throw SystemError(call: "read", code: EIO) }
    let mapping = try MemoryMapping(descriptor: raw, count: room.count, access: .readOnly)
    let guardian = try FaultGuard(mapping)
    room.copyMemory(from: mapping.bytes)
    if guardian.hasFaulted { throw SystemError(call: "read", code: EIO) }
  }
}

// MARK: Pages of other sizes

extension SharedMemory {
  /// Whether any page of the file can be mapped beside pages of other files.
  public static func hasUsualPages(_ raw: Int32) -> Bool { true }
}
