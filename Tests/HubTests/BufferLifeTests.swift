import Buffers
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

@Suite struct BufferLifeTests {
  @Test func `a display sees a VM's pixels, and their changes without any message`() throws {
    let world = try World()
    let display = world.display()
    let producer = world.producer("a")
    let buffer = try picture(0x1234)
    try producer.client.show(buffer)
    try world.wait("shown") { display.log.buffer("a")?.mark == 0x1234 }
    buffer.bytes.storeBytes(of: 0x5678, as: UInt32.self)
    #expect(display.log.buffer("a")?.mark == 0x5678)
  }

  @Test func `flipping between two buffers passes each descriptor once`() throws {
    let world = try World()
    let consumer = try world.raw()
    let producer = try world.raw()
    try consumer.becomeConsumer()
    let first = try producer.becomeProducer()
    _ = try consumer.shownLayer()
    let second = try RawBuffer()
    try producer.register(second)
    for turn in 0..<20 {
      try producer.show(turn % 2 == 0 ? second : first)
      try world.turn(3)
    }
    try consumer.drain()
    #expect(consumer.descriptorCount == 2)
  }

  @Test func `a buffer lives from registered over leased and retired to freed`() throws {
    let world = try World()
    let consumer = try world.raw()
    let producer = try world.raw()
    let buffer = try producer.becomeProducer()
    try world.wait("registered") { world.hub?.registry.all.map(\.record.state) == [.registered] }
    try consumer.becomeConsumer()
    _ = try consumer.shownLayer()
    #expect(world.hub?.registry.all.map(\.record.state) == [.leased])
    #expect(world.hub?.registry.all.first?.record.leases == 1)
    try producer.send(.bufferUnregister(buffer.description.id))
    let retired = try consumer.wait("retired") { if case .bufferRetired(let id) = $0 { id } else { nil } }
    #expect(retired == buffer.description.id)
    #expect(world.hub?.registry.all.map(\.record.state) == [.retired])
    try consumer.send(.bufferRelease(retired))
    try world.wait("freed") { world.hub?.registry.all.isEmpty == true }
  }

  @Test func `content without the buffer comes before its retirement`() throws {
    let world = try World()
    let consumer = try world.raw()
    let producer = try world.raw()
    let buffer = try producer.becomeProducer()
    try consumer.becomeConsumer()
    _ = try consumer.shownLayer()
    consumer.forget()
    try producer.send(.bufferUnregister(buffer.description.id))
    let order = { (message: Message) -> String? in
      switch message {
      case .layerContent(_, .absent(.off)): "off"
      case .bufferRetired: "retired"
      default: nil
      }
    }
    _ = try consumer.wait("retired") { if case .bufferRetired = $0 { true } else { nil } }
    #expect(try consumer.all { message, _ in order(message) } == ["off", "retired"])
  }

  @Test func `the death of the last holder frees a retired buffer`() throws {
    let world = try World()
    var consumer: RawPeer? = try world.raw()
    let producer = try world.raw()
    let buffer = try producer.becomeProducer()
    try consumer?.becomeConsumer()
    _ = try consumer?.shownLayer()
    try producer.send(.bufferUnregister(buffer.description.id))
    try world.wait("retired") { world.hub?.registry.all.map(\.record.state) == [.retired] }
    consumer = nil
    try world.wait("freed") { world.hub?.registry.all.isEmpty == true }
  }

  @Test func `a buffer that nobody shows is freed at once`() throws {
    let world = try World()
    let producer = try world.raw()
    let buffer = try producer.becomeProducer()
    try producer.send(.bufferUnregister(buffer.description.id))
    try world.wait("freed") { world.hub?.registry.all.isEmpty == true && world.hub?.machines.count == 1 }
  }

  @Test func `the hub lets go of a retired buffer's memory although a display holds it`() throws {
    let world = try World()
    let consumer = try world.raw()
    let producer = try world.raw()
    let buffer = try producer.becomeProducer()
    try consumer.becomeConsumer()
    _ = try consumer.shownLayer()
    let entry = try #require(world.hub?.registry.all.first)
    #expect(entry.descriptor != nil)
    try producer.send(.bufferUnregister(buffer.description.id))
    try world.wait("retired") { entry.isRetired }
    #expect(entry.descriptor == nil)
  }

  @Test func `a producer's death retires its buffers and leaves the other VM alone`() throws {
    let world = try World()
    let display = world.display()
    let other = world.producer("b")
    try other.client.show(try picture(2))
    var producer: RawPeer? = try world.raw()
    _ = try producer?.becomeProducer("a")
    try world.wait("both shown") { display.log.buffer("a") != nil && display.log.buffer("b") != nil }
    display.log.history = []
    producer = nil
    try world.wait("gone") { display.log.absence("a") == .gone }
    #expect(display.log.history == ["a gone"])
    #expect(display.log.buffer("b")?.mark == 2)
    try world.wait("freed") { world.hub?.registry.all.count == 1 }
  }

