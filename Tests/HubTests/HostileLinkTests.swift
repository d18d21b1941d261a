import Buffers
import Glibc
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

private let scanout = ScanoutIndex(0)
private let spot = Rectangle(x: 1, y: 2, width: 8, height: 4)

/// Peers on a link that say anything, or nothing: it costs nobody but them.
@Suite struct HostileLinkTests {
  /// A real producer, and a display that is a raw peer with its end of the link.
  private func withRawDisplay(
    _ world: World
  ) throws -> (client: ProducerClient, log: ProducerLog, consumer: RawPeer, link: RawPeer) {
    let consumer = try world.raw()
    try consumer.becomeConsumer()
    try consumer.send(.consumerLinkReady)
    let (client, log) = world.producer("a", latchLimit: .milliseconds(40))
    try client.show(try picture(0xa))
    _ = try consumer.shownLayer()
    try world.wait("a link") {
      try consumer.drain()
      return !consumer.links.isEmpty
    }
    try world.wait("flushes go there") {
      world.hub?.machines[PeerName("a")!]?.existing(scanout)?.views.first?.isLinked == true
    }
    try world.turn()
    return (client, log, consumer, try RawPeer(world: world, link: consumer.links[0]))
  }

  /// A real display, and a producer that is a raw peer with its end of the link.
  private func withRawProducer(
    _ world: World
  ) throws -> (display: (client: ConsumerClient, log: DisplayLog), producer: RawPeer, link: RawPeer) {
    let display = world.display()
    let producer = try world.raw()
    _ = try producer.becomeProducer()
    try producer.send(.producerLinkReady)
    let id = try producer.wait("scanouts of a link") { if case .linkScanouts(let id, _) = $0 { id } else { nil } }
    let serial = try producer.all { if case .linkScanouts = $0 { $1 } else { nil } }.last
    try producer.send(.linkRoute(id, ScanoutSet(scanout)), serial: try #require(serial))
    try world.wait("shown") { display.log.buffer("a") != nil }
    return (display, producer, try RawPeer(world: world, link: producer.links[0]))
  }

  @Test func `latching more than was sent counts as what was sent`() throws {
    let world = try World()
    let (client, log, _, link) = try withRawDisplay(world)
    let first = try #require(client.flush(scanout, damage: spot))
    try world.turn()
    for index in 0..<ScanoutIndex.maximumCount { try link.send(.linkLatched(ScanoutIndex(index)), serial: .max) }
    try world.wait("latched") { log.latched.last?.serial == first }
    let start = MonotonicTime.now
    let second = try #require(client.flush(scanout, damage: spot))
    try world.wait("given up") { log.latched.last?.serial == second }
    #expect(MonotonicTime.now - start >= .milliseconds(40))
  }

  @Test func `a serial that falls or repeats takes nothing back`() throws {
    let world = try World()
    let (client, log, _, link) = try withRawDisplay(world)
    let first = try #require(client.flush(scanout, damage: spot))
    try world.turn()
    try link.send(.linkLatched(scanout), serial: first)
    try link.send(.linkLatched(scanout), serial: 0)
    try link.send(.linkLatched(scanout), serial: first)
    let second = try #require(client.flush(scanout, damage: spot))
    try world.turn()
    try link.send(.linkLatched(scanout), serial: first)
    try world.turn()
    #expect(log.latched.map(\.serial) == [first])
    try link.send(.linkLatched(scanout), serial: second)
    try world.wait("latched") { log.latched.last?.serial == second }
  }

  @Test(arguments: 0..<4) func `a consumer's nonsense ends its link; its flushes come by the hub`(kind: Int) throws {
    let world = try World()
    let (client, log, consumer, link) = try withRawDisplay(world)
    switch kind {
    case 0: try link.send([1, 2, 3])
    case 1: try link.send([UInt8](repeating: 0xff, count: 65_536))
    case 2: try link.send(.linkDamage(scanout, generation: 1, spot), serial: 1)
    default:
      let file = try SharedMemory.create(name: "test", count: 4096)
      try link.send(.frameRegister(try RawBuffer().description), descriptors: [file.raw])
    }
    try world.wait("the link ends") {
      try link.drain()
      return link.isEnded
    }
    consumer.forget()
    let layer = try consumer.shownLayer()
    var serial: UInt64 = 0
    try world.wait("damage by the hub") {
      serial = client.flush(scanout, damage: spot) ?? 0
      return try consumer.damages().last != nil
    }
    try consumer.send(.layerLatched(layer), serial: .max)
    try world.wait("latched") { log.latched.last?.serial == serial }
    #expect(world.hub?.clients.count == 2)
  }

  @Test func `a consumer that reads nothing gets merged damage later; nothing piles up`() throws {
    let world = try World()
    let (client, _, _, link) = try withRawDisplay(world)
    var last: UInt64 = 0
    for round in 0..<20_000 {
      last = client.flush(scanout, damage: Rectangle(x: UInt32(round % 60), y: 0, width: 1, height: 1)) ?? 0
      if round % 16 == 0 { try world.loop.runOnce(timeout: .zero) }
    }
    let damages = { try link.all { if case .linkDamage(_, _, let damage) = $0 { (damage, $1) } else { nil } } }
    try world.wait("the newest") { try damages().last?.1 == last }
    #expect(try damages().count < 20_000)
    #expect(try damages().last?.0 == Rectangle(x: 0, y: 0, width: 60, height: 1))
  }

  @Test func `a consumer that keeps the link of a former connection is not waited for`() throws {
    let world = try World()
    let (client, log, consumer, link) = try withRawDisplay(world)
    shutdown(consumer.socket.raw, Int32(SHUT_RDWR))
    try world.turn()
    let again = world.display()
    try world.wait("linked") {
      world.hub?.machines[PeerName("a")!]?.existing(scanout)?.views.first?.isLinked == true
        && again.log.buffer("a") != nil
    }
    client.latchLimit = .seconds(60)
    let serial = try #require(client.flush(scanout, damage: spot))
    try world.wait("latched") { log.latched.last?.serial == serial }
    try link.drain()
    #expect(link.isEnded)
  }

  @Test func `damage beyond the picture is cut off`() throws {
    let world = try World()
    let (display, producer, link) = try withRawProducer(world)
    try link.send(.linkDamage(scanout, generation: 0, Rectangle(x: 60, y: 1, width: .max, height: .max)), serial: 7)
    try link.send(.linkDamage(scanout, generation: 0, Rectangle(x: .max, y: .max, width: .max, height: 1)), serial: 8)
    try world.wait("damage") { display.log.layer("a")?.damages.last?.serial == 8 }
    let damages = display.log.layer("a")?.damages.suffix(2).map(\.rectangle)
    #expect(damages == [Rectangle(x: 60, y: 1, width: 4, height: 31), .empty])
    #expect(!producer.isEnded)
  }

  @Test func `damage of a scanout that the display does not show is answered at once`() throws {
    let world = try World()
    let (_, _, link) = try withRawProducer(world)
    try link.send(.linkDamage(ScanoutIndex(9), generation: 1, spot), serial: 5)
    let latched = try link.wait("answer") { if case .linkLatched(let scanout) = $0 { scanout } else { nil } }
    #expect(latched == ScanoutIndex(9))
  }

  @Test func `damage of a content that never comes is kept as one serial, and not answered`() throws {
    let world = try World()
    let (display, _, link) = try withRawProducer(world)
    for serial in 1...100 as ClosedRange<UInt64> {
      try link.send(.linkDamage(scanout, generation: .max, spot), serial: serial)
    }
    try world.turn(20)
    #expect(display.log.layer("a")?.damages.isEmpty == true)
    #expect(try link.all { if case .linkLatched = $0 { $1 } else { nil } }.isEmpty)
  }

  @Test(arguments: 0..<3) func `a producer's nonsense ends its link; its flushes come by the hub`(kind: Int) throws {
    let world = try World()
    let (display, producer, link) = try withRawProducer(world)
    switch kind {
    case 0: try link.send([UInt8](repeating: 0, count: 8))
    case 1: try link.send(.hello(Hello(role: .control, name: PeerName("x")!)))
    default: try link.send(.linkLatched(scanout), serial: 1)
    }
    try world.wait("the link ends") {
      try link.drain()
      return link.isEnded
    }
    let id = try #require(try producer.all { if case .linkScanouts(let id, _) = $0 { (id, $1) } else { nil } }.last)
    producer.forget()
    try producer.send(.linkRoute(id.0, []), serial: id.1)
    let wanted = try producer.wait("wanted again") { if case .flushesWanted(let set) = $0 { set } else { nil } }
    #expect(wanted == ScanoutSet(scanout))
    try producer.flush(3)
    try world.wait("by the hub") { display.log.layer("a")?.damages.last?.serial == 3 }
    try world.wait("latched") { try producer.latched().last == 3 }
  }

  @Test func `a link that breaks is made again, later each time, and flushes go there again`() throws {
    let world = try World { $0.linkRetry = .milliseconds(60) }
    let (client, log, consumer, first) = try withRawDisplay(world)
    var link: RawPeer? = first
    for (count, wait) in [(2, 60), (3, 120), (4, 240)] {
      let start = MonotonicTime.now
      try link?.send([1, 2, 3])
      link = nil
      try world.wait("another link") {
        try consumer.drain()
        return consumer.links.count == count
      }
      #expect(MonotonicTime.now - start >= .milliseconds(wait))
      try world.wait("flushes go there") {
        world.hub?.machines[PeerName("a")!]?.existing(scanout)?.views.first?.isLinked == true
      }
      link = try RawPeer(world: world, link: try #require(consumer.links.last))
    }
    try world.turn()
    let serial = try #require(client.flush(scanout, damage: spot))
    let end = try #require(link)
    _ = try end.wait("damage") { if case .linkDamage = $0 { true } else { nil } }
    try end.send(.linkLatched(scanout), serial: serial)
    try world.wait("latched") { log.latched.last?.serial == serial }
  }

  @Test func `a producer that refuses every link is asked a few times, not without end`() throws {
    let world = try World { $0.linkRetry = .milliseconds(20) }
    let (display, producer, _) = try withRawProducer(world)
    var opened: [MonotonicTime] = []
    try world.wait("five links", limit: .seconds(30)) {
      let asked = try producer.all { if case .linkScanouts(let id, _) = $0 { (id, $1) } else { nil } }
      producer.forget()
      for (id, serial) in asked {
        opened.append(.now)
        try producer.send(.linkRoute(id, []), serial: serial)
      }
      return opened.count >= 5
    }
    let gaps = zip(opened, opened.dropFirst()).map { $1 - $0 }
    #expect(zip(gaps, [20, 40, 80, 160]).allSatisfy { $0 >= .milliseconds($1) }, "\(gaps)")
    try producer.flush(3)
    try world.wait("by the hub") { display.log.layer("a")?.damages.last?.serial == 3 }
  }

  @Test func `a producer's claims about links and counts end nothing but themselves`() throws {
    let world = try World()
    let (display, producer, _) = try withRawProducer(world)
    try producer.send(.linkRoute(LinkID(rawValue: 99), .all), serial: 1)
    try producer.send(.linkRoute(LinkID(rawValue: 1), .all), serial: 99)
    for _ in 0..<3 { try producer.send(.flushesLinked(scanout, count: .max)) }
    try world.turn()
    let vms = try world.ask { client throws(ControlError) in try client.vms() }
    #expect(vms.first?.flushes == 1 << 58)
    #expect(display.log.buffer("a") != nil)
    try producer.send(.consumerLinkReady)
    #expect(try producer.refusal()?.code == .notPermitted)
  }
}
