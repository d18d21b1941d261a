import CLinux
import Glibc

/// A descriptor that one process rings and another one waits for (eventfd).
public enum Doorbell {
  /// A new, silent, non-blocking doorbell.
  public static func create() throws(SystemError) -> FileDescriptor {
    let raw = muntin_eventfd()
    guard raw >= 0 else { throw .last("eventfd") }
    return FileDescriptor(adopting: raw)
  }

  /// Rings; never blocks (a bell that rings already needs no second ring).
  public static func ring(_ raw: Int32) {
    var one: UInt64 = 1
    _ = retryingInterrupts { write(raw, &one, 8) }
  }

  /// Silences the bell; whether it had been rung. Never blocks if the descriptor is non-blocking.
  @discardableResult
  public static func drain(_ raw: Int32) -> Bool {
    var count: UInt64 = 0
    return retryingInterrupts { read(raw, &count, 8) } > 0
  }
}
