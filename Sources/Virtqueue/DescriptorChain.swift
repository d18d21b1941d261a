/// One request of the driver: bytes that the device may read, then bytes that it may write.
///
/// An object is made once and used again for request after request; it may stay with the device until the request is
/// completed, in any order. It copes with a change of guest memory in between: it finds its buffers again, or becomes
/// empty when they are gone, and never touches memory that was taken away.
///
/// A chain that breaks the rules is delivered too, because the driver waits for it: nothing is readable then, and
/// writable is what precedes the fault, so that the device can answer with an error. See ``defect``.
public final class DescriptorChain {
  /// What the driver calls this chain: the first descriptor's index (split) or the buffer id (packed).
  @exclusivity(unchecked) public internal(set) var head: UInt16 = 0
  /// What was wrong with the chain, if anything.
  @exclusivity(unchecked) public private(set) var defect: ChainDefect?

  /// False behind a fault in the writable part.
  @exclusivity(unchecked) var acceptsWritable = true
  @exclusivity(unchecked) var readable = SegmentList()
  @exclusivity(unchecked) var writable = SegmentList()
  /// A private copy of an indirect table that cannot be read in place.
  var scratch = UnsafeMutableRawBufferPointer(start: nil, count: 0)

  /// The memory that the segments point into, and its generation when they were found.
  @exclusivity(unchecked) private(set) var memory: GuestMemory?
  @exclusivity(unchecked) private var generation: UInt64 = 0
  /// Which object `memory` is: to compare it without counting references.
  @exclusivity(unchecked) private var identity: ObjectIdentifier?
  /// The queue's entry for this chain, while it is in flight.
  @exclusivity(unchecked) var ticket = InFlightTable.Ticket.none

  /// An empty chain, to be filled by ``Virtqueue/pop(into:)``.
  public init() {}

  deinit {
    scratch.deallocate()
  }

  /// How many bytes the device may read.
  public var readableCount: Int { refresh() ? readable.byteCount : 0 }
  /// How many bytes the device may write.
  public var writableCount: Int { refresh() ? writable.byteCount : 0 }
  /// Whether a queue waits for the completion of this chain.
  public var isInFlight: Bool { ticket.isValid }

  /// Room for writing, for a caller who knows the memory already.
  @inline(__always)
  func writableCount(in memory: GuestMemory) -> Int {
    generation == memory.generation ? writable.byteCount : writableCount
  }

  // MARK: Bytes

  /// Copies readable bytes from `offset` on into private memory; how many there were.
  ///
  /// This is the snapshot to check and use. It is never inlined: a compiler that saw both copy and use could read the
  /// guest's memory twice.
  @inline(never)
  public func read(into target: UnsafeMutableRawBufferPointer, at offset: Int = 0) -> Int {
    guard refresh(), let base = target.baseAddress else { return 0 }
    return readable.forEach(from: offset, limit: target.count) { piece, place in
      (base + place).copyMemory(from: piece.baseAddress.unsafelyUnwrapped, byteCount: piece.count)
    }
  }

  /// Copies `bytes` into the writable part from `offset` on; how many had room.
  @inline(never)
  public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0) -> Int {
    guard refresh(), let base = bytes.baseAddress else { return 0 }
    return writable.forEach(from: offset, limit: bytes.count) { piece, place in
      piece.baseAddress.unsafelyUnwrapped.copyMemory(from: base + place, byteCount: piece.count)
    }
  }

  /// Calls `body` with each piece of the readable bytes from `offset` on, in the guest's memory itself.
  ///
  /// For bulk data: what is checked must be copied out first. `body` must not change the guest's memory map.
  public func forEachReadable<Failure: Error>(
    from offset: Int = 0, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    guard refresh() else { return }
    _ = try readable.forEach(from: offset) { (piece, _) throws(Failure) in try body(UnsafeRawBufferPointer(piece)) }
  }

  /// Calls `body` with each piece of the writable bytes from `offset` on, in the guest's memory itself.
  public func forEachWritable<Failure: Error>(
    from offset: Int = 0, _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    guard refresh() else { return }
    _ = try writable.forEach(from: offset) { (piece, _) throws(Failure) in try body(piece) }
  }

  // MARK: Life

  /// Empties the chain for the next request out of `memory`.
  @inline(__always)
  func begin(in memory: GuestMemory) {
    if identity != ObjectIdentifier(memory) { adopt(memory) }
    generation = memory.generation
    readable.removeAll()
    writable.removeAll()
    defect = nil
    acceptsWritable = true
  }

  @inline(never)
  private func adopt(_ memory: GuestMemory) {
    self.memory = memory
    identity = ObjectIdentifier(memory)
  }

  /// Notes a fault that leaves the chain's shape known: no readable byte can be trusted any more.
  func note(_ fault: ChainDefect) {
    if defect == nil { defect = fault }
    readable.removeAll()
  }

  /// Notes a fault after which nothing about the chain is known.
  func abandon(_ fault: ChainDefect) {
    note(fault)
    writable.removeAll()
    acceptsWritable = false
  }

  /// Ends the collection of a chain's buffers.
  @inline(__always)
  func finish() {
    if readable.byteCount + writable.byteCount > 1 << 32 { abandon(.tooLarge) }
  }

  /// Whether the segments can be used: they are of today's memory, or could be found in it again.
  @inline(__always)
  func refresh() -> Bool {
    guard let memory else { return false }
    return generation == memory.generation || resolve(in: memory)
  }

  @inline(never)
  private func resolve(in memory: GuestMemory) -> Bool {
    generation = memory.generation
    if readable.resolve(in: memory), writable.resolve(in: memory) { return true }
    defect = defect ?? .memoryRemoved
    readable.removeAll()
    writable.removeAll()
    return true
  }
}
