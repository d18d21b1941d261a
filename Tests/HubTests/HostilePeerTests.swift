import Buffers
import Glibc
import TestSupport
import Testing

@testable import Hub
@testable import HubProtocol
@testable import Platform

@Suite struct HostilePeerTests {
  /// A hub with one VM on one display that must go on whatever the others do.
  private struct Bystanders {
    let world: World
    let display: (client: ConsumerClient, log: DisplayLog)
    let producer: (client: ProducerClient, log: ProducerLog)

    init(_ configure: (inout Hub.Configuration) -> Void = { _ in }) throws {
      let world = try World(configure)
      self.world = world
      display = world.display("bystander")
      producer = world.producer("bystander", latchLimit: .milliseconds(40))
      try producer.client.show(try picture(1))
      let log = display.log
      try world.wait("the bystander is shown") { log.buffer("bystander") != nil }
      log.history = []
    }

    /// A flush still goes round, and nothing of the picture changed.
    func areFine() throws {
      let serial = try #require(producer.client.flush(ScanoutIndex(0), damage: .empty))
      try world.wait("the bystander's flush is latched") { producer.log.latched.last?.serial == serial }
      #expect(display.log.history.filter { $0.hasPrefix("bystander") }.isEmpty)
      #expect(producer.log.links.count == 1)
      #expect(display.log.links.count == 1)
    }
  }

  @Test func `garbage ends its sender with a reason, and nobody else notices`() throws {
    let bystanders = try Bystanders()
    for bytes in [[UInt8](repeating: 0xff, count: 300), [1], [UInt8](repeating: 0, count: 16)] {
      let peer = try bystanders.world.raw()
      try peer.send(bytes)
      #expect(try peer.refusal()?.code == .malformed)
    }
    try bystanders.areFine()
  }

  @Test func `garbage after a good beginning takes the VM away and nothing else`() throws {
    let bystanders = try Bystanders()
    let peer = try bystanders.world.raw()
    _ = try peer.becomeProducer("bad")
    try bystanders.world.wait("shown") { bystanders.display.log.buffer("bad") != nil }
    try peer.send([UInt8](repeating: 0x42, count: 64))
    #expect(try peer.refusal()?.code == .malformed)
    try bystanders.world.wait("gone") { bystanders.display.log.absence("bad") == .gone }
    try bystanders.areFine()
  }

  @Test func `a message before hello is not permitted`() throws {
    let world = try World()
    let peer = try world.raw()
    try peer.send(.vmState(connected: true))
    #expect(try peer.refusal()?.code == .notPermitted)
  }

  @Test func `another version is refused`() throws {
    let world = try World()
    let peer = try world.raw()
    var hello = Hello(role: .producer, name: PeerName("a")!)
    hello.version = 2
    try peer.send(.hello(hello))
    #expect(try peer.refusal()?.code == .version)
  }

  @Test(arguments: [Role.producer, .consumer, .control])
  func `a second hello, or a message of another role or of the hub, is not permitted`(role: Role) throws {
    let world = try World()
    let id = BufferID.random()
    var messages: [Message] = [
      .hello(Hello(role: role, name: PeerName("again")!)), .flushLatched(ScanoutIndex(0)), .layersSettled,
      .bufferRetired(id), .listEnd(count: 0, next: 0),
    ]
    if role != .producer { messages += [.vmState(connected: true), .flush(ScanoutIndex(0), damage: .empty)] }
    if role != .consumer { messages += [.layerLatched(LayerID(rawValue: 1)), .bufferRelease(id)] }
    if role != .control { messages += [.list(.vms, cursor: 0), .screenshot(nil)] }
    for message in messages {
      let peer = try world.raw()
      try peer.hello(role, "a")
      try peer.send(message)
      let refusal = try peer.refusal()
      #expect(refusal?.code == .notPermitted, "\(message.type)")
      #expect(refusal?.messageType == message.type.rawValue)
    }
  }

  // MARK: Buffers

