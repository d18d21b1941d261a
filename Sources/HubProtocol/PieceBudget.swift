import Platform

/// How many pieces of VMs' memory a consumer may have mapped: the system bounds a process's mappings, and other things
/// need some, too. Beyond it the consumer asks for pictures in other memory until it has fewer.
struct PieceBudget {
  private let limit: Int
  private var resumption = 0
  private(set) var count = 0
  /// Whether no more pieces are wanted.
  private(set) var isExhausted = false

  init(limit: Int = MemoryMapping.maximumPieces / 4 * 3) {
    self.limit = limit
  }

  mutating func add(_ pieces: Int) {
    count += pieces
    if count > limit { exhaust() }
  }

  mutating func remove(_ pieces: Int) {
    count -= pieces
    if isExhausted && count <= resumption { isExhausted = false }
  }

  /// The system did not map any more.
  mutating func exhaust() {
    guard !isExhausted else { return }
    isExhausted = true
    resumption = min(count, limit) / 2
  }
}
