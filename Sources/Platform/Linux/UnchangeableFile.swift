import CLinux
import Glibc

// Memory files whose contents, too, are fixed for good.

extension SharedMemory {
  /// Whether ``isUnchangeable(_:)`` knows; where not, who has checked a file passes on a copy of its own.
  public static let fixesContents = true

  /// Makes a memory file with these contents that nobody, its maker included, can change any more.
  public static func createUnchangeable(
    name: String, contents: UnsafeRawBufferPointer
  ) throws(SystemError) -> FileDescriptor {
    let raw = muntin_memfd_create(name)
    guard raw >= 0 else { throw .last("memfd_create") }
    let file = FileDescriptor(adopting: raw)
    var offset = 0
    while offset < contents.count {
      let rest = UnsafeRawBufferPointer(rebasing: contents[offset...])
      let written = retryingInterrupts { write(raw, rest.baseAddress, rest.count) }
      guard written > 0 else { throw .last("write") }
      offset += written
    }
    let seals = MUNTIN_SEAL_WRITE | MUNTIN_SEAL_SHRINK | MUNTIN_SEAL_GROW | MUNTIN_SEAL_SEAL
    guard muntin_add_seals(raw, Int32(seals)) == 0 else { throw .last("fcntl(F_ADD_SEALS)") }
    return file
  }

  /// Whether neither the file's size nor its contents can change any more.
  public static func isUnchangeable(_ raw: Int32) -> Bool {
    let wanted = Int32(MUNTIN_SEAL_WRITE | MUNTIN_SEAL_SHRINK | MUNTIN_SEAL_GROW)
    let seals = muntin_get_seals(raw)
    return seals >= 0 && seals & wanted == wanted
  }

  /// Fills `room` with the file's first bytes, wherever its position is.
  public static func read(_ raw: Int32, into room: UnsafeMutableRawBufferPointer) throws(SystemError) {
    var offset = 0
    while offset < room.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: room[offset...])
      let count = retryingInterrupts { pread(raw, rest.baseAddress, rest.count, off_t(offset)) }
      guard count >= 0 else { throw .last("pread") }
      guard count > 0 else { throw SystemError(call: "pread", code: EIO) }
      offset += count
    }
  }
}

// MARK: Pages of other sizes

extension SharedMemory {
  /// Whether any page of the file can be mapped beside pages of other files. Memory in huge pages cannot.
  public static func hasUsualPages(_ raw: Int32) -> Bool { muntin_page_size_of(raw) == pageSize }
}
