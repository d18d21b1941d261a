import Platform

/// A picture in memory that the host allocated: zero at first, mapped for writing here.
///
/// Consumers are given the memory, so a flush moves no pixels.
public final class HostBuffer {
  /// Its identity towards the hub, and towards the guest (RESOURCE_ASSIGN_UUID).
  public let id: BufferID
  /// How it was allocated.
  public let plan: HostPlan
  private let storage: HostStorage
  private let mapping: MemoryMapping
  private var charge: Ledger.Charge?
  private var surplusCharge: Ledger.Charge?

  /// Allocates zeroed memory for a picture.
  ///
  /// - Throws: the system's error when it has no memory or no descriptor left.
  public init(_ plan: HostPlan, id: BufferID = .random(), name: String = "muntin") throws(SystemError) {
    self.id = id
    self.plan = plan
    storage = try HostStorage.allocate(plan, name: name)
    mapping = try MemoryMapping(descriptor: storage.raw, count: plan.byteCount, access: .readWrite)
  }

  /// Allocates a memory file for a picture.
  public convenience init(
    layout: PixelLayout, id: BufferID = .random(), name: String = "muntin"
  ) throws(SystemError) {
    try self.init(HostPlan(layout), id: id, name: name)
  }

  /// Where the pixels are.
  public var layout: PixelLayout { plan.layout }
  /// Length of the memory in bytes, a multiple of the page size.
  public var byteCount: Int { plan.byteCount }
  /// What its memory is to those who use it.
  public var traits: MemoryTraits { plan.source.traits }

  /// Keeps a charge for as long as the memory is here.
  public func keep(_ charge: consuming Ledger.Charge?) {
    self.charge = charge
    self.charge?.setPromised(false)
  }

  /// Charges what a driver has allocated beyond the plan, for as long as the memory is here.
  public func chargeSurplus(to ledger: Ledger) throws(Ledger.OverLimit) {
    let surplus = storage.byteCount(planned: byteCount) - byteCount
    guard surplus > 0 else { return }
    surplusCharge = try ledger.charge(Ledger.Demand(surplus, as: .hostAllocated))
  }

  /// The memory, written by the owner only, between ``beginWriting()`` and ``endWriting()``.
  public var bytes: UnsafeMutableRawBufferPointer { mapping.mutableBytes }

  /// Before pixels are written, where devices may read them.
  public func beginWriting() { storage.beginWriting() }

  /// After pixels were written.
  public func endWriting() { storage.endWriting() }

  /// A descriptor that lets its holder map the memory for writing, too: for who was granted that.
  public func writableDescriptor() throws(SystemError) -> FileDescriptor {
    try FileDescriptor(duplicating: storage.raw)
  }

  /// Gives the pages back to the system: whoever still has the memory mapped reads zeros. Not to be had of a dma-buf.
  public func punch() throws(SystemError) {
    try storage.punch(count: byteCount)
  }

  /// A descriptor that lets its holder map the memory for reading; of a memory file, for reading only.
  public func readOnlyDescriptor() throws(SystemError) -> FileDescriptor {
    try storage.reader()
  }

  /// The memory as consumers get it.
  public func memory() throws(SystemError) -> BufferMemory {
    let descriptor = SharedDescriptor(try storage.reader())
    return traits.kind == .dmaBuf
      ? .dmaBuf(descriptor, byteCount: UInt64(byteCount)) : .file(descriptor, byteCount: UInt64(byteCount))
  }
}