  @Test func `a VM that goes offline, turns its screen off or leaves is shown so`() throws {
    let world = try World()
    let display = world.display()
    let producer = world.producer("a", connected: false)
    try world.wait("offline") { display.log.absence("a") == .offline }
    producer.client.setVMConnected(true)
    try world.wait("off") { display.log.absence("a") == .off }
    let buffer = try picture()
    try producer.client.show(buffer)
    try world.wait("shown") { display.log.buffer("a") != nil }
    producer.client.turnOff(ScanoutIndex(0))
    try world.wait("off") { display.log.absence("a") == .off }
    try producer.client.show(buffer)
    try world.wait("shown") { display.log.buffer("a") != nil }
    producer.client.setVMConnected(false)
    try world.wait("offline") { display.log.absence("a") == .offline }
    producer.client.stop()
    try world.wait("gone") { display.log.absence("a") == .gone }
  }

  @Test func `a retired buffer that a display still draws from stays readable there`() throws {
    let world = try World()
    let display = world.display()
    let producer = world.producer("a")
    var buffer: HostBuffer? = try picture(77)
    try producer.client.show(try #require(buffer))
    try world.wait("shown") { display.log.buffer("a")?.mark == 77 }
    let held = display.log.buffer("a")
    producer.client.retire(try #require(buffer).id)
    buffer = nil
    try world.wait("freed") { world.hub?.registry.all.isEmpty == true }
    #expect(held?.mark == 77)
  }

  @Test func `a display that does not release holds up nobody, and gets the buffer of the same id afterwards`() throws {
    let world = try World()
    let consumer = try world.raw()
    let display = world.display("other")
    var former: RawPeer? = try world.raw()
    try consumer.becomeConsumer()
    let buffer = try #require(try former?.becomeProducer("a"))
    _ = try consumer.shownLayer()
    former = nil
    _ = try consumer.wait("retired") { if case .bufferRetired = $0 { true } else { nil } }
    try world.wait("gone") { display.log.absence("a") == .gone }
    consumer.forget()
    let next = try world.raw()
    try next.hello(.producer, "a")
    try next.send(.vmState(connected: true))
    try next.register(buffer)
    try next.show(buffer)
    try world.wait("shown on the other display") { display.log.buffer("a") != nil }
    _ = try consumer.wait("not shown here") { if case .layerContent(_, .absent(.off)) = $0 { true } else { nil } }
    try consumer.send(.bufferRelease(buffer.description.id))
    _ = try consumer.shownLayer()
    #expect(consumer.descriptorCount == 2)
    #expect(world.hub?.registry.all.map(\.leases) == [2])
  }

  @Test func `a display that never releases is cut off, and its buffers are free`() throws {
    let world = try World { $0.leaseLimit = .milliseconds(60) }
    let consumer = try world.raw()
    let producer = try world.raw()
    let buffer = try producer.becomeProducer()
    try consumer.becomeConsumer()
    _ = try consumer.shownLayer()
    try producer.send(.bufferUnregister(buffer.description.id))
    #expect(try consumer.refusal()?.code == .revoked)
    let told = { (message: Message) -> String? in
      switch message {
      case .application(.bufferRevoked(let id)) where id == buffer.description.id: "revoked"
      case .bufferFreed(let id) where id == buffer.description.id: "freed"
      default: nil
      }
    }
    _ = try producer.wait("freed") { if case .bufferFreed = $0 { true } else { nil } }
    #expect(try producer.all { message, _ in told(message) } == ["revoked", "freed"])
    #expect(world.hub?.registry.all.isEmpty == true)
  }

  @Test func `what a VM has is in the list, also what is held after its producer's death`() throws {
    let world = try World()
    let consumer = try world.raw()
    var producer: RawPeer? = try world.raw()
    let buffer = try #require(try producer?.becomeProducer())
    try consumer.becomeConsumer()
    _ = try consumer.shownLayer()
    var totals = LedgerAmounts.nothing
    totals.hostAllocated = buffer.memory.byteCount
    totals.buffers = 1
    try producer?.send(.vmLedger(LedgerReport(totals: totals, promised: 0, limits: .usualLimits)))
    let ledger = { try world.ask { client throws(ControlError) in try client.vms() }.first?.ledger }
    #expect(try ledger() == LedgerReport(totals: totals, promised: 0, limits: .usualLimits))
    producer = nil
    let retired = try consumer.wait("retired") { if case .bufferRetired(let id) = $0 { id } else { nil } }
    #expect(try ledger()?.totals.hostAllocated == buffer.memory.byteCount)
    try consumer.send(.bufferRelease(retired))
    try world.wait("freed") { world.hub?.registry.all.isEmpty == true }
    #expect(try ledger()?.totals == .nothing)
  }

  @Test(arguments: [Int.max, -1])
  func `a ledger that cannot be is shown as far as it can be`(bytes: Int) throws {
    let world = try World()
    let consumer = try world.raw()
    var producer: RawPeer? = try world.raw()
    _ = try producer?.becomeProducer()
    try consumer.becomeConsumer()
    _ = try consumer.shownLayer()
    var totals = LedgerAmounts.nothing
    totals.hostAllocated = bytes
    totals.guestMemory = bytes
    try producer?.send(.vmLedger(LedgerReport(totals: totals, promised: bytes, limits: .nothing)))
    try world.turn()
    let record = try #require(try world.ask { client throws(ControlError) in try client.vms() }.first)
    #expect(record.ledger.totals.hostAllocated == max(0, bytes))
    producer = nil
    try world.turn()
  }
}
