/// One of the memory files that a producer has given the hub: a number that the producer never gives twice on one
/// connection.
public struct MemoryFileID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
  /// How many a producer may have given at a time.
  public static let maximumCount = 64

  /// The number.
  public let rawValue: UInt32

  /// A memory file by its number.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// The number.
  public var description: String { String(rawValue) }

  /// In order of numbers.
  public static func < (left: MemoryFileID, right: MemoryFileID) -> Bool { left.rawValue < right.rawValue }
}

/// Whole pages of a memory file.
public struct MemoryRange: Hashable, Sendable, CustomStringConvertible {
  /// In which file.
  public var memory: MemoryFileID
  /// Where in it, in bytes.
  public var offset: UInt64
  /// How many bytes.
  public var length: UInt64

  /// A range, checked where it is used.
  public init(memory: MemoryFileID, offset: UInt64, length: UInt64) {
    self.memory = memory
    self.offset = offset
    self.length = length
  }

  /// The first byte behind it; nil when 64 bits do not hold it.
  @inlinable public var end: UInt64? {
    let (end, overflow) = offset.addingReportingOverflow(length)
    return overflow ? nil : end
  }

  /// As "MEMORY:OFFSET+LENGTH".
  public var description: String {
    "\(memory):0x\(String(offset, radix: 16))+0x\(String(length, radix: 16))"
  }
}
