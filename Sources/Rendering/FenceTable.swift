import GPUDevice
import Platform

/// Fences that the library has yet to finish, by numbers of our own: a guest's may be any, and repeat.
struct FenceTable {
  struct Fence {
    let id: FenceID
    let access: ContextAccess
    fileprivate let number: UInt64
  }

  private struct Ring: Hashable {
    let context: ContextID
    let ring: UInt8
  }

  /// Fences that are done one after the other.
  private struct Timeline {
    private(set) var fences: [Fence] = []
    /// Since when all that is before the first one is done.
    private(set) var since = MonotonicTime(nanoseconds: 0)

    var first: Fence? { fences.first }

    mutating func append(_ fence: Fence) {
      if fences.isEmpty { since = .now }
      fences.append(fence)
    }

    mutating func removeFirst() -> Fence {
      since = .now
      return fences.removeFirst()
    }
  }

  private var device = Timeline()
  private var rings: [Ring: Timeline] = [:]
  private var lastDeviceNumber: UInt32 = 0
  private var lastRingNumber: UInt64 = 0

  /// The next number on the timeline that all contexts share: the library has 32 bits for it.
  mutating func nextDeviceNumber() -> UInt32 {
    lastDeviceNumber &+= 1
    return lastDeviceNumber
  }

  /// The next number on a ring.
  mutating func nextRingNumber() -> UInt64 {
    lastRingNumber &+= 1
    return lastRingNumber
  }

  mutating func append(_ id: FenceID, _ number: UInt32, _ access: ContextAccess) {
    device.append(Fence(id: id, access: access, number: UInt64(number)))
  }

  mutating func append(_ id: FenceID, _ number: UInt64, _ access: ContextAccess, ring: UInt8) {
    rings[Ring(context: access.id, ring: ring), default: Timeline()].append(
      Fence(id: id, access: access, number: number))
  }

  /// The oldest fence that is done when this one is. Numbers start again after 2^32.
  mutating func removeFirst(through number: UInt32) -> Fence? {
    guard let first = device.first else { return nil }
    let distance = Int32(bitPattern: number &- UInt32(truncatingIfNeeded: first.number))
    return distance >= 0 ? device.removeFirst() : nil
  }

  mutating func removeFirst(of context: ContextID, ring: UInt8, through number: UInt64) -> Fence? {
    let key = Ring(context: context, ring: ring)
    guard let first = rings[key]?.first, first.number <= number else { return nil }
    return rings[key]?.removeFirst()
  }

  /// Whether a context has any on its rings.
  func isEmpty(of context: ContextID) -> Bool {
    !rings.contains { $0.key.context == context && !$0.value.fences.isEmpty }
  }

  /// A context has gone, or what it draws with: who waits on its rings, each ring's fences in their order.
  @discardableResult
  mutating func removeAll(of context: ContextID) -> [(ring: UInt8, fence: Fence)] {
    var removed: [(ring: UInt8, fence: Fence)] = []
    for key in Array(rings.keys) where key.context == context {
      for fence in rings.removeValue(forKey: key)?.fences ?? [] { removed.append((key.ring, fence)) }
    }
    return removed
  }

  /// Since when the fence that has been next to be done for the longest time has been that; nil when none waits.
  var waitsSince: MonotonicTime? {
    let waiting = rings.values.filter { $0.first != nil }.map(\.since)
    return (device.first == nil ? waiting : waiting + [device.since]).min()
  }
}
