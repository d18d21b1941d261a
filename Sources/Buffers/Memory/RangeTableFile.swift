import Glibc
import Platform

// A range table as a file that nobody can change any more: entries of 24 bytes, little-endian, each u32 memory, u32 0,
// u64 offset, u64 length (Documentation/protocol.md).

extension RangeTable {
  static let entryByteCount = 24

  /// How many bytes its file has.
  public var fileByteCount: Int { ranges.count * Self.entryByteCount }

  /// The table in a memory file that is sealed against every change.
  public func makeFile() throws(SystemError) -> FileDescriptor {
    let count = fileByteCount
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 8)
    defer { bytes.deallocate() }
    for (index, range) in ranges.enumerated() { Self.store(range, in: bytes, at: index * Self.entryByteCount) }
    return try SharedMemory.createUnchangeable(name: "muntin-ranges", contents: UnsafeRawBufferPointer(bytes))
  }

  private static func store(_ range: MemoryRange, in bytes: UnsafeMutableRawBufferPointer, at offset: Int) {
    bytes.storeBytes(of: range.memory.rawValue.littleEndian, toByteOffset: offset, as: UInt32.self)
    bytes.storeBytes(of: 0, toByteOffset: offset + 4, as: UInt32.self)
    bytes.storeBytes(of: range.offset.littleEndian, toByteOffset: offset + 8, as: UInt64.self)
    bytes.storeBytes(of: range.length.littleEndian, toByteOffset: offset + 16, as: UInt64.self)
  }

  /// Reads a table out of a file that another process made. The file is copied first, then looked at.
  public init(file raw: Int32) throws(RangeTableError) {
    guard SharedMemory.isUnchangeable(raw) else { throw .notSealed }
    let bytes = try Self.contents(of: raw)
    defer { bytes.deallocate() }
    try self.init(bytes: UnsafeRawBufferPointer(bytes))
  }

  /// Reads the entries of a table out of private memory.
  public init(bytes: UnsafeRawBufferPointer) throws(RangeTableError) {
    guard bytes.count % Self.entryByteCount == 0 else { throw .badLength(UInt64(bytes.count)) }
    var ranges: [MemoryRange] = []
    ranges.reserveCapacity(bytes.count / Self.entryByteCount)
    for start in stride(from: 0, to: bytes.count, by: Self.entryByteCount) {
      guard let range = Self.load(bytes, at: start) else { throw .badEntry(start / Self.entryByteCount) }
      ranges.append(range)
    }
    try self.init(checking: ranges)
  }

  private static func load(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> MemoryRange? {
    func word(_ at: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + at, as: UInt64.self))
    }
    let memory = word(0)
    guard memory <= UInt64(UInt32.max) else { return nil }
    return MemoryRange(
      memory: MemoryFileID(rawValue: UInt32(truncatingIfNeeded: memory)), offset: word(8), length: word(16))
  }

  /// A private copy of the file; whoever gets it deallocates it.
  private static func contents(of raw: Int32) throws(RangeTableError) -> UnsafeMutableRawBufferPointer {
    let size: UInt64
    do { size = try SharedMemory.size(of: raw) } catch { throw .system(error) }
    guard size > 0, size <= UInt64(maximumCount * entryByteCount) else { throw .badLength(size) }
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(size), alignment: 8)
    do {
      try SharedMemory.read(raw, into: bytes)
      return bytes
    } catch {
      bytes.deallocate()
      throw .system(error)
    }
  }
}
