import Buffers
import HubProtocol
import Platform

/// What buffers of many owners cost in the hub: registering and sharing, each operation among 10,000 others, one owner
/// and 16 readers.
enum SharedBuffers {
  private static let owner = "bench-owner"
  private static let reader = "bench-reader"

  /// One round, with a hub of its own.
  static func measure(_ programs: Programs, _ folder: WorkFolder, _ results: Results) throws(BenchError) {
    let hub = try programs.startHub(folder)
    defer { hub.program.end() }
    let pair = try SharingPair(hub: hub.socket, owner: owner, reader: reader)
    results.record(
      Figure(.buffers, "registered and acquired by a reader", .perSecond, beside: .nothing, .atLeast(20_000)),
      ours: try pair.rate())
    let fan = try FanOut(hub: hub.socket, readers: 16)
    let times = try fan.latencies(1000)
    results.record(
      Figure(
        .buffers, "update until the last of 16 readers has it: median", .microseconds, beside: .nothing, .atMost(1000)),
      ours: percentile(0.5, of: times))
    results.record(
      Figure(.buffers, "the same: 99th percentile", .microseconds, beside: .nothing),
      ours: percentile(0.99, of: times))
    try crowd(hub.socket, pair, results)
  }

  /// Each operation with 100 buffers alive, then with 10,000 of 64 VMs.
  private static func crowd(_ hub: String, _ pair: SharingPair, _ results: Results) throws(BenchError) {
    let few = try Crowd(hub: hub, buffers: 100, machines: 1, prefix: "few")
    let before = try pair.operations()
    let many = try Crowd(hub: hub, buffers: 9900, machines: 63, prefix: "many")
    let after = try pair.operations()
    for (name, time) in after {
      let figure = Figure(
        .buffers, "\(name), 10,000 buffers of 64 VMs alive", .microseconds, beside: .hundred, .ratioAtMost(2))
      results.record(figure, ours: time, peer: before.first { $0.name == name }?.time ?? .nan)
    }
    withExtendedLifetime((few, many)) {}
  }
}

/// An owner and a reader to whom everything is granted.
private final class SharingPair {
  private static let batch = 8
  private let owner: BufferPeer
  private let reader: BufferPeer
  private let party: Party
  private let readerParty: Party
  private let memory: HostBuffer
  private let descriptor: SharedDescriptor

  init(hub: String, owner: String, reader: String) throws(BenchError) {
    self.owner = try BufferPeer(hub: hub, .application, owner)
    self.reader = try BufferPeer(hub: hub, .application, reader)
    guard let ownerName = PeerName(owner), let readerName = PeerName(reader),
      let layout = PixelLayout(size: Size(width: 64, height: 64), format: .xrgb8888)
    else { throw .noRoom("a picture") }
    party = Party(.application, ownerName)
    readerParty = Party(.application, readerName)
    memory = try system { () throws(SystemError) in try HostBuffer(layout: layout) }
    let memory = memory
    descriptor = SharedDescriptor(try system { () throws(SystemError) in try memory.readOnlyDescriptor() })
    self.owner.add(.grant(GrantRequest(to: readerParty, object: .everything)))
    try self.owner.flush()
    try self.owner.expect(1, Self.isAccepted)
  }

  private static func isAccepted(_ message: Message) -> Bool {
    if case .application(.accepted) = message { true } else { false }
  }

  private static func isAcquired(_ message: Message) -> Bool {
    if case .application(.acquired) = message { true } else { false }
  }

  private func addOffer(_ id: BufferID) {
    let offer = BufferOffer(
      buffer: BufferDescription(id: id, layout: memory.layout),
      memory: MemoryDescription(hostFileOf: memory.layout, reason: .hostAllocated))
    owner.add(.offer(offer), descriptor: descriptor.raw)
  }

  /// Buffers a second, registered by one program and acquired by another. Their ends are not counted.
  func rate() throws(BenchError) -> Double {
    var nanoseconds: Int64 = 0
    var count = 0
    while nanoseconds < 1_000_000_000 {
      let ids = (0..<Self.batch).map { _ in BufferID.random() }
      let start = Stopwatch.now
      for id in ids { addOffer(id) }
      try owner.flush()
      try owner.expect(ids.count, Self.isAccepted)
      for id in ids { reader.add(.acquire(Acquisition(.id(id)))) }
      try reader.flush()
      try reader.expect(ids.count, Self.isAcquired)
      nanoseconds += Stopwatch.now - start
      count += ids.count
      try end(ids)
    }
    return Double(count) * 1e9 / Double(nanoseconds)
  }

  private func end(_ ids: [BufferID]) throws(BenchError) {
    for id in ids {
      reader.add(.release(id))
      owner.add(.withdraw(id))
    }
    try reader.flush()
    try owner.flush()
    try owner.expect(ids.count) { if case .bufferFreed = $0 { true } else { false } }
  }

  /// The median time of each operation, in microseconds.
  func operations() throws(BenchError) -> [(name: String, time: Double)] {
    var times: [String: [Double]] = [:]
    for _ in 0..<1500 { try life { times[$0, default: []].append($1) } }
    return ["offer", "look up", "acquire", "update", "release", "grant", "revoke", "query by name", "withdraw"].map {
      ($0, percentile(0.5, of: times[$0] ?? [.nan]))
    }
  }

