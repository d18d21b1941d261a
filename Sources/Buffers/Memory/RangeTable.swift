import Platform

/// The pages of one buffer in the order of its bytes: ranges of memory files, each of whole pages, none over another.
public struct RangeTable: Hashable, Sendable {
  /// The most ranges of a buffer, which is the most entries that a virtio-gpu command's memory has here.
  public static let maximumCount = 16_384

  /// The ranges, at least one.
  public let ranges: [MemoryRange]
  /// The bytes of all of them.
  public let byteCount: UInt64

  /// A table of ranges given in the order of the buffer's bytes; neighbours become one range.
  public init(joining pieces: some Sequence<MemoryRange>) throws(RangeTableError) {
    var joined: [MemoryRange] = []
    for piece in pieces {
      if let last = joined.last, last.memory == piece.memory, last.end == piece.offset,
        let length = Self.sum(last.length, piece.length)
      {
        guard piece.length > 0 else { throw .unaligned(piece) }
        joined[joined.count - 1].length = length
      } else {
        guard joined.count < Self.maximumCount else { throw .tooMany(joined.count + 1) }
        joined.append(piece)
      }
    }
    try self.init(checking: joined)
  }

  /// A table of exactly these ranges.
  public init(checking ranges: [MemoryRange]) throws(RangeTableError) {
    guard !ranges.isEmpty else { throw .empty }
    guard ranges.count <= Self.maximumCount else { throw .tooMany(ranges.count) }
    var total: UInt64 = 0
    for range in ranges {
      try Self.check(range)
      guard let sum = Self.sum(total, range.length), sum <= UInt64(Int.max) else { throw .tooLarge }
      total = sum
    }
    if let first = Self.firstOverlap(of: ranges) { throw .overlap(first) }
    self.ranges = ranges
    byteCount = total
  }

  private static func check(_ range: MemoryRange) throws(RangeTableError) {
    let page = UInt64(SharedMemory.pageSize)
    guard range.length > 0, range.offset % page == 0, range.length % page == 0 else { throw .unaligned(range) }
    guard let end = range.end, end <= UInt64(Int64.max) else { throw .outside(range) }
  }

  private static func sum(_ left: UInt64, _ right: UInt64) -> UInt64? {
    let (sum, overflow) = left.addingReportingOverflow(right)
    return overflow ? nil : sum
  }

  /// Of two ranges that share bytes, the one that begins later.
  private static func firstOverlap(of ranges: [MemoryRange]) -> MemoryRange? {
    func isBefore(_ left: MemoryRange, _ right: MemoryRange) -> Bool {
      (left.memory, left.offset) < (right.memory, right.offset)
    }
    let sorted = zip(ranges, ranges.dropFirst()).allSatisfy(isBefore) ? ranges : ranges.sorted(by: isBefore)
    for (left, right) in zip(sorted, sorted.dropFirst()) where left.memory == right.memory {
      if left.offset &+ left.length > right.offset { return right }
    }
    return nil
  }

  /// The memory files that it names, each once, in order.
  public var memories: [MemoryFileID] { Set(ranges.map(\.memory)).sorted() }

  /// Whether every range is inside its file; `byteCount` says how long a file is, nil for a file that is not there.
  public func check(inside byteCount: (MemoryFileID) -> UInt64?) throws(RangeTableError) {
    for range in ranges {
      guard let size = byteCount(range.memory) else { throw .unknownMemory(range.memory) }
      guard let end = range.end, end <= size else { throw .outside(range) }
    }
  }

  /// The ranges of the buffer's first `count` bytes, rounded up to whole pages; all of them when there are no more.
  public func prefix(_ count: UInt64) -> [MemoryRange] {
    let page = UInt64(SharedMemory.pageSize)
    var first: [MemoryRange] = []
    var left = min(count, byteCount)
    for range in ranges where left > 0 {
      let used = min(range.length, (left + page - 1) / page * page)
      first.append(MemoryRange(memory: range.memory, offset: range.offset, length: used))
      left -= min(left, used)
    }
    return first
  }
}

/// Why ranges are no table, or a file none.
public enum RangeTableError: Error, Equatable, Sendable, CustomStringConvertible {
  /// No range at all.
  case empty
  /// More than ``RangeTable/maximumCount``.
  case tooMany(Int)
  /// More bytes than a process can map.
  case tooLarge
  /// Not whole pages, or no byte.
  case unaligned(MemoryRange)
  /// Shares bytes with another range.
  case overlap(MemoryRange)
  /// Not inside its memory file.
  case outside(MemoryRange)
  /// A memory file that is not there.
  case unknownMemory(MemoryFileID)
  /// The file that holds the table can still be changed.
  case notSealed
  /// The file's length is not that of a number of entries.
  case badLength(UInt64)
  /// An entry's reserved field is not zero.
  case badEntry(Int)
  /// The system refused.
  case system(SystemError)

  /// A sentence for people.
  public var description: String {
    switch self {
    case .empty: "no range"
    case .tooMany(let count): "\(count) ranges, more than \(RangeTable.maximumCount)"
    case .tooLarge: "ranges of more bytes than can be mapped"
    case .unaligned(let range): "range \(range) is not whole pages"
    case .overlap(let range): "range \(range) overlaps another"
    case .outside(let range): "range \(range) is outside of its memory"
    case .unknownMemory(let memory): "memory \(memory) is not registered"
    case .notSealed: "the range table can still be changed"
    case .badLength(let count): "a range table cannot have \(count) bytes"
    case .badEntry(let index): "range table entry \(index) has a reserved field that is not 0"
    case .system(let error): "\(error)"
    }
  }
}