  func offer(_ descriptor: Int32, layout: PixelLayout? = nil) throws -> Refusal? {
    let bystanders = try Bystanders()
    let peer = try bystanders.world.raw()
    let wanted = try #require(layout ?? PixelLayout(size: Size(width: 32, height: 32), format: .xrgb8888))
    try peer.hello(.producer, "a")
    let description = BufferDescription(id: .random(), layout: wanted)
    try peer.send(.bufferRegister(description, MemoryDescription(hostFileOf: wanted)), descriptors: [descriptor])
    let refusal = try peer.refusal()
    try bystanders.areFine()
    return refusal
  }

  @Test func `a descriptor that can write is refused`() throws {
    let file = try SharedMemory.create(name: "test", count: 1 << 20)
    #expect(try offer(file.raw)?.code == .badBuffer)
  }

  @Test func `a socket for a buffer is refused`() throws {
    let pair = try UnixSocket.pair(.stream)
    #expect(try offer(pair.first.raw)?.code == .badBuffer)
  }

  @Test func `a file shorter than its layout is refused, also by one byte and near 2^63`() throws {
    let file = try SharedMemoryFile(name: "test", count: 4096)
    let reader = try file.readOnly()
    let size = Size(width: 32, height: 32)
    for offset in [1, 1 << 40, UInt64(Int64.max) - 4096] as [UInt64] {
      let layout = try #require(PixelLayout(size: size, format: .xrgb8888, offset: offset))
      #expect(try offer(reader.raw, layout: layout)?.code == .badBuffer)
    }
  }

  @Test func `an id that its owner uses already is refused`() throws {
    let world = try World()
    let owner = try world.raw()
    let buffer = try owner.becomeProducer("a")
    try owner.register(buffer)
    #expect(try owner.refusal()?.code == .badBuffer)
  }

  @Test func `an id that another owner uses is taken, and shows that owner's picture to nobody`() throws {
    let world = try World()
    let owner = try world.raw()
    let buffer = try owner.becomeProducer("a")
    let thief = try world.raw()
    try world.turn()
    try thief.hello(.producer, "b")
    try thief.register(buffer)
    try world.turn()
    #expect(!thief.isEnded && !owner.isEnded && world.hub?.registry.all.count == 2)
    try owner.send(.bufferUnregister(buffer.description.id))
    try world.turn()
    #expect(world.hub?.registry.find(buffer.description.id)?.owner.name.text == "b")
    try thief.send(.bufferUnregister(buffer.description.id))
    try world.turn()
    #expect(world.hub?.registry.find(buffer.description.id) == nil && world.hub?.registry.all.isEmpty == true)
  }

  @Test func `a producer cannot show another's buffer, or one that is not there`() throws {
    let world = try World()
    let owner = try world.raw()
    let buffer = try owner.becomeProducer("a")
    let thief = try world.raw()
    try world.turn()
    try thief.hello(.producer, "b")
    try thief.show(buffer)
    #expect(try thief.refusal()?.code == .unknownObject)
  }

  @Test(arguments: [
    Rectangle(x: 0, y: 0, width: 65, height: 32), Rectangle(x: 1, y: 0, width: 64, height: 1),
    Rectangle(x: .max, y: 0, width: 2, height: 1), Rectangle(x: 0, y: 0, width: 0, height: 4),
    Rectangle(x: 0, y: 31, width: 4, height: .max),
  ])
  func `a source outside its buffer is refused`(source: Rectangle) throws {
    let world = try World()
    let producer = try world.raw()
    let buffer = try producer.becomeProducer()
    let content = ScanoutState.Content(buffer: buffer.description.id, source: source)
    let state = ScanoutState(scanout: ScanoutIndex(0), mode: Size(width: 64, height: 32), content: content)
    try producer.send(.scanoutSet(state))
    #expect(try producer.refusal()?.code == .malformed)
  }

  @Test func `a scanout that was not set has no flushes and no cursor`() throws {
    let world = try World()
    for message in [
      Message.flush(ScanoutIndex(3), damage: .empty), .cursorMove(ScanoutIndex(3), x: 0, y: 0),
      .cursorSet(ScanoutIndex(3), .hidden),
    ] {
      let producer = try world.raw()
      _ = try producer.becomeProducer()
      try producer.send(message, serial: 1)
      #expect(try producer.refusal()?.code == .unknownObject)
    }
  }

