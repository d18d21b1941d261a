import Buffers
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

private let scanout = ScanoutIndex(0)
private let spot = Rectangle(x: 1, y: 2, width: 8, height: 4)

/// What a producer does before its flushes go by a link.
private func linked(
  _ world: World, _ vm: String = "a", mark: UInt32 = 0xa
) throws -> (client: ProducerClient, log: ProducerLog, buffer: HostBuffer) {
  let (client, log) = world.producer(vm)
  let buffer = try picture(mark)
  try client.show(buffer)
  return (client, log, buffer)
}

/// Turns until the hub passes no flush of the VM's first scanout on: all of it goes by links.
private func settle(_ world: World, _ vm: String = "a", source: SourceLocation = #_sourceLocation) throws {
  try world.wait("flushes go by links", source: source) { try isLinked(world, vm) }
  try world.turn()
}

private func isLinked(_ world: World, _ vm: String) throws -> Bool {
  let views = world.hub?.machines[PeerName(vm)!]?.existing(scanout)?.views ?? []
  return !views.isEmpty && views.allSatisfy(\.isLinked)
}

private func flushesAtHub(_ world: World, _ vm: String = "a") -> UInt64 {
  world.hub?.machines[PeerName(vm)!]?.existing(scanout)?.lastFlushed ?? 0
}

@Suite struct LinkTests {
  @Test func `a flush goes to its display and back without the hub`() throws {
    let world = try World()
    let display = world.display()
    let (client, log, _) = try linked(world)
    try settle(world)
    let before = flushesAtHub(world)
    let serial = try #require(client.flush(scanout, damage: spot))
    try world.wait("latched") { log.latched.last?.serial == serial }
    #expect(flushesAtHub(world) == before)
    let damage = try #require(display.log.layer("a")?.damages.last)
    #expect(damage.rectangle == spot)
    #expect(damage.serial == serial)
  }

  @Test func `flushes of one turn are told one by one`() throws {
    let world = try World()
    let display = world.display()
    let (client, _, _) = try linked(world)
    try settle(world)
    let serials = (0..<16).map { client.flush(scanout, damage: Rectangle(x: $0, y: 0, width: 1, height: 1)) }
    try world.wait("all") { display.log.layer("a")?.damages.last?.serial == serials.last! }
    #expect(display.log.layer("a")?.damages.suffix(16).map(\.rectangle.x) == Array(0..<16))
  }

  @Test func `a flush waits for the display`() throws {
    let world = try World()
    let display = world.display()
    display.log.latchesAtOnce = false
    let (client, log, _) = try linked(world)
    try settle(world)
    let serial = try #require(client.flush(scanout, damage: spot))
    try world.wait("damage") { display.log.layer("a")?.damages.last?.serial == serial }
    try world.turn()
    #expect(log.latched.isEmpty)
    let layer = try #require(display.log.layer("a")?.layer.id)
    display.client.latched(layer, through: serial)
    try world.turn()
    #expect(log.latched.last?.serial == serial)
  }

  @Test func `a display that never latches holds a flush for 40 ms`() throws {
    let world = try World()
    let display = world.display()
    display.log.latchesAtOnce = false
    let (client, log, _) = try linked(world)
    try settle(world)
    client.latchLimit = .milliseconds(40)
    let start = MonotonicTime.now
    let serial = try #require(client.flush(scanout, damage: spot))
    try world.wait("given up") { log.latched.last?.serial == serial }
    #expect(MonotonicTime.now - start >= .milliseconds(40))
  }

