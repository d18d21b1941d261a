import CLinux
import Glibc
import Synchronization

/// A new memory file (memfd): zeroed, its size sealed for good, so that nobody who gets a descriptor of it can shrink it
/// under a reader or let it grow; other users cannot open it for writing by way of /proc.
public struct SharedMemoryFile: ~Copyable, Sendable {
  /// For whoever may read and write.
  public let writable: FileDescriptor

  /// Makes one; the name is for people who look at the process's mappings.
  public init(name: String, count: Int) throws(SystemError) {
    let raw = muntin_memfd_create(name)
    guard raw >= 0 else { throw .last("memfd_create") }
    let file = FileDescriptor(adopting: raw)
    guard ftruncate(raw, count) == 0 else { throw .last("ftruncate") }
    guard fchmod(raw, 0o644) == 0 else { throw .last("fchmod") }
    let seals = MUNTIN_SEAL_SHRINK | MUNTIN_SEAL_GROW | MUNTIN_SEAL_SEAL
    guard muntin_add_seals(raw, Int32(seals)) == 0 else { throw .last("fcntl(F_ADD_SEALS)") }
    writable = file
  }

  /// A descriptor whose receiver cannot map the memory writable.
  public func readOnly() throws(SystemError) -> FileDescriptor {
    try SharedMemory.reopenReadOnly(writable.raw)
  }

  /// Gives up the file for its writable descriptor.
  public consuming func takeWritable() -> FileDescriptor { writable }
}

extension SharedMemory {
  /// What `mayBeShared` asks for, in words.
  public static let whatPeersOffer =
    "a memory file sealed with F_SEAL_SHRINK and F_SEAL_GROW that other users cannot write (fchmod 0644)"

  /// Opens a file again for reading only, one that a peer sent, too: who receives this descriptor cannot map the memory
  /// writable.
  public static func reopenReadOnly(_ raw: Int32) throws(SystemError) -> FileDescriptor {
    let other = reopener.withLock { $0 }
    if let other, other.isOnly { return try other.open(raw) }
    let copy = open("/proc/self/fd/\(raw)", O_RDONLY | O_CLOEXEC)
    if copy >= 0 { return FileDescriptor(adopting: copy) }
    let failure = SystemError.last("open /proc/self/fd")
    guard failure.code == EACCES, let other else { throw failure }
    return try other.open(raw)
  }

  /// Opens a descriptor's file again for reading.
  public typealias Reopener = @Sendable (Int32) throws(SystemError) -> FileDescriptor

  private struct Other: Sendable {
    let open: Reopener
    let isOnly: Bool
  }

  private static let reopener = Mutex<Other?>(nil)

  /// Says who opens files again that this process, which has shut itself in, may not open: files that have a name, or, with
  /// `all`, every one.
  public static func whoReopens(all: Bool, _ open: @escaping Reopener) {
    reopener.withLock { $0 = Other(open: open, isOnly: all) }
  }

  /// Takes all pages out of the file, which keeps its size: its memory is free, and reads as zeros wherever it is mapped.
  public static func punch(_ raw: Int32, count: Int) throws(SystemError) {
    guard muntin_punch(raw, count) == 0 else { throw .last("fallocate(PUNCH_HOLE)") }
  }

  /// How a reader of a peer's file is safe; nil for a file that is not to be read: here every honest peer can seal.
  public static func readerSafety(of raw: Int32) -> ReaderSafety? {
    has(raw, seals: MUNTIN_SEAL_SHRINK) ? .cannotShrink : nil
  }

  /// Whether a peer's file may be handed on to readers: its size is fixed for good, in both directions, and a reader of
  /// another user cannot open it again for writing.
  public static func mayBeShared(_ raw: Int32) -> Bool {
    has(raw, seals: MUNTIN_SEAL_SHRINK | MUNTIN_SEAL_GROW) && !othersMayWrite(raw)
  }

  private static func othersMayWrite(_ raw: Int32) -> Bool {
    var status = stat()
    guard fstat(raw, &status) == 0 else { return true }
    let isSealed = has(raw, seals: MUNTIN_SEAL_WRITE) || has(raw, seals: MUNTIN_SEAL_FUTURE_WRITE)
    return status.st_mode & (S_IWGRP | S_IWOTH) != 0 && !isSealed
  }

  private static func has(_ raw: Int32, seals wanted: Int) -> Bool {
    let seals = muntin_get_seals(raw)
    return seals >= 0 && Int(seals) & wanted == wanted
  }
}
