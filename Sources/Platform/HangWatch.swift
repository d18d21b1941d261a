import CPOSIX

/// Ends the process when what it does takes too long: for libraries that may never return.
///
/// A process at rest is not woken, and work that begins and ends costs a look at the clock. Nothing of the process is
/// cleaned up: what it has goes as after a crash.
public struct HangWatch: Sendable {
  /// The exit status of a process that was ended.
  public static let exitStatus: Int32 = Int32(MUNTIN_HANG_STATUS)

  /// Watches this process from now on. There is one watch to a process; it uses SIGALRM.
  ///
  /// - Parameter words: goes to standard error before the end, without a line feed; at most 200 bytes of it.
  /// - Throws: EBUSY when there is a watch already.
  public init(limit: Duration, words: String) throws(SystemError) {
    guard muntin_hang_watch(limit.nanoseconds, words + "\n") == 0 else { throw .last("muntin_hang_watch") }
  }

  /// Work begins; what was begun before is over.
  func begin() { muntin_hang_begin() }

  /// Nothing is to be done.
  func rest() { muntin_hang_rest() }

  /// Ends the process at once: something else than the watched thread has taken too long.
  public func end() -> Never { muntin_hang_end() }
}
