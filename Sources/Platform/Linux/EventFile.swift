import CLinux
import Glibc

// Doorbells of Linux: one eventfd is both ends.
extension Doorbell {
  static func makeEnds() throws(SystemError) -> (waiting: SharedDescriptor, ringing: SharedDescriptor) {
    let raw = muntin_eventfd()
    guard raw >= 0 else { throw .last("eventfd") }
    let both = SharedDescriptor(FileDescriptor(adopting: raw))
    return (both, both)
  }

  /// Silences a bell by its waiting end; whether it had been rung. Never blocks if the descriptor is non-blocking.
  @discardableResult
  public static func drain(_ raw: Int32) -> Bool {
    var count: UInt64 = 0
    return retryingInterrupts { read(raw, &count, 8) } > 0
  }

  /// Whether a descriptor that a peer sent can be waited for at an edge (see ``EventLoop/Readiness/edge``). Any that the
  /// loop takes: it is never read, so whatever the peer has made of it, it can only wake us.
  public static func canWait(for raw: Int32) -> Bool { true }

  /// Whether a descriptor that a peer sent can be rung. Only an eventfd (a file without a type) can neither hold us nor
  /// end us: a pipe or a socket may be full, or broken and raise SIGPIPE.
  public static func canRing(_ raw: Int32) -> Bool {
    var status = stat()
    return fstat(raw, &status) == 0 && status.st_mode & S_IFMT == 0
  }
}
