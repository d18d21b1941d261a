/// The device's side of a packed virtqueue (virtio 1.3, 2.8).
struct PackedRing {
  private var parts: RingParts
  private let size: UInt16
  private let eventIndex: Bool

  private var nextAvailable: PackedFormat.Position
  private var nextUsed: PackedFormat.Position
  /// Slots of chains that were taken and not completed.
  private var occupied: UInt16 = 0
  /// Slots that were completed since the last decision whether to notify; nil before the first.
  private var unsignalled: UInt32?

  init(_ configuration: VirtqueueConfiguration, _ parts: RingParts) {
    self.parts = parts
    size = UInt16(configuration.size)
    eventIndex = configuration.eventIndex
    nextAvailable = PackedFormat.Position(UInt16(truncatingIfNeeded: configuration.base))
    nextUsed = PackedFormat.Position(UInt16(truncatingIfNeeded: configuration.base >> 16))
  }

  mutating func move(to parts: RingParts) { self.parts = parts }

  // MARK: Available descriptors

  /// Takes the next chain; nil when there is none.
  @inline(__always)
  mutating func pop(
    into chain: DescriptorChain, _ memory: GuestMemory, _ rules: ChainRules
  ) throws(VirtqueueError) -> (id: UInt16, slots: UInt16)? {
    guard isAvailable else { return nil }
    chain.begin(in: memory)
    var position = nextAvailable
    var slots: UInt16 = 0
    var descriptor: Descriptor
    repeat {
      // A chain that runs into slots still in flight, or around the ring, has no end that we could find.
      guard occupied + slots < size else { throw .chainLongerThanRing }
      descriptor = Descriptor(packed: parts.descriptors + Int(position.index) * Descriptor.stride)
      slots += 1
      position.advance(by: 1, size: size)
      collect(descriptor, into: chain, memory, rules)
    } while descriptor.hasNext
    chain.finish()
    nextAvailable = position
    occupied += slots
    return (descriptor.link, slots)
  }

  @inline(__always)
  private func collect(
    _ descriptor: Descriptor, into chain: DescriptorChain, _ memory: GuestMemory, _ rules: ChainRules
  ) {
    guard descriptor.isIndirect else { return chain.append(descriptor, memory, rules) }
    guard !descriptor.hasNext else { return chain.abandon(.misplacedIndirect) }
    chain.collectIndirect(descriptor, packed: true, memory, rules)
  }

  @inline(__always)
  private var isAvailable: Bool {
    let flags = parts.descriptors.acquireWord16(Int(nextAvailable.index) * Descriptor.stride + 14)
    return (flags & PackedFormat.available != 0) == nextAvailable.wrap
      && (flags & PackedFormat.used != 0) != nextAvailable.wrap
  }

  // MARK: Used descriptors

  @inline(__always)
  mutating func push(_ entry: InFlightTable.Entry, written: UInt32) {
    let place = parts.descriptors + Int(nextUsed.index) * Descriptor.stride
    place.setWord32(8, written)
    place.setWord16(12, entry.id)
    var flags = nextUsed.wrap ? PackedFormat.available | PackedFormat.used : 0
    if written > 0 { flags |= Descriptor.write }
    place.releaseWord16(14, flags)
    nextUsed.advance(by: entry.slots, size: size)
    occupied -= entry.slots
    if let before = unsignalled { unsignalled = before &+ UInt32(entry.slots) }
  }

  // MARK: Notifications

  func suppressKicks() {
    parts.device.setWord32(0, UInt32(PackedFormat.Event.disable) << 16)
  }

  /// True when something was offered before the driver could know that we want to be kicked.
  func enableKicks() -> Bool {
    let event =
      eventIndex
      ? UInt32(nextAvailable.packed) | UInt32(PackedFormat.Event.descriptor) << 16
      : UInt32(PackedFormat.Event.enable) << 16
    parts.device.setWord32(0, event)
    fullBarrier()
    return isAvailable
  }

  /// Whether the driver wants to hear of what was pushed since the last call.
  mutating func needsNotification() -> Bool {
    fullBarrier()
    let before = unsignalled
    unsignalled = 0
    let event = parts.driver.word32(0)
    switch UInt16(truncatingIfNeeded: event >> 16) & 3 {
    case PackedFormat.Event.disable: return false
    case PackedFormat.Event.descriptor where eventIndex:
      guard let before, before < UInt32(size) else { return true }
      return passesEvent(PackedFormat.Position(UInt16(truncatingIfNeeded: event)), count: UInt16(before))
    default: return true
    }
  }

  /// Whether the last `count` slots passed the event's; positions of the other turn count from a ring's length below.
  private func passesEvent(_ event: PackedFormat.Position, count: UInt16) -> Bool {
    let place = event.wrap == nextUsed.wrap ? event.index : event.index &- size
    return passes(place, from: nextUsed.index &- count, to: nextUsed.index)
  }

  // MARK: PackedFormat.Position

  /// The position with the last chains offered again, and the used position in the high half.
  func base(without suffix: (chains: UInt64, slots: Int)) -> UInt32 {
    var available = nextAvailable
    available.retreat(by: UInt16(suffix.slots), size: size)
    return UInt32(available.packed) | UInt32(nextUsed.packed) << 16
  }
}
