import CPOSIX
import Glibc

/// A new memory file (shm_open): zeroed, and without a name as soon as it is there.
///
/// Only the holders of the writable descriptor can change its size, and nothing keeps them from it: readers guard what
/// they map.
public struct SharedMemoryFile: ~Copyable, Sendable {
  /// For whoever may read and write.
  public let writable: FileDescriptor
  /// Opened while the file had a name: nothing else makes a read-only descriptor of a writable one.
  private let view: FileDescriptor

  /// Makes one; the beginning of the name is for people who look at the process's mappings.
  public init(name: String, count: Int) throws(SystemError) {
    let path = Self.freshPath(name)
    let file = try Self.open(path, O_RDWR | O_CREAT | O_EXCL)
    defer { _ = shm_unlink(path) }
    let second = try Self.open(path, O_RDONLY)
    guard ftruncate(file.raw, count) == 0 else { throw .last("ftruncate") }
    writable = file
    view = second
  }

  /// A descriptor whose receiver cannot map the memory writable.
  public func readOnly() throws(SystemError) -> FileDescriptor { try view.duplicate() }

  /// Gives up the file for its writable descriptor.
  public consuming func takeWritable() -> FileDescriptor { writable }

  private static func open(_ path: String, _ flags: Int32) throws(SystemError) -> FileDescriptor {
    let raw = muntin_shm_open(path, flags)
    guard raw >= 0 else { throw .last("shm_open") }
    return FileDescriptor(adopting: raw)
  }

  /// A name that nobody can guess, in the 31 characters that every system takes.
  private static func freshPath(_ name: String) -> String {
    let start = name.utf8.prefix(12).map { $0 == UInt8(ascii: "/") ? UInt8(ascii: "-") : $0 }
    let digits = String(UInt64.random(in: .min ... .max), radix: 16)
    return "/" + String(decoding: start, as: UTF8.self) + "-" + digits
  }
}

extension SharedMemory {
  /// What `mayBeShared` asks for, in words.
  public static let whatPeersOffer = "a memory file"

  /// POSIX cannot: a file's maker opens it twice (``SharedMemoryFile``), and a peer sends what others may have.
  public static func reopenReadOnly(_ raw: Int32) throws(SystemError) -> FileDescriptor {
    throw SystemError(call: "reopen for reading", code: ENOTSUP)
  }

  /// POSIX cannot: the memory lives until nobody has it mapped.
  public static func punch(_ raw: Int32, count: Int) throws(SystemError) {
    throw SystemError(call: "take pages out of a file", code: ENOTSUP)
  }

  /// How a reader of a peer's file is safe; nil for what is no memory file.
  public static func readerSafety(of raw: Int32) -> ReaderSafety? {
    isMemoryFile(raw) ? .mustGuard : nil
  }

  /// Whether a peer's file may be handed on to readers, who guard what they map.
  public static func mayBeShared(_ raw: Int32) -> Bool { readerSafety(of: raw) != nil }
}
