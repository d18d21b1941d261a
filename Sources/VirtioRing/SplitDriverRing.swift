/// The driver's side of a split virtqueue (virtio 1.3, 2.7).
struct SplitDriverRing {
  private let parts: RingParts
  private let size: UInt16
  private let eventIndex: Bool

  /// The free list: each free descriptor's successor, kept out of the shared memory.
  private var successor: [UInt16]
  private var freeHead: UInt16 = 0
  private(set) var freeSlots: Int
  /// The descriptors of the request that is being written.
  private var open: (first: UInt16, last: UInt16)?
  /// Where the chain of each request ends, by head.
  private var lastOf: [UInt16]
  private var slotsOf: [Int]

  private var available: UInt16 = 0
  private var kicked: UInt16 = 0
  private var nextUsed: UInt16 = 0

  init(_ configuration: VirtqueueConfiguration, _ parts: RingParts) {
    self.parts = parts
    size = UInt16(configuration.size)
    eventIndex = configuration.eventIndex
    successor = (0..<size).map { $0 + 1 }
    lastOf = Array(repeating: 0, count: Int(size))
    slotsOf = Array(repeating: 0, count: Int(size))
    freeSlots = Int(size)
    let event = configuration.eventIndex ? 2 : 0
    parts.descriptors.initializeMemory(as: UInt8.self, repeating: 0, count: 16 * Int(size))
    parts.driver.initializeMemory(as: UInt8.self, repeating: 0, count: 4 + 2 * Int(size) + event)
    parts.device.initializeMemory(as: UInt8.self, repeating: 0, count: 4 + 8 * Int(size) + event)
  }

  /// The token of the next request: the head of its chain.
  var nextToken: UInt16? { freeSlots > 0 ? freeHead : nil }

  /// Adds a descriptor to the request that is being written.
  mutating func append(_ descriptor: Descriptor) {
    let slot = freeHead
    freeHead = successor[Int(slot)]
    freeSlots -= 1
    var descriptor = descriptor
    descriptor.link = freeHead
    descriptor.write(to: parts.descriptors + 16 * Int(slot), .split, linked: descriptor.hasNext)
    let first = open?.first ?? slot
    open = (first, slot)
    slotsOf[Int(first)] = first == slot ? 1 : slotsOf[Int(first)] + 1
  }

  /// Makes the request that was written available.
  mutating func offer() {
    guard let (first, last) = open else { return }
    lastOf[Int(first)] = last
    open = nil
    offer(head: first)
  }

  mutating func offer(head: UInt16) {
    parts.driver.setWord16(4 + 2 * Int(available & (size - 1)), head)
    available &+= 1
    parts.driver.releaseWord16(2, available)
  }

  mutating func setAvailableIndex(_ index: UInt16) {
    available = index
    parts.driver.releaseWord16(2, index)
  }

  func poke(_ index: Int, _ descriptor: Descriptor) {
    descriptor.write(to: parts.descriptors + 16 * index, .split, linked: nil)
  }

  /// Takes the next entry of the used ring.
  mutating func takeUsed(_ violations: inout ViolationLog) -> (id: UInt32, written: UInt32)? {
    let index = parts.device.acquireWord16(2)
    guard index != nextUsed else { return nil }
    if index &- nextUsed > size {
      violations.append(.usedIndexJumped(from: nextUsed, to: index))
      nextUsed = index
      return nil
    }
    let place = 4 + 8 * Int(nextUsed & (size - 1))
    nextUsed &+= 1
    return (parts.device.word32(place), parts.device.word32(place + 4))
  }

  /// Puts the descriptors of a completed request back on the free list.
  mutating func free(_ head: UInt16) {
    successor[Int(lastOf[Int(head)])] = freeHead
    freeHead = head
    freeSlots += slotsOf[Int(head)]
  }

  mutating func wantsKick() -> Bool {
    fullBarrier()
    defer { kicked = available }
    guard eventIndex else { return parts.device.word16(0) & 1 == 0 }
    return passes(parts.device.word16(4 + 8 * Int(size)), from: kicked, to: available)
  }

  func enableCalls() -> Bool {
    if eventIndex { parts.driver.setWord16(4 + 2 * Int(size), nextUsed) } else { parts.driver.setWord16(0, 0) }
    fullBarrier()
    return parts.device.word16(2) != nextUsed
  }

  func suppressCalls() {
    if eventIndex { parts.driver.setWord16(4 + 2 * Int(size), nextUsed &- 1) } else { parts.driver.setWord16(0, 1) }
  }
}
