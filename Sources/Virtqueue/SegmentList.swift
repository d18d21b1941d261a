/// A piece of guest memory that a chain refers to.
struct Segment {
  /// Where the guest sees it, to find it again after a change of memory.
  var address: UInt64
  var count: Int
  /// Where this process sees it, for one generation of the memory.
  var pointer: UnsafeMutableRawPointer
}

/// Segments in order, in a buffer that is kept when the list is emptied.
struct SegmentList: ~Copyable {
  private var storage: UnsafeMutablePointer<Segment>
  private var capacity: Int
  private(set) var count = 0
  /// The bytes of all segments together.
  private(set) var byteCount = 0

  init(capacity: Int = 8) {
    self.capacity = capacity
    storage = .allocate(capacity: capacity)
  }

  deinit {
    storage.deallocate()
  }

  @inline(__always)
  subscript(index: Int) -> Segment { storage[index] }

  @inline(__always)
  mutating func append(_ segment: Segment) {
    if count == capacity { grow() }
    storage[count] = segment
    count += 1
    byteCount += segment.count
  }

  @inline(__always)
  mutating func removeAll() {
    count = 0
    byteCount = 0
  }

  /// Back to an earlier state of the list.
  mutating func truncate(to count: Int, byteCount: Int) {
    self.count = count
    self.byteCount = byteCount
  }

  @inline(never)
  private mutating func grow() {
    let larger = UnsafeMutablePointer<Segment>.allocate(capacity: capacity * 2)
    larger.update(from: storage, count: count)
    storage.deallocate()
    storage = larger
    capacity *= 2
  }

  /// Adds the pieces of a range of guest memory; false, and no change, when a byte of it is not there.
  @inline(__always)
  mutating func append(_ address: UInt64, count: Int, in memory: GuestMemory) -> Bool {
    guard let found = memory.locate(address) else { return false }
    guard UInt64(count) > found.count else {
      append(Segment(address: address, count: count, pointer: found.base))
      return true
    }
    return appendPieces(address, count: count, in: memory)
  }

  @inline(never)
  private mutating func appendPieces(_ address: UInt64, count: Int, in memory: GuestMemory) -> Bool {
    let before = (count: self.count, byteCount: byteCount)
    var address = address
    var rest = count
    while rest > 0 {
      guard let found = memory.locate(address) else {
        truncate(to: before.count, byteCount: before.byteCount)
        return false
      }
      let part = Int(min(UInt64(rest), found.count))
      append(Segment(address: address, count: part, pointer: found.base))
      address &+= UInt64(part)
      rest -= part
    }
    return true
  }

  /// Finds every segment again after a change of memory; false when one is gone.
  mutating func resolve(in memory: GuestMemory) -> Bool {
    var fresh = SegmentList(capacity: capacity)
    for index in 0..<count {
      guard fresh.append(storage[index].address, count: storage[index].count, in: memory) else { return false }
    }
    self = fresh
    return true
  }

  /// Calls `body` with each piece of the bytes from `offset` to at most `limit` further, and its place among them.
  @inline(__always)
  func forEach<Failure: Error>(
    from offset: Int, limit: Int = .max, _ body: (UnsafeMutableRawBufferPointer, Int) throws(Failure) -> Void
  ) throws(Failure) -> Int {
    var skip = offset
    var done = 0
    guard offset >= 0 else { return 0 }
    for index in 0..<count where done < limit {
      let segment = storage[index]
      guard skip < segment.count else {
        skip -= segment.count
        continue
      }
      let part = min(segment.count - skip, limit - done)
      try body(UnsafeMutableRawBufferPointer(start: segment.pointer + skip, count: part), done)
      done += part
      skip = 0
    }
    return done
  }
}
