import CPOSIX

/// A copy of megabytes in pieces, with stores that go past the caches and several pieces under way at a time.
///
/// Faster than `memcpy` where the whole does not fit the caches, and kinder to what they hold. Where it does fit, and
/// somebody reads the copy at once, `memcpy` is better.
public struct StreamingCopy: ~Copyable {
  private var stream = muntin_stream()

  /// A copy without pieces.
  public init() {}

  /// Adds a piece; it is there after ``finish()``.
  @inline(__always)
  public mutating func add(
    to target: UnsafeMutableRawPointer, from source: UnsafeRawPointer, count: Int
  ) {
    muntin_stream_copy(&stream, target, source, count)
  }

  /// Ends the copy.
  public consuming func finish() {
    muntin_stream_finish(&stream)
  }
}
