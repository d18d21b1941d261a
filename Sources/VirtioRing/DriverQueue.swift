/// The driver's side of a virtqueue, split or packed: what a guest does.
///
/// It knows neither where memory comes from nor how a device is woken: its user gives it a ring's three parts, looks at
/// ``wantsKick()`` after each ``add(readable:writable:table:)``, and writes the queue's number where the transport
/// wants it. It trusts the device as little as a device trusts a driver: what a device must not do ends up in
/// ``violations`` and changes nothing else. Nothing here allocates once the queue is made, violations apart.
public struct DriverQueue: ~Copyable {
  /// A piece of memory that the device reads or writes.
  public struct Buffer: Equatable, Sendable {
    /// Where it begins.
    public var address: GuestAddress
    /// Its length in bytes.
    public var count: UInt32

    /// Names a piece.
    @inlinable
    public init(_ address: GuestAddress, _ count: UInt32) {
      self.address = address
      self.count = count
    }
  }

  /// Memory of the driver's for the descriptors of one request: 16 bytes each. It is the request's until its completion.
  public struct IndirectTable {
    /// Where the device sees it.
    public var address: GuestAddress
    /// Where the driver sees it, aligned to 16.
    public var base: UnsafeMutableRawPointer

    /// Names a table's memory.
    public init(address: GuestAddress, base: UnsafeMutableRawPointer) {
      self.address = address
      self.base = base
    }
  }

  /// A request that the device has given back.
  public struct Completion: Equatable, Sendable {
    /// What ``DriverQueue/add(readable:writable:table:)`` returned.
    public let token: UInt16
    /// How many bytes the device claims to have written.
    public let written: UInt32

    /// A request that came back.
    public init(token: UInt16, written: UInt32) {
      self.token = token
      self.written = written
    }
  }

  /// One request's bookkeeping, by token.
  private struct Request {
    var isInFlight = false
    var slots: UInt16 = 0
    var capacity: UInt64 = 0
  }

  /// What was settled about the queue.
  public let configuration: VirtqueueConfiguration
  private var log = ViolationLog()
  private var split: SplitDriverRing?
  private var packed: PackedDriverRing?
  private var requests: [Request]

  /// An empty ring, whose parts have what ``RingExtents`` says and are cleared here.
  public init(_ configuration: VirtqueueConfiguration, parts: RingParts) throws(VirtqueueError) {
    try configuration.validate()
    self.configuration = configuration
    switch configuration.format {
    case .split: split = SplitDriverRing(configuration, parts)
    case .packed: packed = PackedDriverRing(configuration, parts)
    }
    requests = Array(repeating: Request(), count: Int(configuration.size))
  }

  /// What the device did wrong: the first of it.
  public var violations: [Violation] { log.first }
  /// How often the device did something wrong.
  public var violationCount: Int { log.count }

  // MARK: Requests

  /// What the next request will be called; nil when the ring is full.
  public var nextToken: UInt16? {
    guard freeSlots > 0 else { return nil }
    return split?.nextToken ?? packed?.nextToken
  }

  /// Offers a request; its token, or nil when the ring is full. The device hears of it by a kick: ``wantsKick()``.
  ///
  /// With a `table` the descriptors go there and take one slot of the ring; that feature must have been negotiated.
  public mutating func add(
    readable: Span<Buffer>, writable: Span<Buffer>, table: IndirectTable? = nil
  ) -> UInt16? {
    let count = readable.count + writable.count
    let slots = table == nil ? count : 1
    guard count > 0, slots <= freeSlots, let token = nextToken else { return nil }
    var capacity: UInt64 = 0
    for index in writable.indices { capacity += UInt64(writable[index].count) }
    requests[Int(token)] = Request(isInFlight: true, slots: UInt16(slots), capacity: capacity)
    if let table {
      fill(table, readable, writable)
      append(
        Descriptor(
          address: table.address.rawValue, count: UInt32(16 * count), flags: Descriptor.indirect, link: token))
    } else {
      var left = count
      for index in readable.indices { append(readable[index], 0, token, &left) }
      for index in writable.indices { append(writable[index], Descriptor.write, token, &left) }
    }
    split?.offer()
    packed?.offer(slots: UInt16(slots))
    return token
  }

  private mutating func append(_ buffer: Buffer, _ flags: UInt16, _ token: UInt16, _ left: inout Int) {
    left -= 1
    append(
      Descriptor(
        address: buffer.address.rawValue, count: buffer.count, flags: flags | (left > 0 ? Descriptor.next : 0),
        link: token))
  }

  private mutating func append(_ descriptor: Descriptor) {
    split?.append(descriptor)
    packed?.append(descriptor)
  }

  private func fill(_ table: IndirectTable, _ readable: Span<Buffer>, _ writable: Span<Buffer>) {
    let count = readable.count + writable.count
    for index in 0..<count {
      let isWritable = index >= readable.count
      let buffer = isWritable ? writable[index - readable.count] : readable[index]
      let descriptor = Descriptor(
        address: buffer.address.rawValue, count: buffer.count, flags: isWritable ? Descriptor.write : 0,
        link: UInt16(truncatingIfNeeded: index + 1))
      descriptor.write(to: table.base + 16 * index, configuration.format, linked: index + 1 < count)
    }
  }

  /// How many more descriptors the ring can take.
  public var freeSlots: Int { split?.freeSlots ?? packed?.freeSlots ?? 0 }

  /// How many requests the device has not given back.
  public var inFlightCount: Int { requests.count { $0.isInFlight } }

  /// The next request that the device has given back; nil when there is none.
  public mutating func poll() -> Completion? {
    while let (id, written) = split?.takeUsed(&log) ?? packed?.peekUsed() {
      guard id < UInt32(requests.count), requests[Int(id)].isInFlight else {
        log.append(.unknownToken(id))
        packed?.skipUsed(slots: 1)
        continue
      }
      return complete(UInt16(id), written)
    }
    return nil
  }

  private mutating func complete(_ token: UInt16, _ written: UInt32) -> Completion {
    let request = requests[Int(token)]
    requests[Int(token)].isInFlight = false
    if UInt64(written) > request.capacity {
      log.append(.writtenBeyondEnd(token: token, written: written, capacity: request.capacity))
    }
    split?.free(token)
    packed?.free(token, slots: request.slots)
    return Completion(token: token, written: written)
  }

  // MARK: Notifications

  /// Whether the device wants to hear of what was added since the last call.
  public mutating func wantsKick() -> Bool {
    split?.wantsKick() ?? packed?.wantsKick() ?? false
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

  // MARK: Hostile acts, for tests of devices

  /// Writes a descriptor of the table or ring as it is, with flags of any kind. `link` is `next` (split) or `id` (packed).
  package func poke(_ index: Int, address: GuestAddress, count: UInt32, flags: UInt16, link: UInt16) {
    let descriptor = Descriptor(address: address.rawValue, count: count, flags: flags, link: link)
    split?.poke(index, descriptor)
    packed?.poke(index, descriptor)
  }

  /// Offers a split ring's descriptor as the head of a chain, whatever it is.
  package mutating func offer(head: UInt16) {
    split?.offer(head: head)
  }

  /// Sets a split ring's available index to any value.
  package mutating func setAvailableIndex(_ index: UInt16) {
    split?.setAvailableIndex(index)
  }
}
