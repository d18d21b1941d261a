import Platform

/// The device's side of one virtqueue, split or packed.
///
/// The device takes chains with ``pop(into:)``, gives each back with ``push(_:written:)`` in any order, and tells the
/// driver with ``notifyIfNeeded()`` once per wake. Nothing here allocates once the chains in use have grown.
///
/// A ring whose bookkeeping cannot be true is *broken*: ``pop(into:)`` throws, now and from then on. A chain that breaks
/// the rules in a sound ring is delivered with a ``DescriptorChain/defect``.
public final class Virtqueue {
  /// Which of the device's queues this is.
  public let index: Int
  /// What the driver settled.
  public let configuration: VirtqueueConfiguration
  /// The guest's memory.
  public let memory: GuestMemory

  /// The doorbell of the driver; what could not be told while there was none is told when it is set.
  public var callDescriptor: SharedDescriptor? {
    didSet { if owesNotification { ring() } }
  }

  // Exclusive access is not checked at run time here, nor in the chain and the memory: a check costs as much as half a
  // request, one thread uses them, and nothing in this module calls out in the middle of a change.
  @exclusivity(unchecked) private var split: SplitRing?
  @exclusivity(unchecked) private var packed: PackedRing?
  private let rules: ChainRules
  @exclusivity(unchecked) private var inFlight: InFlightTable
  @exclusivity(unchecked) private var state = State.running
  /// The generation of the memory in which the ring was looked up last.
  @exclusivity(unchecked) private var generation: UInt64
  /// False while a part of the ring is not in guest memory.
  @exclusivity(unchecked) private var isMapped = true
  @exclusivity(unchecked) private var pushedSinceNotification = false
  private var owesNotification = false

  private enum State {
    case running
    case broken(VirtqueueError)
    case stopped(base: UInt32)
  }

  /// Opens a ring in guest memory; throws when it is not there, misaligned, or of no legal size.
  public init(index: Int, configuration: VirtqueueConfiguration, memory: GuestMemory) throws(VirtqueueError) {
    try configuration.validate()
    let parts = try RingParts(configuration, in: memory)
    self.index = index
    self.configuration = configuration
    self.memory = memory
    rules = ChainRules(size: configuration.size, indirect: configuration.indirectDescriptors)
    inFlight = InFlightTable(capacity: Int(configuration.size))
    generation = memory.generation
    switch configuration.format {
    case .split: split = SplitRing(configuration, parts)
    case .packed: packed = PackedRing(configuration, parts)
    }
  }

  /// How many chains the device has taken and not completed.
  public var inFlightCount: Int { inFlight.count }
  /// Why the ring is broken, if it is.
  public var failure: VirtqueueError? {
    if case .broken(let error) = state { error } else { nil }
  }

  // MARK: Chains

  /// Takes the next chain the driver offers; false when there is none.
  ///
  /// Also false while the ring is not in guest memory (in the middle of a change of the memory map) and after
  /// ``stop()``. A thrown error says that the ring is broken: stop this queue. `chain` must not be in flight.
  public func pop(into chain: DescriptorChain) throws(VirtqueueError) -> Bool {
    guard try isUsable() else { return false }
    precondition(!chain.isInFlight, "a chain in flight cannot be used for another request")
    do throws(VirtqueueError) {
      guard let (id, slots) = try popFromRing(into: chain) else { return false }
      guard !inFlight.isFull else { throw .tooManyInFlight }
      chain.head = id
      chain.ticket = inFlight.insert(id: id, slots: slots)
      return true
    } catch {
      state = .broken(error)
      throw error
    }
  }

  @inline(__always)
  private func popFromRing(into chain: DescriptorChain) throws(VirtqueueError) -> (id: UInt16, slots: UInt16)? {
    switch configuration.format {
    case .split: try split?.pop(into: chain, memory, rules) ?? nil
    case .packed: try packed?.pop(into: chain, memory, rules) ?? nil
    }
  }