  @Test func `the 1025th buffer is refused`() throws {
    let world = try World()
    let producer = try world.raw()
    try producer.hello(.producer, "a")
    let buffer = try RawBuffer()
    for _ in 0...Wire.maximumBuffers {
      let description = BufferDescription(id: .random(), layout: buffer.description.layout)
      while try !producer.send(
        .bufferRegister(description, buffer.memoryDescription), descriptors: [buffer.descriptor.raw])
      {
        if producer.isEnded { break }
        try world.turn(1)
      }
    }
    #expect(try producer.refusal()?.code == .limit)
    #expect(world.hub?.registry.all.isEmpty == true)
  }

  @Test func `registering and unregistering for ever costs nothing`() throws {
    let bystanders = try Bystanders()
    let producer = try bystanders.world.raw()
    try producer.hello(.producer, "a")
    let buffer = try RawBuffer()
    for turn in 0..<5000 {
      if turn % 100 == 0 { try producer.drain() }
      let description = BufferDescription(id: .random(), layout: buffer.description.layout)
      for message in [Message.bufferRegister(description, buffer.memoryDescription), .bufferUnregister(description.id)]
      {
        let files = message.type == .bufferRegister ? [buffer.descriptor.raw] : []
        while try !producer.send(message, descriptors: files) { try bystanders.world.turn(1) }
      }
    }
    try bystanders.world.wait("all freed") { bystanders.world.hub?.registry.all.count == 1 }
    try bystanders.areFine()
  }

  @Test func `a consumer cannot release what is not retired`() throws {
    let world = try World()
    let producer = try world.raw()
    let buffer = try producer.becomeProducer()
    let consumer = try world.raw()
    try consumer.becomeConsumer()
    _ = try consumer.shownLayer()
    try consumer.send(.bufferRelease(buffer.description.id))
    #expect(try consumer.refusal()?.code == .unknownObject)
    #expect(world.hub?.registry.all.map(\.record.state) == [.registered])
  }

  // MARK: Names and connections

  @Test func `a second VM of the same name is refused while the first lives`() throws {
    let bystanders = try Bystanders()
    let second = try bystanders.world.raw()
    try second.hello(.producer, "bystander")
    let refusal = try second.refusal()
    #expect(refusal?.code == .nameInUse)
    #expect(refusal?.reason.contains("process \(World.ownProcessID)") == true)
    try bystanders.areFine()
  }

  @Test func `a second display of the same name is refused while the first lives`() throws {
    let bystanders = try Bystanders()
    let second = try bystanders.world.raw()
    try second.becomeConsumer("bystander")
    #expect(try second.refusal()?.code == .nameInUse)
    try bystanders.areFine()
  }

  @Test func `a VM whose former connection is dead is let in at once, with messages of the dead one unread`() throws {
    let world = try World()
    var former: RawPeer? = try world.raw()
    _ = try former?.becomeProducer()
    try world.turn()
    for serial in 1...500 as ClosedRange<UInt64> { try former?.flush(serial) }
    former = nil
    let next = try world.raw()
    _ = try next.becomeProducer()
    try next.flush(1)
    try world.wait("latched") { try next.latched() == [1] }
    #expect(world.hub?.machines.count == 1)
  }

  @Test func `a client is let in by itself once the name is free`() throws {
    let world = try World()
    var former: RawPeer? = try world.raw()
    _ = try former?.becomeProducer("a")
    try world.turn()
    let producer = world.producer("a")
    try world.wait("refused") { if case .refused? = producer.log.links.last { true } else { false } }
    former = nil
    try world.wait("connected") { if case .connected? = producer.log.links.last { true } else { false } }
  }

  @Test func `a user who is not admitted is turned away`() throws {
    let world = try World({ $0.admits = { _ in false } })
    let peer = try world.raw()
    #expect(try peer.refusal()?.code == .notPermitted)
  }

  @Test func `the hub's own user and root are admitted, others are not`() {
    let admits = Hub.Configuration().admits
    #expect(admits(UnixSocket.PeerCredentials(pid: 1, uid: geteuid(), gid: 0)))
    #expect(admits(UnixSocket.PeerCredentials(pid: 1, uid: 0, gid: 0)))
    #expect(!admits(UnixSocket.PeerCredentials(pid: 1, uid: geteuid() + 1, gid: 0)))
  }

