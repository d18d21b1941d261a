import CPOSIX
import Glibc

/// Pipes without a name: bytes in one direction, between processes.
public enum AnonymousPipe {
  /// What one read gave.
  public enum Received: Equatable, Sendable {
    /// That many bytes.
    case bytes(Int)
    /// Nothing there yet.
    case wouldBlock
    /// Nobody can write into it any more, and all has been read.
    case ended
  }

  /// Both ends, blocking.
  public static func make() throws(SystemError) -> (reading: SharedDescriptor, writing: SharedDescriptor) {
    var ends: (Int32, Int32) = (-1, -1)
    let result = withUnsafeMutablePointer(to: &ends) { pointer in
      pointer.withMemoryRebound(to: Int32.self, capacity: 2) { pipe($0) }
    }
    guard result == 0 else { throw .last("pipe") }
    for raw in [ends.0, ends.1] { _ = fcntl(raw, F_SETFD, FD_CLOEXEC) }
    return (
      SharedDescriptor(FileDescriptor(adopting: ends.0)), SharedDescriptor(FileDescriptor(adopting: ends.1))
    )
  }

  /// Whether a descriptor is the end of a pipe that can be written into.
  public static func canWrite(_ raw: Int32) -> Bool {
    var status = stat()
    guard fstat(raw, &status) == 0, status.st_mode & S_IFMT == S_IFIFO else { return false }
    return fcntl(raw, F_GETFL) & O_ACCMODE != O_RDONLY
  }

  /// Reads what there is; the descriptor must not block.
  public static func read(_ raw: Int32, into room: UnsafeMutableRawBufferPointer) -> Received {
    let count = retryingInterrupts { Glibc.read(raw, room.baseAddress, room.count) }
    if count > 0 { return .bytes(count) }
    return count < 0 && errno == EAGAIN ? .wouldBlock : .ended
  }

  /// Writes as much as fits; the descriptor must not block. Nil when nothing fits.
  ///
  /// - Throws: EPIPE when nobody reads any more.
  public static func write(_ raw: Int32, _ bytes: UnsafeRawBufferPointer) throws(SystemError) -> Int? {
    muntin_ignore_broken_pipes()
    let count = retryingInterrupts { Glibc.write(raw, bytes.baseAddress, bytes.count) }
    if count >= 0 { return count }
    if errno == EAGAIN { return nil }
    throw .last("write")
  }
}
