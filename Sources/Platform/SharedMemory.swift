import Glibc

/// Memory that has a file descriptor, so that other processes can map it.
///
/// Nothing of a file outlives its last descriptor and mapping: it has no name.
public enum SharedMemory {
  /// What keeps a reader of somebody else's file from being ended (SIGBUS) when its owner shrinks it.
  public enum ReaderSafety: Sendable {
    /// The system: the file cannot shrink any more.
    case cannotShrink
    /// The reader itself: it puts a ``FaultGuard`` on its mapping. For systems that cannot fix a file's size.
    case mustGuard
  }

  /// Size of a page of this machine, in bytes.
  public static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))

  /// Makes a zeroed memory file, for a writer who gives nobody a read-only descriptor: see ``SharedMemoryFile``.
  public static func create(name: String, count: Int) throws(SystemError) -> FileDescriptor {
    try SharedMemoryFile(name: name, count: count).takeWritable()
  }

  /// The file's size in bytes.
  public static func size(of raw: Int32) throws(SystemError) -> UInt64 {
    var status = stat()
    guard fstat(raw, &status) == 0 else { throw .last("fstat") }
    return UInt64(clamping: status.st_size)
  }

  /// Whether the descriptor can neither write the file nor map it for writing.
  public static func isReadOnly(_ raw: Int32) -> Bool {
    let flags = fcntl(raw, F_GETFL)
    return flags >= 0 && flags & O_ACCMODE == O_RDONLY
  }

  /// Whether it is a file in memory or elsewhere, not a socket, device or pipe.
  public static func isMemoryFile(_ raw: Int32) -> Bool {
    var status = stat()
    return fstat(raw, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  /// Copies a file's beginning; what the file does not have stays as it is.
  public static func copyContents(of raw: Int32, into room: UnsafeMutableRawBufferPointer) {
    var done = 0
    while done < room.count {
      let count = retryingInterrupts {
        pread(raw, room.baseAddress?.advanced(by: done), room.count - done, off_t(done))
      }
      guard count > 0 else { return }
      done += count
    }
  }
}
