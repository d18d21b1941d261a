import Glibc

/// Which file a descriptor is of, whatever its number: the same for all descriptors of one memory file.
public struct FileIdentity: Hashable, Sendable {
  /// The file system.
  public let device: UInt64
  /// The file's number in it.
  public let number: UInt64

  /// The file behind a descriptor; nil when there is none.
  public init?(of raw: Int32) {
    var status = stat()
    guard fstat(raw, &status) == 0 else { return nil }
    device = UInt64(status.st_dev)
    number = UInt64(status.st_ino)
  }

  /// Whether a descriptor is of a kind that can be waited for and that holds nothing else up: an event, a fence, a pipe.
  ///
  /// Not a file, which is always ready; not a socket, which could itself carry descriptors.
  public static func canBeFence(_ raw: Int32) -> Bool {
    var status = stat()
    guard fstat(raw, &status) == 0 else { return false }
    let kind = status.st_mode & S_IFMT
    return kind == 0 || kind == S_IFIFO
  }
}

extension SharedMemory {
  /// Whether the file can be read and written through this descriptor.
  public static func canWrite(_ raw: Int32) -> Bool {
    let flags = fcntl(raw, F_GETFL)
    return flags >= 0 && flags & O_ACCMODE == O_RDWR
  }
}
