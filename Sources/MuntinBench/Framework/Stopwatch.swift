import Platform

/// Clock readings around work.
enum Stopwatch {
  /// Nanoseconds now.
  @inline(__always)
  static var now: Int64 { MonotonicTime.now.nanoseconds }

  /// Repeats `body`, which says how many things it did, for `duration`; things per second.
  static func rate(over duration: Duration, _ body: () throws(BenchError) -> Int) throws(BenchError) -> Double {
    let start = now
    let limit = duration.nanoseconds
    var count = 0
    var elapsed: Int64 = 0
    repeat {
      count += try body()
      elapsed = now - start
    } while elapsed < limit
    return Double(count) * 1e9 / Double(elapsed)
  }

  /// The time of `body` in nanoseconds.
  static func nanoseconds(_ body: () throws(BenchError) -> Void) throws(BenchError) -> Double {
    let start = now
    try body()
    return Double(now - start)
  }
}
