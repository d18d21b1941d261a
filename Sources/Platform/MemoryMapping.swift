import Glibc

/// A range of a file in this process's memory, unmapped when the object goes.
///
/// The memory may be shared with a hostile process: its words change at any time. Read what you check through an
/// atomic pointer or copy it out first.
public final class MemoryMapping {
  /// What this process may do with the pages.
  public enum Access: Sendable {
    case readOnly
    case readWrite
  }

  /// The first byte.
  public let base: UnsafeMutableRawPointer
  /// The length in bytes, as asked for.
  public let count: Int

  /// Maps `count` bytes of the file behind `raw` from `offset`, which must be a multiple of the page size.
  public init(descriptor raw: Int32, offset: UInt64 = 0, count: Int, access: Access) throws(SystemError) {
    guard count > 0, let start = off_t(exactly: offset) else { throw SystemError(call: "mmap", code: EINVAL) }
    let protection = access == .readOnly ? PROT_READ : PROT_READ | PROT_WRITE
    guard let base = mmap(nil, count, protection, MAP_SHARED, raw, start), base != MAP_FAILED else {
      throw .last("mmap")
    }
    self.base = base
    self.count = count
  }

  /// Takes over memory that was mapped otherwise.
  init(adopting base: UnsafeMutableRawPointer, count: Int) {
    self.base = base
    self.count = count
  }

  deinit {
    munmap(base, count)
  }

  /// The mapped bytes, for reading.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
  /// The mapped bytes, for writing; a trap of the processor when the access is read-only.
  public var mutableBytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base, count: count) }
}
