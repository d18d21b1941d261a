/// The device's side of a split virtqueue (virtio 1.3, 2.7).
struct SplitRing {
  /// VIRTQ_AVAIL_F_NO_INTERRUPT.
  private static let noInterrupt: UInt16 = 1
  /// VIRTQ_USED_F_NO_NOTIFY.
  private static let noNotify: UInt16 = 1

  private var parts: RingParts
  private let size: UInt16
  private let eventIndex: Bool

  /// The next entry of the available ring to take.
  private var nextAvailable: UInt16
  /// The driver's index as last read.
  private var knownAvailable: UInt16
  /// The next entry of the used ring to fill.
  private var nextUsed: UInt16
  /// `nextUsed` at the last decision whether to notify.
  private var signalledUsed: UInt16
  /// False until the first decision: what the driver knew before is unknown.
  private var signalledIsValid = false

  init(_ configuration: VirtqueueConfiguration, _ parts: RingParts) {
    self.parts = parts
    size = UInt16(configuration.size)
    eventIndex = configuration.eventIndex
    nextAvailable = UInt16(truncatingIfNeeded: configuration.base)
    knownAvailable = nextAvailable
    nextUsed = parts.device.word16(2)
    signalledUsed = nextUsed
  }

  mutating func move(to parts: RingParts) { self.parts = parts }

  // MARK: Available ring

  /// Takes the next chain; nil when there is none.
  @inline(__always)
  mutating func pop(
    into chain: DescriptorChain, _ memory: GuestMemory, _ rules: ChainRules
  ) throws(VirtqueueError) -> (id: UInt16, slots: UInt16)? {
    if nextAvailable == knownAvailable {
      guard try readAvailableIndex() else { return nil }
    }
    let head = parts.driver.word16(4 + 2 * Int(nextAvailable & (size - 1)))
    guard head < size else { throw .headOutOfRange(head) }
    nextAvailable &+= 1
    chain.begin(in: memory)
    chain.collect(table: parts.descriptors, count: Int(size), first: head, indirect: false, memory, rules)
    chain.finish()
    return (head, 1)
  }

  /// Whether the driver has offered more than we have taken.
  @inline(__always)
  private mutating func readAvailableIndex() throws(VirtqueueError) -> Bool {
    let index = parts.driver.acquireWord16(2)
    guard index &- nextAvailable <= size else { throw .availableIndexJumped(from: nextAvailable, to: index) }
    knownAvailable = index
    return index != nextAvailable
  }

  // MARK: Used ring

  @inline(__always)
  mutating func push(_ entry: InFlightTable.Entry, written: UInt32) {
    let place = 4 + 8 * Int(nextUsed & (size - 1))
    parts.device.setWord32(place, UInt32(entry.id))
    parts.device.setWord32(place + 4, written)
    nextUsed &+= 1
    parts.device.releaseWord16(2, nextUsed)
  }

  // MARK: Notifications (virtio 1.3, 2.7.7 and 2.7.10)

  func suppressKicks() {
    // With the event index the old event stays: the driver kicks again when its index has come around.
    if !eventIndex { parts.device.setWord16(0, Self.noNotify) }
  }

  /// True when something was offered before the driver could know that we want to be kicked.
  func enableKicks() -> Bool {
    if eventIndex {
      parts.device.setWord16(4 + 8 * Int(size), nextAvailable)
    } else {
      parts.device.setWord16(0, 0)
    }
    fullBarrier()
    return parts.driver.word16(2) != nextAvailable
  }

  /// Whether the driver wants to hear of what was pushed since the last call.
  mutating func needsNotification() -> Bool {
    fullBarrier()
    defer {
      signalledUsed = nextUsed
      signalledIsValid = true
    }
    guard eventIndex else { return parts.driver.word16(0) & Self.noInterrupt == 0 }
    guard signalledIsValid else { return true }
    return passes(parts.driver.word16(4 + 2 * Int(size)), from: signalledUsed, to: nextUsed)
  }

  // MARK: Position

  /// The position with the last `chains` offered again.
  func base(without suffix: (chains: UInt64, slots: Int)) -> UInt32 {
    UInt32(nextAvailable &- UInt16(truncatingIfNeeded: suffix.chains))
  }
}
