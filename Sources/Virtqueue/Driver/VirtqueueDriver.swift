import Platform

/// The driver's side of a virtqueue: what a guest does. For tests, benchmarks and fuzzers.
///
/// It trusts the device as little as the device trusts it: what the device must not do is counted in ``violations``.
public final class VirtqueueDriver {
  /// A piece of guest memory that the device reads or writes.
  public struct Buffer: Equatable, Sendable {
    /// Where it begins.
    public var address: GuestAddress
    /// Its length in bytes.
    public var count: UInt32

    /// Names a piece.
    public init(_ address: GuestAddress, _ count: UInt32) {
      self.address = address
      self.count = count
    }
  }

  /// A request that the device has given back.
  public struct Completion: Equatable, Sendable {
    /// What ``VirtqueueDriver/add(readable:writable:indirect:)`` returned.
    public let token: UInt16
    /// How many bytes the device claims to have written.
    public let written: UInt32
  }

  /// Something a device must never do.
  public enum Violation: Equatable, Sendable {
    /// It completed what was not in flight.
    case unknownToken(UInt32)
    /// It claims more bytes than the request could take.
    case writtenBeyondEnd(token: UInt16, written: UInt32, capacity: UInt64)
    /// Its used index ran ahead by more than the ring.
    case usedIndexJumped(from: UInt16, to: UInt16)
  }

  /// Where ring and buffers lie.
  public let arena: GuestArena
  /// The ring, for the device: addresses of guest memory, starting position of a new queue.
  public let configuration: VirtqueueConfiguration
  /// Wakes the device.
  public let kickDescriptor: SharedDescriptor
  /// Wakes the driver.
  public let callDescriptor: SharedDescriptor
  /// What the device did wrong so far.
  @exclusivity(unchecked) public private(set) var violations: [Violation] = []

  @exclusivity(unchecked) private var split: SplitDriverRing?
  @exclusivity(unchecked) private var packed: PackedDriverRing?
  @exclusivity(unchecked) private var requests: [Request]

  /// One request's bookkeeping, by token.
  private struct Request {
    var isInFlight = false
    var slots: UInt16 = 0
    var capacity: UInt64 = 0
    var table = GuestAddress(0)
    var tableCapacity = 0
  }

  /// Allocates a ring in region `region` of `arena`.
  public init(
    arena: GuestArena, size: UInt32, format: VirtqueueConfiguration.Format, eventIndex: Bool = true,
    region: Int = 0
  ) throws(VirtqueueDriverError) {
    let count = Int(size)
    let descriptors = try arena.allocate(16 * count, alignment: 16, region: region)
    let driver = try arena.allocate(format == .split ? 6 + 2 * count : 4, alignment: 4, region: region)
    let device = try arena.allocate(format == .split ? 6 + 8 * count : 4, alignment: 4, region: region)
    self.arena = arena
    configuration = VirtqueueConfiguration(
      size: size, format: format, eventIndex: eventIndex, indirectDescriptors: true,
      addresses: VirtqueueAddresses(
        descriptors: descriptors.rawValue, driver: driver.rawValue, device: device.rawValue, space: .guest))
    do {
      kickDescriptor = SharedDescriptor(try Doorbell.create())
      callDescriptor = SharedDescriptor(try Doorbell.create())
    } catch {
      throw .system(error)
    }
    requests = Array(repeating: Request(), count: count)
    try reset()
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
    let parts: RingParts
    do {
      parts = try RingParts(configuration, in: arena.memory)
    } catch {
      throw .memory(.notMapped(at: GuestAddress(configuration.addresses.descriptors), count: 0))
    }
    switch configuration.format {
    case .split: split = SplitDriverRing(configuration, parts)
    case .packed: packed = PackedDriverRing(configuration, parts)
    }
    for index in requests.indices { requests[index].isInFlight = false }
    violations = []
  }

  // MARK: Requests

  /// Offers a request; its token, or nil when the ring is full. The device hears of it by ``kick()``.
  ///
  /// With `indirect` the descriptors go into a table beside the ring and take one slot.
  public func add(readable: [Buffer], writable: [Buffer], indirect: Bool = false) -> UInt16? {
    let count = readable.count + writable.count
    let slots = indirect ? 1 : count
    guard count > 0, slots <= freeSlots, let token = split?.nextToken ?? packed?.nextToken else { return nil }
    requests[Int(token)].slots = UInt16(slots)
    requests[Int(token)].capacity = writable.reduce(0) { $0 + UInt64($1.count) }
    requests[Int(token)].isInFlight = true
    if indirect {
      guard let table = fillTable(token, readable, writable) else {
        requests[Int(token)].isInFlight = false
        return nil
      }
      append(Descriptor(address: table, count: UInt32(16 * count), flags: Descriptor.indirect, link: token))
    } else {
      var left = count
      for buffer in readable { append(buffer, 0, token, &left) }
      for buffer in writable { append(buffer, Descriptor.write, token, &left) }
    }
    split?.offer()
    packed?.offer(slots: UInt16(slots))
    return token
  }