  /// Gives a chain back to the driver; `written` bytes of its writable part were filled, from the first on.
  ///
  /// A chain that is not in flight on this queue is ignored, so the driver never sees it twice. Where the ring is not in
  /// guest memory the completion waits until it is there again.
  public func push(_ chain: DescriptorChain, written: UInt32) {
    let ticket = chain.ticket
    chain.ticket = .none
    guard case .running = state else { return }
    let written = min(written, UInt32(clamping: chain.writableCount(in: memory)))
    if generation != memory.generation { lookUpRing() }
    guard isMapped else { return inFlight.postpone(ticket, written: written) }
    guard let entry = inFlight.remove(ticket) else { return }
    publish(entry, written: written)
  }

  @inline(__always)
  private func publish(_ entry: InFlightTable.Entry, written: UInt32) {
    switch configuration.format {
    case .split: split?.push(entry, written: written)
    case .packed: packed?.push(entry, written: written)
    }
    pushedSinceNotification = true
  }

  // MARK: Notifications

  /// Asks the driver not to kick while the device looks at the queue anyway.
  public func suppressKicks() {
    guard (try? isUsable()) == true else { return }
    split?.suppressKicks()
    packed?.suppressKicks()
  }

  /// Asks the driver to kick at the next chain; true when one has arrived meanwhile, so that the device must look again.
  public func enableKicks() -> Bool {
    guard (try? isUsable()) == true else { return false }
    return split?.enableKicks() ?? packed?.enableKicks() ?? false
  }

  /// Rings the driver's doorbell when something was pushed that it wants to hear of.
  public func notifyIfNeeded() {
    guard pushedSinceNotification, isMapped, generation == memory.generation || lookUpRing() else { return }
    pushedSinceNotification = false
    if split?.needsNotification() ?? packed?.needsNotification() ?? false { ring() }
  }

  private func ring() {
    owesNotification = callDescriptor == nil
    if let callDescriptor { Doorbell.ring(callDescriptor.raw) }
  }

  // MARK: Position

  /// Where a queue that takes over goes on, as vhost-user's GET_VRING_BASE answers: the next available index (split), or
  /// the next available and used positions with their wrap counters in bits 15 and 31 (packed).
  ///
  /// Chains in flight are offered again from there, except those that a later one has overtaken: a base cannot name
  /// them. ``stop()`` completes these first.
  public var base: UInt32 {
    if case .stopped(let base) = state { return base }
    let suffix = inFlight.suffix
    return split?.base(without: suffix) ?? packed?.base(without: suffix) ?? configuration.base
  }

  /// Ends the use of the ring and returns the ``base`` to go on from; the ring is never touched again.
  ///
  /// Chains in flight are offered again when the queue resumes. One that a later chain has overtaken is completed with
  /// length 0 instead: it would be lost, or the later one done twice. A device that can completes those itself before.
  @discardableResult
  public func stop() -> UInt32 {
    if case .stopped(let base) = state { return base }
    if case .running = state, generation == memory.generation || lookUpRing(), isMapped {
      completeOvertaken()
      notifyIfNeeded()
    }
    let base = self.base
    state = .stopped(base: base)
    return base
  }

  private func completeOvertaken() {
    let end = inFlight.overtakenEnd
    inFlight.drain(where: { $0.sequence < end }) { publish($0, written: $0.written) }
  }

  // MARK: Change of memory

  /// Whether the ring may be touched; throws when it is broken.
  @inline(__always)
  private func isUsable() throws(VirtqueueError) -> Bool {
    switch state {
    case .running: return generation == memory.generation ? isMapped : lookUpRing()
    case .broken(let error): throw error
    case .stopped: return false
    }
  }

  /// Finds the ring again after a change of memory, and delivers what was completed while it was away.
  @inline(never) @discardableResult
  private func lookUpRing() -> Bool {
    generation = memory.generation
    guard let parts = try? RingParts(configuration, in: memory) else {
      isMapped = false
      return false
    }
    split?.move(to: parts)
    packed?.move(to: parts)
    isMapped = true
    inFlight.drain(where: { $0.state == .waiting }) { publish($0, written: $0.written) }
    return true
  }
}
