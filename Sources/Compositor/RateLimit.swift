import Platform

/// Lets so many events of a kind through in a period, and counts the others.
struct RateLimit {
  let most: Int
  let period: Duration
  private var start: MonotonicTime?
  private var passed = 0
  private var suppressed = 0

  init(_ most: Int, per period: Duration) {
    self.most = most
    self.period = period
  }

  /// Whether this event passes; if so, how many were held back since the last one that passed.
  mutating func admit(at now: MonotonicTime = .now) -> Int? {
    if let start, now < start + period {
      guard passed < most else {
        suppressed += 1
        return nil
      }
    } else {
      start = now
      passed = 0
    }
    passed += 1
    defer { suppressed = 0 }
    return suppressed
  }
}
