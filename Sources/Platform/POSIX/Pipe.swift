import CPOSIX
import Glibc

// Doorbells of POSIX: the two ends of a pipe. A full pipe rings already; a broken one must not raise SIGPIPE.
extension Doorbell {
  /// Reads of one drain, so that a peer that writes all the time cannot keep us here: as much as a pipe holds.
  private static let mostReads = 64
  /// No more than the stack has room for: nothing is allocated.
  private static let readSize = 1024

  static func makeEnds() throws(SystemError) -> (waiting: SharedDescriptor, ringing: SharedDescriptor) {
    muntin_ignore_broken_pipes()
    var ends: (Int32, Int32) = (-1, -1)
    let result = withUnsafeMutablePointer(to: &ends) { pointer in
      pointer.withMemoryRebound(to: Int32.self, capacity: 2) { pipe($0) }
    }
    guard result == 0 else { throw .last("pipe") }
    let waiting = SharedDescriptor(FileDescriptor(adopting: ends.0))
    let ringing = SharedDescriptor(FileDescriptor(adopting: ends.1))
    for end in [waiting, ringing] {
      closeOnExec(end.raw)
      try UnixSocket.setNonBlocking(end.raw, true)
    }
    return (waiting, ringing)
  }

  /// Silences a bell by its waiting end; whether it had been rung. Never blocks if the descriptor is non-blocking.
  @discardableResult
  public static func drain(_ raw: Int32) -> Bool {
    withUnsafeTemporaryAllocation(byteCount: readSize, alignment: 8) { room in
      var rung = false
      for _ in 0..<mostReads {
        let count = retryingInterrupts { read(raw, room.baseAddress, room.count) }
        rung = rung || count > 0
        if count < room.count { break }
      }
      return rung
    }
  }

  /// Whether a descriptor that a peer sent can be waited for at an edge (see ``EventLoop/Readiness/edge``): the reading
  /// end of a pipe. Anything else might block when it is emptied, or never be empty.
  public static func canWait(for raw: Int32) -> Bool { isPipe(raw) && mode(of: raw) != O_WRONLY }

  /// Whether a descriptor that a peer sent can be rung: the writing end of a pipe.
  public static func canRing(_ raw: Int32) -> Bool {
    muntin_ignore_broken_pipes()
    return isPipe(raw) && mode(of: raw) != O_RDONLY
  }

  private static func isPipe(_ raw: Int32) -> Bool {
    var status = stat()
    return fstat(raw, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
  }

  private static func mode(of raw: Int32) -> Int32 { fcntl(raw, F_GETFL) & O_ACCMODE }
}