  @Test func `without a display a flush is latched at once and counted all the same`() throws {
    let world = try World()
    let (client, _, _) = try linked(world)
    try world.wait("the hub wants none") { client.flush(scanout, damage: spot) == nil }
    let before = try count(world)
    for _ in 0..<10 { #expect(client.flush(scanout, damage: spot) == nil) }
    try world.wait("counted") { try count(world) >= before + 10 }
    try world.run(for: .milliseconds(150))
    let after = try count(world)
    try world.run(for: .milliseconds(150))
    #expect(try count(world) == after)
  }

  @Test func `flushes by a link are counted`() throws {
    let world = try World()
    let display = world.display()
    let (client, _, _) = try linked(world)
    try settle(world)
    try world.run(for: .milliseconds(150))
    let before = try count(world)
    for _ in 0..<25 { _ = client.flush(scanout, damage: spot) }
    try world.wait("counted") { try count(world) == before + 25 }
    #expect(display.log.layer("a") != nil)
  }

  private func count(_ world: World) throws -> UInt64 {
    world.hub?.machines[PeerName("a")!]?.existing(scanout)?.flushes ?? 0
  }

  @Test func `a flush on two displays waits for both, one of them by the hub`() throws {
    let world = try World()
    let near = world.display("near")
    let far = world.display("far", takesLinks: false)
    near.log.latchesAtOnce = false
    far.log.latchesAtOnce = false
    let (client, log, _) = try linked(world)
    try world.wait("one link") {
      world.hub?.machines[PeerName("a")!]?.existing(scanout)?.views.contains(where: \.isLinked) == true
    }
    try world.turn()
    let serial = try #require(client.flush(scanout, damage: spot))
    let logs = [near, far]
    try world.wait("both see it") { logs.allSatisfy { $0.log.layer("a")?.damages.last?.serial == serial } }
    near.client.latched(try #require(near.log.layer("a")?.layer.id), through: serial)
    try world.turn()
    #expect(log.latched.isEmpty)
    far.client.latched(try #require(far.log.layer("a")?.layer.id), through: serial)
    try world.wait("both latched") { log.latched.last?.serial == serial }
  }

  @Test func `damage of a content that is not here yet waits for it`() throws {
    let world = try World()
    let display = world.display()
    let (client, log, _) = try linked(world)
    try settle(world)
    display.log.history.removeAll()
    // The link's bytes overtake the hub's: both are sent in one turn, and the hub needs turns of its own.
    let next = try picture(0xb)
    try client.show(next)
    let serial = try #require(client.flush(scanout, damage: spot))
    try world.wait("latched") { log.latched.last?.serial == serial }
    #expect(display.log.history == ["a shown"])
    #expect(display.log.buffer("a")?.mark == 0xb)
    #expect(display.log.layer("a")?.damages.last?.serial == serial)
  }

  @Test func `a display that comes later by the hub has the whole picture`() throws {
    let world = try World()
    let first = world.display("first")
    let (client, _, buffer) = try linked(world)
    try settle(world)
    buffer.bytes.storeBytes(of: 0xc0ffee, as: UInt32.self)
    _ = client.flush(scanout, damage: spot)
    let second = world.display("second", takesLinks: false)
    try world.wait("told of all") { second.log.layer("a")?.damages.last?.rectangle == Rectangle(buffer.layout.size) }
    #expect(first.log.layer("a")?.damages.isEmpty == false)
  }

  @Test func `a display that is killed is not waited for`() throws {
    let world = try World()
    let display = world.display()
    display.log.latchesAtOnce = false
    let (client, log, _) = try linked(world)
    try settle(world)
    let serial = try #require(client.flush(scanout, damage: spot))
    try world.turn()
    display.client.stop()
    try world.wait("done") { log.latched.last?.serial == serial }
    try world.wait("none is waited for") { client.flush(scanout, damage: spot) == nil }
  }

  @Test func `a producer that is started again is linked again, its first flush seen`() throws {
    let world = try World()
    let display = world.display()
    var (client, log, _) = try linked(world)
    try settle(world)
    for _ in 0..<50 { _ = client.flush(scanout, damage: spot) }
    try world.turn()
    client.stop()
    try world.wait("gone") { display.log.absence("a") == .gone }
    (client, log, _) = try linked(world, mark: 0xb)
    try settle(world)
    let serial = try #require(client.flush(scanout, damage: spot))
    try world.wait("latched") { log.latched.last?.serial == serial }
    #expect(display.log.layer("a")?.damages.last?.serial == serial)
    #expect(display.log.layer("a")?.damages.last?.rectangle == spot)
  }

  @Test func `flushes go on while there is no hub, and after it has come back`() throws {
    let world = try World()
    let display = world.display()
    let (client, log, _) = try linked(world)
    try settle(world)
    world.killHub()
    try world.turn()
    #expect(!client.isLinked)
    let serial = try #require(client.flush(scanout, damage: spot))
    try world.wait("latched without a hub") { log.latched.last?.serial == serial }
    #expect(display.log.layer("a")?.damages.last?.serial == serial)
    try world.startHub { $0.grace = .milliseconds(300) }
    try settle(world)
    let again = try #require(client.flush(scanout, damage: spot))
    try world.wait("latched") { log.latched.last?.serial == again }
    #expect(display.log.layer("a")?.damages.last?.serial == again)
    #expect(display.log.removed.isEmpty)
  }

  @Test func `a link that the display loses comes back`() throws {
    let world = try World { $0.linkRetry = .milliseconds(30) }
    let display = world.display()
    let (client, log, _) = try linked(world)
    try settle(world)
    display.client.closeLinks()
    try world.wait("by the hub") { try !isLinked(world, "a") }
    var missed: UInt64?
    try world.wait("wanted by the hub") {
      missed = client.flush(scanout, damage: spot)
      return missed != nil
    }
    try world.wait("seen") { log.latched.last?.serial == missed }
    try settle(world)
    let before = flushesAtHub(world)
    let serial = try #require(client.flush(scanout, damage: spot))
    try world.wait("latched") { log.latched.last?.serial == serial }
    #expect(flushesAtHub(world) == before)
  }

  @Test func `another content without a hub is not waited for`() throws {
    let world = try World()
    let display = world.display()
    let (client, _, _) = try linked(world)
    try settle(world)
    world.killHub()
    try world.turn()
    try client.show(try picture(0xb))
    #expect(client.flush(scanout, damage: spot) == nil)
    try world.startHub { $0.grace = .milliseconds(300) }
    try world.wait("shown") { display.log.buffer("a")?.mark == 0xb }
  }

  @Test func `a layer that moves goes on by its link; one that is taken away is not waited for`() throws {
    let world = try World()
    let display = world.display()
    let (client, log, _) = try linked(world)
    try settle(world)
    world.hub?.setLayout(Layout(placements: [place(width: 10)]))
    try world.wait("moved") { display.log.layer("a")?.layer.area.width == 10 }
    #expect(try isLinked(world, "a"))
    let serial = try #require(client.flush(scanout, damage: spot))
    try world.wait("latched") { log.latched.last?.serial == serial }
    world.hub?.setLayout(Layout(placements: []))
    try world.wait("taken away") { display.log.layer("a") == nil }
    try world.wait("not waited for") { client.flush(scanout, damage: spot) == nil }
    world.hub?.setLayout(Layout(placements: [place(width: 20), place(width: 30)]))
    try settle(world)
    let last = try #require(client.flush(scanout, damage: spot))
    try world.wait("both places") {
      display.log.layers.count == 2 && display.log.layers.values.allSatisfy { $0.damages.last?.serial == last }
    }
    try world.wait("latched") { log.latched.last?.serial == last }
  }

  private func place(width: UInt32) -> Layout.Placement {
    Layout.Placement(
      vm: PeerName("a")!, display: PeerName("main")!, area: Rectangle(x: 0, y: 0, width: width, height: 10))
  }
}