  private func append(_ buffer: Buffer, _ flags: UInt16, _ token: UInt16, _ left: inout Int) {
    left -= 1
    append(
      Descriptor(
        address: buffer.address.rawValue, count: buffer.count, flags: flags | (left > 0 ? Descriptor.next : 0),
        link: token))
  }

  private func append(_ descriptor: Descriptor) {
    split?.append(descriptor)
    packed?.append(descriptor)
  }

  /// Writes a request's indirect table; its address, or nil when the arena is full.
  private func fillTable(_ token: UInt16, _ readable: [Buffer], _ writable: [Buffer]) -> UInt64? {
    let count = readable.count + writable.count
    if requests[Int(token)].tableCapacity < count {
      guard let table = try? arena.allocate(16 * count) else { return nil }
      requests[Int(token)].table = table
      requests[Int(token)].tableCapacity = count
    }
    let address = requests[Int(token)].table
    guard let table = arena.bytes(at: address, count: 16 * count).baseAddress else { return nil }
    for index in 0..<count {
      let isWritable = index >= readable.count
      let buffer = isWritable ? writable[index - readable.count] : readable[index]
      let descriptor = Descriptor(
        address: buffer.address.rawValue, count: buffer.count, flags: isWritable ? Descriptor.write : 0,
        link: UInt16(truncatingIfNeeded: index + 1))
      descriptor.write(to: table + 16 * index, configuration.format, linked: index + 1 < count)
    }
    return address.rawValue
  }

  /// How many more descriptors the ring can take.
  public var freeSlots: Int { split?.freeSlots ?? packed?.freeSlots ?? 0 }

  /// How many requests the device has not given back.
  public var inFlightCount: Int { requests.count { $0.isInFlight } }

  /// The next request that the device has given back; nil when there is none.
  public func poll() -> Completion? {
    while let (id, written) = split?.takeUsed(&violations) ?? packed?.peekUsed() {
      guard id < UInt32(requests.count), requests[Int(id)].isInFlight else {
        violations.append(.unknownToken(id))
        packed?.skipUsed(slots: 1)
        continue
      }
      return complete(UInt16(id), written)
    }
    return nil
  }

  private func complete(_ token: UInt16, _ written: UInt32) -> Completion {
    let request = requests[Int(token)]
    requests[Int(token)].isInFlight = false
    if UInt64(written) > request.capacity {
      violations.append(.writtenBeyondEnd(token: token, written: written, capacity: request.capacity))
    }
    split?.free(token)
    packed?.free(token, slots: request.slots)
    return Completion(token: token, written: written)
  }

  // MARK: Notifications

  /// Rings the device's doorbell when it wants to hear of what was added since the last call; whether it did.
  @discardableResult
  public func kick() -> Bool {
    let wanted = split?.wantsKick() ?? packed?.wantsKick() ?? false
    if wanted { Doorbell.ring(kickDescriptor.raw) }
    return wanted
  }

  /// Asks to be called at the next completion; true when one has come meanwhile, so that the driver must poll again.
  public func enableCalls() -> Bool {
    split?.enableCalls() ?? packed?.enableCalls() ?? false
  }

  /// Asks not to be called.
  public func suppressCalls() {
    split?.suppressCalls()
    packed?.suppressCalls()
  }

  /// Whether the device has called since this was asked last.
  public func wasCalled() -> Bool {
    Doorbell.drain(callDescriptor.raw)
  }

  // MARK: Hostile acts

  /// Writes a descriptor of the table or ring as it is, with flags of any kind. `link` is `next` (split) or `id` (packed).
  public func poke(_ index: Int, address: GuestAddress, count: UInt32, flags: UInt16, link: UInt16) {
    let descriptor = Descriptor(address: address.rawValue, count: count, flags: flags, link: link)
    split?.poke(index, descriptor)
    packed?.poke(index, descriptor)
  }

  /// Offers a split ring's descriptor as the head of a chain, whatever it is.
  public func offer(head: UInt16) {
    split?.offer(head: head)
  }

  /// Sets a split ring's available index to any value.
  public func setAvailableIndex(_ index: UInt16) {
    split?.setAvailableIndex(index)
  }
}
