import CLinux
import Glibc

/// Memory that has a file descriptor, so that other processes can map it.
public enum SharedMemory {
  /// Size of a page of this machine, in bytes.
  public static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))

  /// Makes a zeroed memory file whose size is sealed for good: nobody who gets the descriptor can shrink it under a
  /// reader (which would end the reader with SIGBUS) or let it grow.
  public static func create(name: String, count: Int) throws(SystemError) -> FileDescriptor {
    let raw = muntin_memfd_create(name)
    guard raw >= 0 else { throw .last("memfd_create") }
    let file = FileDescriptor(adopting: raw)
    guard ftruncate(raw, count) == 0 else { throw .last("ftruncate") }
    let seals = MUNTIN_SEAL_SHRINK | MUNTIN_SEAL_GROW | MUNTIN_SEAL_SEAL
    guard muntin_add_seals(raw, Int32(seals)) == 0 else { throw .last("fcntl(F_ADD_SEALS)") }
    return file
  }

  /// Takes all pages out of the file, which keeps its size: its memory is free, and reads as zeros wherever it is mapped.
  public static func punch(_ raw: Int32, count: Int) throws(SystemError) {
    guard muntin_punch(raw, count) == 0 else { throw .last("fallocate(PUNCH_HOLE)") }
  }

  /// Opens the file again for reading only: who receives this descriptor cannot map the memory writable.
  public static func reopenReadOnly(_ raw: Int32) throws(SystemError) -> FileDescriptor {
    let copy = open("/proc/self/fd/\(raw)", O_RDONLY | O_CLOEXEC)
    guard copy >= 0 else { throw .last("open /proc/self/fd") }
    return FileDescriptor(adopting: copy)
  }

  /// Whether nobody can shrink the file any more.
  public static func isSealedAgainstShrinking(_ raw: Int32) -> Bool {
    let seals = muntin_get_seals(raw)
    return seals >= 0 && seals & Int32(MUNTIN_SEAL_SHRINK) != 0
  }

  /// Whether the file's size is fixed for good, in both directions.
  public static func isSealedAgainstResize(_ raw: Int32) -> Bool {
    let wanted = Int32(MUNTIN_SEAL_SHRINK | MUNTIN_SEAL_GROW)
    let seals = muntin_get_seals(raw)
    return seals >= 0 && seals & wanted == wanted
  }

  /// The file's size in bytes.
  public static func size(of raw: Int32) throws(SystemError) -> UInt64 {
    var status = stat()
    guard fstat(raw, &status) == 0 else { throw .last("fstat") }
    return UInt64(clamping: status.st_size)
  }
}
