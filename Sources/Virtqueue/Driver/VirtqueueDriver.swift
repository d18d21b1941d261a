import Platform

/// A ``DriverQueue`` with memory and doorbells of its own: a guest for tests, benchmarks and fuzzers.
public final class VirtqueueDriver {
  /// A piece of guest memory that the device reads or writes.
  public typealias Buffer = DriverQueue.Buffer
  /// A request that the device has given back.
  public typealias Completion = DriverQueue.Completion
  /// Something a device must never do.
  public typealias Violation = DriverQueue.Violation

  /// Where ring and buffers lie.
  public let arena: GuestArena
  /// The ring, for the device: addresses of guest memory, starting position of a new queue.
  public let configuration: VirtqueueConfiguration
  /// Wakes the device.
  public let kickBell: Doorbell
  /// Wakes the driver.
  public let callBell: Doorbell

  @exclusivity(unchecked) private var queue: DriverQueue
  /// The memory of the indirect tables, by token.
  @exclusivity(unchecked) private var tables: [Table]

  private struct Table {
    var address = GuestAddress(0)
    var capacity = 0
  }

  /// Allocates a ring in region `region` of `arena`.
  public init(
    arena: GuestArena, size: UInt32, format: VirtqueueConfiguration.Format, eventIndex: Bool = true,
    region: Int = 0
  ) throws(VirtqueueDriverError) {
    let extents = RingExtents(size: size, format: format, eventIndex: eventIndex)
    let addresses = VirtqueueAddresses(
      descriptors: try arena.allocate(extents.descriptors, region: region).rawValue,
      driver: try arena.allocate(extents.driver, region: region).rawValue,
      device: try arena.allocate(extents.device, region: region).rawValue, space: .guest)
    self.arena = arena
    configuration = VirtqueueConfiguration(
      size: size, format: format, eventIndex: eventIndex, indirectDescriptors: true, addresses: addresses)
    do {
      kickBell = try Doorbell()
      callBell = try Doorbell()
    } catch {
      throw .system(error)
    }
    tables = Array(repeating: Table(), count: Int(size))
    queue = try Self.emptyQueue(configuration, in: arena)
  }

  /// The ring's addresses as vhost-user's SET_VRING_ADDR takes them.
  public var userAddresses: VirtqueueAddresses {
    let addresses = configuration.addresses
    return VirtqueueAddresses(
      descriptors: arena.userAddress(of: GuestAddress(addresses.descriptors)),
      driver: arena.userAddress(of: GuestAddress(addresses.driver)),
      device: arena.userAddress(of: GuestAddress(addresses.device)))
  }

  /// Back to an empty ring, as after a reset of the device.
  public func reset() throws(VirtqueueDriverError) {
    queue = try Self.emptyQueue(configuration, in: arena)
  }

  private static func emptyQueue(
    _ configuration: VirtqueueConfiguration, in arena: GuestArena
  ) throws(VirtqueueDriverError) -> DriverQueue {
    do {
      return try DriverQueue(configuration, parts: RingParts(configuration, in: arena.memory))
    } catch {
      throw .memory(.notMapped(at: GuestAddress(configuration.addresses.descriptors), count: 0))
    }
  }

  /// What the device did wrong so far.
  public var violations: [Violation] { queue.violations }

  // MARK: Requests

  /// Offers a request; its token, or nil when the ring is full. The device hears of it by ``kick()``.
  ///
  /// With `indirect` the descriptors go into a table beside the ring and take one slot.
  public func add(readable: [Buffer], writable: [Buffer], indirect: Bool = false) -> UInt16? {
    guard indirect else { return queue.add(readable: readable.span, writable: writable.span) }
    guard let token = queue.nextToken, let table = table(of: token, readable.count + writable.count) else { return nil }
    return queue.add(readable: readable.span, writable: writable.span, table: table)
  }

  /// Room for a request's descriptors; nil when the arena is full.
  private func table(of token: UInt16, _ count: Int) -> DriverQueue.IndirectTable? {
    if tables[Int(token)].capacity < count {
      guard let address = try? arena.allocate(16 * count) else { return nil }
      tables[Int(token)] = Table(address: address, capacity: count)
    }
    let address = tables[Int(token)].address
    guard let base = arena.bytes(at: address, count: 16 * count).baseAddress else { return nil }
    return DriverQueue.IndirectTable(address: address, base: base)
  }

  /// How many more descriptors the ring can take.
  public var freeSlots: Int { queue.freeSlots }

  /// How many requests the device has not given back.
  public var inFlightCount: Int { queue.inFlightCount }

  /// The next request that the device has given back; nil when there is none.
  public func poll() -> Completion? { queue.poll() }

  // MARK: Notifications

  /// Rings the device's doorbell when it wants to hear of what was added since the last call; whether it did.
  @discardableResult
  public func kick() -> Bool {
    let wanted = queue.wantsKick()
    if wanted { kickBell.ring() }
    return wanted
  }

  /// Asks to be called at the next completion; true when one has come meanwhile, so that the driver must poll again.
  public func enableCalls() -> Bool {
    queue.enableCalls()
  }

  /// Asks not to be called.
  public func suppressCalls() {
    queue.suppressCalls()
  }

  /// Whether the device has called since this was asked last.
  public func wasCalled() -> Bool {
    callBell.drain()
  }

  // MARK: Hostile acts

  /// Writes a descriptor of the table or ring as it is, with flags of any kind. `link` is `next` (split) or `id` (packed).
  public func poke(_ index: Int, address: GuestAddress, count: UInt32, flags: UInt16, link: UInt16) {
    queue.poke(index, address: address, count: count, flags: flags, link: link)
  }

  /// Offers a split ring's descriptor as the head of a chain, whatever it is.
  public func offer(head: UInt16) {
    queue.offer(head: head)
  }

  /// Sets a split ring's available index to any value.
  public func setAvailableIndex(_ index: UInt16) {
    queue.setAvailableIndex(index)
  }
}