  @Test func `a connection that stays silent is closed`() throws {
    let bystanders = try Bystanders { $0.helloLimit = .milliseconds(50) }
    let peer = try bystanders.world.raw()
    #expect(try peer.refusal()?.code == .notPermitted)
    try bystanders.areFine()
  }

  @Test func `connections above the limit are turned away, and their places come back`() throws {
    let bystanders = try Bystanders { $0.maximumConnections = 12 }
    var peers = try (0..<10).map { _ in try bystanders.world.raw() }
    try bystanders.world.turn()
    let surplus = try bystanders.world.raw()
    #expect(try surplus.refusal()?.code == .limit)
    peers.removeAll()
    try bystanders.world.turn()
    let next = try bystanders.world.raw()
    _ = try next.becomeProducer("next")
    try bystanders.world.wait("let in") { bystanders.world.hub?.machines.count == 2 }
    try bystanders.areFine()
  }

  @Test func `connections without end leave the others their turn`() throws {
    let world = try World { $0.maximumConnections = 0 }
    var crowd: [SharedDescriptor] = []
    for _ in 0..<40 { crowd.append(SharedDescriptor(try UnixSocket.connect(path: world.path, kind: .sequencedPacket))) }
    try world.loop.runOnce(timeout: .zero)
    #expect(world.events.count == Hub.acceptedPerTurn)
    try world.turn()
    #expect(world.events.count == crowd.count)
  }

  @Test func `a thousand VMs that come and go are not all remembered`() throws {
    let bystanders = try Bystanders { $0.maximumVMs = 8 }
    for number in 0..<1000 {
      let peer = try bystanders.world.raw()
      try peer.hello(.producer, "vm\(number)")
      try bystanders.world.turn(2)
    }
    #expect(try #require(bystanders.world.hub?.machines.count) <= 8)
    try bystanders.areFine()
  }

  @Test func `a control peer that asks and does not read is not served without end`() throws {
    let bystanders = try Bystanders()
    let peer = try bystanders.world.raw()
    try peer.hello(.control, "flood")
    for _ in 0..<100_000 {
      if try !peer.send(.list(.vms, cursor: 0)) {
        try bystanders.world.turn()
        if try !peer.send(.list(.vms, cursor: 0)) { break }
      }
    }
    let answered = bystanders.world.hub?.clients.first { $0.role == .control }?.messagesSent
    #expect((100..<5000).contains(try #require(answered)))
    try bystanders.areFine()
  }

  @Test func `cursor pictures without end for a display that does not read stay one picture`() throws {
    let bystanders = try Bystanders()
    let consumer = try bystanders.world.raw()
    try consumer.becomeConsumer("stuck")
    let producer = try bystanders.world.raw()
    _ = try producer.becomeProducer("a")
    _ = try consumer.shownLayer()
    let before = residentBytes()
    for number in 0..<4000 as Range<UInt32> {
      let image = try #require(CursorImage(pixels: [UInt32](repeating: number, count: 4096)))
      let message = Message.cursorSet(ScanoutIndex(0), CursorState(image: image, x: 0, y: 0))
      while try !producer.send(message) { try bystanders.world.turn(1) }
      if number % 8 == 0 { try bystanders.world.turn(1) }
    }
    #expect(residentBytes() - before < 64 << 20)
    let last = try #require(CursorImage(pixels: [UInt32](repeating: 3999, count: 4096)))
    _ = try consumer.wait("the newest cursor") { message in
      if case .layerCursor(_, let cursor) = message, cursor.image == last { true } else { nil }
    }
    try bystanders.areFine()
  }
}

/// This process's resident memory.
func residentBytes() -> Int {
  guard let file = fopen("/proc/self/statm", "r") else { return 0 }
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 256)
  guard fgets(&line, 256, file) != nil else { return 0 }
  let words = line.prefix { $0 != 0 }.split(separator: 32)
  let pages = words.count > 1 ? Int(String(decoding: words[1].map { UInt8(bitPattern: $0) }, as: UTF8.self)) ?? 0 : 0
  return pages * 4096
}
