import Platform

/// Memory that the host allocated for a guest's bytes: a memory file, zero at first. Nothing is mapped here until
/// somebody looks.
public final class HostMemory {
  /// Length in bytes, a multiple of the page size.
  public let byteCount: Int
  private let file: SharedMemoryFile
  private var mapping: MemoryMapping?
  private var charge: Ledger.Charge?

  /// Allocates zeroed memory of at least that many bytes.
  ///
  /// - Throws: the system's error when it has no memory or no descriptor left.
  public init(byteCount: Int, name: String = "muntin") throws(SystemError) {
    self.byteCount = Self.wholePages(byteCount) ?? byteCount
    file = try SharedMemoryFile(name: name, count: self.byteCount)
  }

  /// So many bytes in whole pages; nil when that passes `Int.max`.
  public static func wholePages(_ byteCount: Int) -> Int? {
    let page = SharedMemory.pageSize
    let (sum, overflow) = byteCount.addingReportingOverflow(page - 1)
    return overflow ? nil : sum / page * page
  }

  /// Keeps a charge for as long as the memory is here.
  public func keep(_ charge: consuming Ledger.Charge) { self.charge = consume charge }

  /// The bytes, mapped for reading at the first call.
  public func bytes() throws(SystemError) -> UnsafeRawBufferPointer {
    if let mapping { return mapping.bytes }
    let fresh = try MemoryMapping(descriptor: file.writable.raw, count: byteCount, access: .readOnly)
    mapping = fresh
    return fresh.bytes
  }

  /// Gives the pages back to the system: who still has them mapped sees zeros.
  public func punch() throws(SystemError) {
    try SharedMemory.punch(file.writable.raw, count: byteCount)
  }

  /// A descriptor that lets its holder map the memory for reading only.
  public func readOnlyDescriptor() throws(SystemError) -> FileDescriptor {
    try file.readOnly()
  }

  /// A descriptor of the memory file, writable: what a VMM maps for its guest.
  public func writableDescriptor() throws(SystemError) -> SharedDescriptor {
    SharedDescriptor(try file.writable.duplicate())
  }
}
