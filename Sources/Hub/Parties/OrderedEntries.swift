/// Buffers in the order in which they came, so that a list can be read in parts while buffers come and go.
struct OrderedEntries {
  private var slots: [(sequence: UInt64, entry: BufferEntry?)] = []
  private var live = 0
  private var lastSequence: UInt64 = 0

  /// Adds a buffer at the end; its place.
  mutating func append(_ entry: BufferEntry) -> UInt64 {
    lastSequence += 1
    slots.append((lastSequence, entry))
    live += 1
    return lastSequence
  }

  /// Takes the buffer at that place away.
  mutating func remove(_ sequence: UInt64) {
    let index = firstIndex(after: sequence &- 1)
    guard index < slots.count, slots[index].sequence == sequence, slots[index].entry != nil else { return }
    slots[index].entry = nil
    live -= 1
    if slots.count > 64 && live * 2 < slots.count { slots.removeAll { $0.entry == nil } }
  }

  /// Calls `body` with each buffer behind that place, at most `limit` places, until it says false.
  ///
  /// - Returns: the last place that `body` has taken, to go on from; nil when there is nothing behind it.
  func walk(after sequence: UInt64, limit: Int, _ body: (BufferEntry) -> Bool) -> UInt64? {
    var index = firstIndex(after: sequence)
    let end = index + min(slots.count - index, limit)
    var last = sequence
    while index < end {
      if let entry = slots[index].entry, !body(entry) { return last }
      last = slots[index].sequence
      index += 1
    }
    return index < slots.count ? last : nil
  }

  /// The first slot behind that place, by bisection.
  private func firstIndex(after sequence: UInt64) -> Int {
    var (low, high) = (0, slots.count)
    while low < high {
      let middle = (low + high) / 2
      if slots[middle].sequence <= sequence { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// All of them.
  var all: [BufferEntry] { slots.compactMap(\.entry) }
}
