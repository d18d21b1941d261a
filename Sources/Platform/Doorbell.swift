import Glibc

/// A bell that one process rings and another one waits for.
///
/// Its two ends are one descriptor where the system has such a thing (eventfd), else those of a pipe.
public final class Doorbell: Sendable {
  /// What the one who waits holds: watch it, drain it.
  public let waiting: SharedDescriptor
  /// What the one who rings holds.
  public let ringing: SharedDescriptor

  /// A new, silent bell, of which neither end blocks.
  public init() throws(SystemError) {
    (waiting, ringing) = try Self.makeEnds()
  }

  /// Rings; never blocks (a bell that rings already needs no second ring).
  public func ring() { Self.ring(ringing.raw) }

  /// Silences the bell; whether it had been rung.
  @discardableResult
  public func drain() -> Bool { Self.drain(waiting.raw) }

  /// Rings a bell by its ringing end, our own or one that a peer sent.
  public static func ring(_ raw: Int32) {
    var one: UInt64 = 1
    _ = retryingInterrupts { write(raw, &one, 8) }
  }
}
