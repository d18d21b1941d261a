import Glibc
import Platform
import Virtqueue

/// The guest memory behind a resource: pieces that follow each other as one run of bytes.
///
/// Pieces that are neighbours in this process too are joined. Each knows at which byte of the whole it begins, so that
/// a rectangle in the middle is found by bisection. Pointers are found again when guest memory has changed.
public struct ScatterList {
  /// The most entries that one backing may have.
  public static let maximumEntryCount: UInt32 = 16_384

  /// Consecutive bytes in this process; `pointer` is nil where the VMM has taken the memory away.
  struct Run {
    var start: Int
    var pointer: UnsafeMutableRawPointer?
  }

  /// Length of the whole in bytes.
  public private(set) var byteCount = 0
  private let entries: [MemoryEntry]
  /// Ordered by `start`; the last one marks the end of the whole.
  private var runs: [Run] = []
  private(set) var hasHoles = false
  private var generation: UInt64

  /// What a list of so many entries takes of the host's memory, for the ledger.
  public static func footprint(entryCount: Int) -> Int {
    entryCount * (MemoryLayout<MemoryEntry>.stride + MemoryLayout<Run>.stride)
  }

  /// Number of runs that are left after joining.
  public var runCount: Int { max(0, runs.count - 1) }

  /// Finds all entries in guest memory.
  ///
  /// - Throws: `entryUnmapped` with the first that is not wholly guest memory.
  public init(_ entries: [MemoryEntry], in memory: GuestMemory) throws(GPUError) {
    self.entries = entries
    generation = memory.generation
    runs.reserveCapacity(entries.count + 1)
    for entry in entries where entry.length > 0 {
      guard append(entry, in: memory) else { throw .entryUnmapped(entry.address, byteCount: entry.length) }
    }
    close()
  }

  /// Finds the memory again if its regions have changed. What is gone becomes a hole.
  public mutating func refresh(in memory: GuestMemory) {
    guard generation != memory.generation else { return }
    generation = memory.generation
    runs.removeAll(keepingCapacity: true)
    byteCount = 0
    hasHoles = false
    for entry in entries where entry.length > 0 && !append(entry, in: memory) {
      hasHoles = true
      append(nil, count: Int(entry.length))
    }
    close()
  }

  /// The runs as they are in this process; nil where one is not there.
  var segments: [UnsafeMutableRawBufferPointer]? {
    guard !hasHoles else { return nil }
    return zip(runs, runs.dropFirst()).map { run, next in
      UnsafeMutableRawBufferPointer(start: run.pointer, count: next.start - run.start)
    }
  }

  /// Finds the memory again at the next ``refresh(in:)``: it is another memory's.
  mutating func invalidate() { generation = 0 }

  private mutating func append(_ entry: MemoryEntry, in memory: GuestMemory) -> Bool {
    let count = UInt64(entry.length)
    if let slice = memory.slice(at: entry.address, count: count) {
      append(slice.baseAddress, count: slice.count)
      return true
    }
    guard memory.contains(entry.address, count: count), entry.address.advanced(by: count - 1) != nil else {
      return false
    }
    do {
      try memory.forEachSlice(at: entry.address, count: count) { append($0.baseAddress, count: $0.count) }
      return true
    } catch {
      return false
    }
  }

  /// Adds bytes at the end, to the last run where they follow it in this process.
  private mutating func append(_ pointer: UnsafeMutableRawPointer?, count: Int) {
    defer { byteCount += count }
    if let last = runs.last {
      let end = last.pointer.map { $0 + (byteCount - last.start) }
      if end == pointer { return }
    }
    runs.append(Run(start: byteCount, pointer: pointer))
  }

  private mutating func close() {
    runs.append(Run(start: byteCount, pointer: nil))
  }
}

// MARK: Copying

extension ScatterList {
  /// Rows of bytes, `stride` apart.
  public struct Rows: Equatable, Sendable {
    /// Where the first row begins in the whole.
    public var offset: Int
    /// Bytes of each row; at least 1.
    public var byteCount: Int
    /// Number of rows; at least 1.
    public var count: Int
    /// Bytes from one row to the next; at least `byteCount`.
    public var stride: Int

    /// Rows that follow each other without a gap are one.
    var joined: Rows {
      guard byteCount == stride else { return self }
      return Rows(offset: offset, byteCount: byteCount * count, count: 1, stride: stride * count)
    }

    /// The byte behind the last one, unless it passes `Int.max`.
    var end: Int? {
      let (span, overflow) = stride.multipliedReportingOverflow(by: count - 1)
      let (last, overflow2) = span.addingReportingOverflow(byteCount)
      let (end, overflow3) = last.addingReportingOverflow(offset)
      return overflow || overflow2 || overflow3 ? nil : end
    }
  }

  /// Whether the rows are inside the whole, and none of their memory has been taken away.
  enum Reach { case complete, outside, removed }

  func reach(of rows: Rows) -> Reach {
    guard let end = rows.end, rows.offset >= 0, end <= byteCount else { return .outside }
    return hasHoles && touchesHole(rows.offset, end) ? .removed : .complete
  }

  private func touchesHole(_ start: Int, _ end: Int) -> Bool {
    var index = index(of: start)
    while index < runCount, runs[index].start < end {
      if runs[index].pointer == nil { return true }
      index += 1
    }
    return false
  }

  /// The run that holds byte `offset`, which is inside the whole.
  private func index(of offset: Int) -> Int {
    var low = 0
    var high = runs.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if runs[middle].start <= offset { low = middle } else { high = middle }
    }
    return low
  }

  /// From so many bytes on, the copy goes past the caches: neither pages nor picture would stay in them.
  private static let streamingByteCount = 4 << 20

  /// Copies rows out, to `target` and every `stride` bytes after it; `reach(of:)` was `complete`.
  ///
  /// The memory may change meanwhile: then its pixels are torn, nothing else.
  func copy(_ rows: Rows, to target: UnsafeMutableRawPointer, stride: Int) {
    guard rows.byteCount * rows.count >= Self.streamingByteCount else {
      return forEachPiece(of: rows, stride) { memcpy(target + $0, $1, $2) }
    }
    var copy = StreamingCopy()
    forEachPiece(of: rows, stride) { copy.add(to: target + $0, from: $1, count: $2) }
    copy.finish()
  }

  /// Copies rows in, from `source` and every `stride` bytes after it; `reach(of:)` was `complete`.
  func store(_ rows: Rows, from source: UnsafeRawPointer) {
    forEachPiece(of: rows, rows.stride) { memcpy($1, source + $0, $2) }
  }

  /// Calls `body` for all pieces of the rows: where they go after the first row's begin when rows are `stride` apart
  /// there, where they are, their length.
  @inline(__always)
  private func forEachPiece(of rows: Rows, _ stride: Int, _ body: (Int, UnsafeMutableRawPointer, Int) -> Void) {
    let rows = rows.stride == stride ? rows.joined : rows
    let first = index(of: rows.offset)
    runs.withUnsafeBufferPointer { runs in
      var index = first
      for row in 0..<rows.count {
        var source = rows.offset + row * rows.stride
        let end = source + rows.byteCount
        let target = row * stride - source
        while runs[index + 1].start <= source { index += 1 }
        while let pointer = runs[index].pointer {
          let count = min(end - source, runs[index + 1].start - source)
          body(target + source, pointer + (source - runs[index].start), count)
          source += count
          if source == end { break }
          index += 1
        }
      }
    }
  }
}
