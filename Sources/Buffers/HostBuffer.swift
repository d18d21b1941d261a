import Platform

/// A picture in memory that the host allocated: a memory file, zero at first, mapped for writing here.
///
/// Consumers get `readOnlyDescriptor`, so a flush moves no pixels.
public final class HostBuffer {
  /// Its identity towards the hub, and towards the guest (RESOURCE_ASSIGN_UUID).
  public let id: BufferID
  /// Where the pixels are.
  public let layout: PixelLayout
  /// Length of the memory file in bytes, a multiple of the page size.
  public let byteCount: Int
  private let file: SharedMemoryFile
  private let mapping: MemoryMapping
  private var charge: Ledger.Charge?

  /// Allocates zeroed memory for a picture.
  ///
  /// - Throws: the system's error when it has no memory or no descriptor left.
  public init(layout: PixelLayout, id: BufferID = .random(), name: String = "muntin") throws(SystemError) {
    self.id = id
    self.layout = layout
    byteCount = Self.byteCount(for: layout)
    file = try SharedMemoryFile(name: name, count: byteCount)
    mapping = try MemoryMapping(descriptor: file.writable.raw, count: byteCount, access: .readWrite)
  }

  /// What a buffer of that layout takes, in bytes: whole pages.
  public static func byteCount(for layout: PixelLayout) -> Int {
    let page = SharedMemory.pageSize
    let (sum, overflow) = layout.byteCount.addingReportingOverflow(page - 1)
    return overflow ? layout.byteCount : sum / page * page
  }

  /// Keeps a charge for as long as the memory is here.
  public func keep(_ charge: consuming Ledger.Charge?) {
    self.charge = charge
    self.charge?.setPromised(false)
  }

  /// The memory, written by the owner only.
  public var bytes: UnsafeMutableRawBufferPointer { mapping.mutableBytes }

  /// A descriptor that lets its holder map the memory for writing, too: for who was granted that.
  public func writableDescriptor() throws(SystemError) -> FileDescriptor {
    try file.writable.duplicate()
  }

  /// Gives the pages back to the system: whoever still has the memory mapped reads zeros.
  public func punch() throws(SystemError) {
    try SharedMemory.punch(file.writable.raw, count: byteCount)
  }

  /// A descriptor that lets its holder map the memory for reading only.
  public func readOnlyDescriptor() throws(SystemError) -> FileDescriptor {
    try file.readOnly()
  }
}
