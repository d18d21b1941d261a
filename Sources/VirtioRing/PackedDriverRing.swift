/// The driver's side of a packed virtqueue (virtio 1.3, 2.8).
struct PackedDriverRing {
  private let parts: RingParts
  private let size: UInt16
  private let eventIndex: Bool

  /// The first `freeTokenCount` of these are free.
  private var tokens: [UInt16]
  private var freeTokenCount: Int
  private(set) var freeSlots: Int
  private var available = PackedFormat.Position(0x8000)
  private var nextUsed = PackedFormat.Position(0x8000)
  /// The first descriptor of the request that is being written: its flags are written last.
  private var open: (position: PackedFormat.Position, flags: UInt16)?
  /// Slots offered since the last decision whether to kick.
  private var unkicked: UInt32 = 0

  init(_ configuration: VirtqueueConfiguration, _ parts: RingParts) {
    self.parts = parts
    size = UInt16(configuration.size)
    eventIndex = configuration.eventIndex
    tokens = (0..<size).reversed()
    freeTokenCount = Int(size)
    freeSlots = Int(size)
    parts.descriptors.initializeMemory(as: UInt8.self, repeating: 0, count: 16 * Int(size))
    parts.driver.setWord32(0, 0)
    parts.device.setWord32(0, 0)
  }

  /// The token of the next request: its buffer id.
  var nextToken: UInt16? { freeTokenCount > 0 ? tokens[freeTokenCount - 1] : nil }

  /// Adds a descriptor to the request that is being written.
  mutating func append(_ descriptor: Descriptor) {
    var descriptor = descriptor
    descriptor.flags |= available.wrap ? PackedFormat.available : PackedFormat.used
    let place = parts.descriptors + 16 * Int(available.index)
    if open == nil {
      open = (available, descriptor.flags)
      descriptor.flags = place.word16(14)
    }
    descriptor.write(to: place, .packed, linked: nil)
    available.advance(by: 1, size: size)
  }

  /// Makes the request that was written available.
  mutating func offer(slots: UInt16) {
    guard let (position, flags) = open else { return }
    (parts.descriptors + 16 * Int(position.index)).releaseWord16(14, flags)
    open = nil
    freeTokenCount -= 1
    freeSlots -= Int(slots)
    unkicked += UInt32(slots)
  }

  func poke(_ index: Int, _ descriptor: Descriptor) {
    descriptor.write(to: parts.descriptors + 16 * index, .packed, linked: nil)
  }

  /// The next used descriptor, which stays next until ``free(_:slots:)`` or ``skipUsed(slots:)``.
  func peekUsed() -> (id: UInt32, written: UInt32)? {
    let place = parts.descriptors + 16 * Int(nextUsed.index)
    let flags = place.acquireWord16(14)
    guard (flags & PackedFormat.available != 0) == nextUsed.wrap, (flags & PackedFormat.used != 0) == nextUsed.wrap
    else {
      return nil
    }
    // Without WRITE the length is reserved (2.8.9).
    return (UInt32(place.word16(12)), flags & Descriptor.write != 0 ? place.word32(8) : 0)
  }

  mutating func skipUsed(slots: UInt16) {
    nextUsed.advance(by: slots, size: size)
  }

  mutating func free(_ token: UInt16, slots: UInt16) {
    tokens[freeTokenCount] = token
    freeTokenCount += 1
    freeSlots += Int(slots)
    skipUsed(slots: slots)
  }

  mutating func wantsKick() -> Bool {
    fullBarrier()
    let event = parts.device.word32(0)
    let count = unkicked
    unkicked = 0
    switch UInt16(truncatingIfNeeded: event >> 16) {
    case PackedFormat.Event.disable: return false
    case PackedFormat.Event.descriptor where eventIndex:
      guard count < UInt32(size) else { return true }
      let position = PackedFormat.Position(UInt16(truncatingIfNeeded: event))
      let place = position.wrap == available.wrap ? position.index : position.index &- size
      return passes(place, from: available.index &- UInt16(count), to: available.index)
    default: return true
    }
  }

  func enableCalls() -> Bool {
    let event = PackedFormat.Event.self
    let wanted = eventIndex ? UInt32(nextUsed.packed) | UInt32(event.descriptor) << 16 : UInt32(event.enable) << 16
    parts.driver.setWord32(0, wanted)
    fullBarrier()
    return peekUsed() != nil
  }

  func suppressCalls() {
    parts.driver.setWord32(0, UInt32(PackedFormat.Event.disable) << 16)
  }
}
