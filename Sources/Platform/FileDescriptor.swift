import Glibc

/// The one owner of an open file: closes it when it goes out of scope.
public struct FileDescriptor: ~Copyable, Sendable {
  /// The number, valid for as long as this value lives.
  public let raw: Int32

  /// Takes over `raw`, which must be open and owned by nobody else.
  public init(adopting raw: Int32) {
    self.raw = raw
  }

  deinit {
    _ = Glibc.close(raw)
  }

  /// Gives the number away; the taker closes it.
  public consuming func release() -> Int32 {
    let raw = self.raw
    discard self
    return raw
  }

  /// A second descriptor of the same open file, close-on-exec.
  public func duplicate() throws(SystemError) -> FileDescriptor {
    try FileDescriptor(duplicating: raw)
  }

  /// A descriptor of the open file behind a number that somebody else owns, close-on-exec.
  public init(duplicating raw: Int32) throws(SystemError) {
    let copy = fcntl(raw, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else { throw .last("fcntl(F_DUPFD_CLOEXEC)") }
    self.init(adopting: copy)
  }
}

/// A file descriptor with several owners, closed when the last one lets go.
public final class SharedDescriptor: Sendable {
  private let descriptor: FileDescriptor

  /// Takes over the descriptor.
  public init(_ descriptor: consuming FileDescriptor) {
    self.descriptor = descriptor
  }

  /// The number, valid for as long as this object lives.
  public var raw: Int32 { descriptor.raw }
}

/// Closes descriptors that nobody will own, such as those a peer sent without being asked.
public func closeAll(_ descriptors: some Sequence<Int32>) {
  for raw in descriptors { _ = Glibc.close(raw) }
}

/// Limits on open files.
public enum DescriptorLimit {
  /// Raises the soft limit (`RLIMIT_NOFILE`) to the hard one and returns it.
  @discardableResult
  public static func raise() -> UInt64 {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    return UInt64(limit.rlim_cur)
  }
}
