import Glibc
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

  /// Like `rate`, per second that this thread spent on a processor: for work that never waits.
  static func rateOfWork(over duration: Duration, _ body: () -> Void) -> Double {
    let (start, cpu) = (now, threadTime)
    let limit = duration.nanoseconds
    var count = 0
    repeat {
      body()
      count += 1
    } while now - start < limit
    return Double(count) * 1e9 / Double(threadTime - cpu)
  }

  private static var threadTime: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  /// The time of `body` in nanoseconds.
  static func nanoseconds(_ body: () throws(BenchError) -> Void) throws(BenchError) -> Double {
    let start = now
    try body()
    return Double(now - start)
  }
}