  private func life(_ note: (String, Double) -> Void) throws(BenchError) {
    let id = BufferID.random()
    func time(_ name: String, _ body: () throws(BenchError) -> Void) throws(BenchError) {
      note(name, try Stopwatch.nanoseconds(body) / 1000)
    }
    try time("offer") { () throws(BenchError) in
      addOffer(id)
      try owner.flush()
      try owner.expect(1, Self.isAccepted)
    }
    try time("look up") { () throws(BenchError) in
      reader.add(.lookup(.id(id)))
      try reader.flush()
      try reader.expect(1) { if case .application(.bufferInfo) = $0 { true } else { false } }
    }
    try time("acquire") { () throws(BenchError) in
      reader.add(.acquire(Acquisition(.id(id), wantsUpdates: true)))
      try reader.flush()
      try reader.expect(1, Self.isAcquired)
    }
    try time("update") { () throws(BenchError) in
      owner.add(.update(BufferUpdate(id: id, damage: Rectangle(memory.layout.size), generation: 1)))
      try owner.flush()
      try reader.expect(1) { if case .application(.updated) = $0 { true } else { false } }
    }
    try time("release") { () throws(BenchError) in
      reader.add(.release(id))
      try reader.flush()
      try owner.expect(1) { if case .application(.bufferDone) = $0 { true } else { false } }
    }
    try grants(id, time)
    try time("withdraw") { () throws(BenchError) in
      owner.add(.withdraw(id))
      try owner.flush()
      try owner.expect(1) { if case .bufferFreed = $0 { true } else { false } }
    }
  }

  private func grants(
    _ id: BufferID, _ time: (String, () throws(BenchError) -> Void) throws(BenchError) -> Void
  ) throws(BenchError) {
    var number = GrantID(rawValue: 0)
    try time("grant") { () throws(BenchError) in
      owner.add(.grant(GrantRequest(to: readerParty, object: .id(id))))
      try owner.flush()
      try owner.expect(1) {
        guard case .application(.accepted(let given?)) = $0 else { return false }
        number = given
        return true
      }
    }
    try time("revoke") { () throws(BenchError) in
      owner.add(.revoke(number))
      try owner.flush()
      try owner.expect(1, Self.isAccepted)
    }
    try time("query by name") { () throws(BenchError) in
      reader.add(.lookup(.name(party.name, owner: party)))
      try reader.flush()
      try reader.expect(1) { if case .error = $0 { true } else { false } }
    }
  }
}

/// An owner whose updates 16 readers are told.
private final class FanOut {
  private let owner: BufferPeer
  private var readers: [BufferPeer] = []
  private let id = BufferID.random()
  private let memory: HostBuffer
  private var generation: UInt64 = 0

  init(hub: String, readers count: Int) throws(BenchError) {
    owner = try BufferPeer(hub: hub, .application, "fan-owner")
    guard let layout = PixelLayout(size: Size(width: 64, height: 64), format: .xrgb8888) else {
      throw .noRoom("a picture")
    }
    memory = try system { () throws(SystemError) in try HostBuffer(layout: layout) }
    let memory = memory
    let descriptor = SharedDescriptor(try system { () throws(SystemError) in try memory.readOnlyDescriptor() })
    let offer = BufferOffer(
      buffer: BufferDescription(id: id, layout: layout),
      memory: MemoryDescription(hostFileOf: layout, reason: .hostAllocated))
    owner.add(.offer(offer), descriptor: descriptor.raw)
    try owner.flush()
    try owner.expect(1) { if case .application(.accepted) = $0 { true } else { false } }
    for number in 0..<count { try addReader(hub, "fan-\(number)") }
  }

  private func addReader(_ hub: String, _ name: String) throws(BenchError) {
    let reader = try BufferPeer(hub: hub, .application, name)
    guard let peer = PeerName(name) else { throw .program(name, "is no name") }
    owner.add(.grant(GrantRequest(to: Party(.application, peer), object: .everything)))
    try owner.flush()
    try owner.expect(1) { if case .application(.accepted) = $0 { true } else { false } }
    reader.add(.acquire(Acquisition(.id(id), wantsUpdates: true)))
    try reader.flush()
    try reader.expect(1) { if case .application(.acquired) = $0 { true } else { false } }
    readers.append(reader)
  }

  /// Microseconds from sending an update until the last reader has it.
  func latencies(_ count: Int) throws(BenchError) -> [Double] {
    var times: [Double] = []
    for _ in 0..<count {
      generation += 1
      times.append(
        try Stopwatch.nanoseconds { () throws(BenchError) in
          owner.add(.update(BufferUpdate(id: id, damage: Rectangle(memory.layout.size), generation: generation)))
          try owner.flush()
          for reader in readers {
            try reader.expect(1) { if case .application(.updated) = $0 { true } else { false } }
          }
        } / 1000)
    }
    return times
  }
}

/// Many buffers of many VMs, which only are there.
private final class Crowd {
  private var machines: [BufferPeer] = []
  private let memory: HostBuffer

  init(hub: String, buffers: Int, machines count: Int, prefix: String) throws(BenchError) {
    guard let layout = PixelLayout(size: Size(width: 64, height: 64), format: .xrgb8888) else {
      throw .noRoom("a picture")
    }
    memory = try system { () throws(SystemError) in try HostBuffer(layout: layout) }
    let memory = memory
    let descriptor = SharedDescriptor(try system { () throws(SystemError) in try memory.readOnlyDescriptor() })
    for number in 0..<count { machines.append(try BufferPeer(hub: hub, .producer, "\(prefix)-\(number)")) }
    for number in 0..<buffers {
      let machine = machines[number % count]
      let description = BufferDescription(id: .random(), layout: layout)
      machine.add(.bufferRegister(description, MemoryDescription(hostFileOf: layout)), descriptor: descriptor.raw)
      if number / count % 8 == 7 { try machine.flush() }
    }
    for machine in machines { try settle(machine) }
  }

  /// Waits until everything before has been taken in.
  private func settle(_ machine: BufferPeer) throws(BenchError) {
    machine.add(.lookup(.id(.random())))
    try machine.flush()
    try machine.expect(1) { if case .error = $0 { true } else { false } }
  }
}
