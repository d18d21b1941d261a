import Buffers
import Glibc
import Platform
import TestSupport
import Testing

@testable import Hub
@testable import HubProtocol

@Suite struct RestartTests {
  /// Two VMs on a display, shown; what the display was told before is forgotten.
  private func start(_ world: World) throws -> (
    display: (client: ConsumerClient, log: DisplayLog), a: (client: ProducerClient, log: ProducerLog),
    b: (client: ProducerClient, log: ProducerLog)
  ) {
    let display = world.display()
    let a = world.producer("a")
    let b = world.producer("b")
    try a.client.show(try picture(0xa))
    try b.client.show(try picture(0xb))
    try world.wait("both shown") { display.log.buffer("a")?.mark == 0xa && display.log.buffer("b")?.mark == 0xb }
    display.log.history = []
    return (display, a, b)
  }

  @Test func `after a restart of the hub everybody carries on, and nothing flickers meanwhile`() throws {
    let world = try World()
    let (display, a, _) = try start(world)
    let layers = display.log.layers.mapValues(\.layer)
    let image = try #require(CursorImage(pixels: [UInt32](repeating: 1, count: 4096)))
    a.client.setCursor(CursorState(image: image, x: 1, y: 2), of: ScanoutIndex(0))
    try world.turn()
    world.killHub()
    try world.run(for: .milliseconds(30))
    #expect(display.log.buffer("a")?.mark == 0xa)
    try world.startHub { $0.grace = .seconds(2) }
    try world.wait("shown again") { Set(display.log.history) == ["a shown", "b shown"] }
    #expect(display.log.history.count == 2)
    #expect(display.log.removed.isEmpty)
    #expect(display.log.layers.mapValues(\.layer) == layers)
    #expect(display.log.layer("a")?.cursor == CursorState(image: image, x: 1, y: 2))
    let serial = a.client.flush(ScanoutIndex(0), damage: Rectangle(x: 0, y: 0, width: 4, height: 4))
    try world.wait("latched") { a.log.latched.last?.serial == serial }
    #expect(display.log.layer("a")?.damages.last?.serial == serial)
  }

  @Test func `a VM that does not come back is called gone after the grace period only`() throws {
    let world = try World()
    let (display, a, _) = try start(world)
    let place = display.log.layer("b")?.layer.area
    world.killHub()
    a.client.stop()
    try world.startHub { $0.grace = .milliseconds(700) }
    try world.wait("the other is back") { display.log.history == ["b shown"] }
    try world.run(for: .milliseconds(100))
    #expect(display.log.history == ["b shown"])
    #expect(display.log.buffer("a")?.mark == 0xa)
    #expect(display.log.layer("b")?.layer.area == place)
    try world.wait("gone") { display.log.absence("a") == .gone }
    #expect(display.log.layer("b")?.layer.area == place)
  }

  @Test func `layers that a new hub's layout does not have are removed once it has settled`() throws {
    let world = try World()
    let (display, _, _) = try start(world)
    world.killHub()
    let place = Layout.Placement(
      vm: PeerName("a")!, display: PeerName("main")!, area: Rectangle(x: 0, y: 0, width: 10, height: 10))
    try world.startHub {
      $0.grace = .milliseconds(300)
      $0.layout = Layout(placements: [place])
    }
    try world.wait("removed") { display.log.layer("b") == nil }
    #expect(display.log.layer("a")?.layer.area == place.area)
  }

  @Test func `a producer started before the hub finds it`() throws {
    let world = try World(startsHub: false)
    let producer = world.producer("a")
    try producer.client.show(try picture())
    try world.run(for: .milliseconds(120))
    #expect(producer.log.links.count == 1)
    try world.startHub()
    try world.wait("there") { world.hub?.registry.all.count == 1 }
  }

  @Test func `a buffer retired while there is no hub is not announced to the next`() throws {
    let world = try World()
    let (display, a, _) = try start(world)
    let next = try picture(0xa2)
    try a.client.show(next)
    try world.wait("next") { display.log.buffer("a")?.mark == 0xa2 }
    world.killHub()
    try world.turn()
    a.client.retire(next.id)
    try world.startHub { $0.grace = .seconds(1) }
    try world.wait("off") { display.log.absence("a") == .off }
    #expect(world.hub?.registry.all.contains { $0.id == next.id } == false)
  }

  @Test func `a display that is killed and started again gets everything anew`() throws {
    let world = try World()
    let (display, _, _) = try start(world)
    display.client.stop()
    try world.turn()
    let again = world.display()
    try world.wait("shown") { again.log.buffer("a")?.mark == 0xa && again.log.buffer("b")?.mark == 0xb }
  }

  @Test func `a hub process killed with SIGKILL is replaced without a trace on the display`() throws {
    let world = try World(startsHub: false)
    let first = try HubUnderTest(socketPath: world.path)
    let (display, a, _) = try start(world)
    first.kill()
    try world.run(for: .milliseconds(30))
    #expect(display.log.buffer("a")?.mark == 0xa)
    let second = try HubUnderTest(socketPath: world.path)
    try world.wait("shown again") { Set(display.log.history) == ["a shown", "b shown"] }
    #expect(display.log.removed.isEmpty)
    let serial = a.client.flush(ScanoutIndex(0), damage: Rectangle(x: 0, y: 0, width: 4, height: 4))
    try world.wait("latched") { a.log.latched.last?.serial == serial }
    second.kill()
  }

  @Test func `a hub process ends on SIGTERM and takes its socket along; a second one there is refused`() throws {
    let directory = try ScratchFolder()
    let path = directory.path + "/hub.sock"
    let first = try HubUnderTest(socketPath: path)
    let second = try HubUnderTest(socketPath: path, waits: false)
    #expect(second.exitStatus() == 1)
    #expect(first.end(SIGTERM) == 0)
    #expect(access(path, F_OK) != 0)
  }
}

/// A hub in a process of its own.
private final class HubUnderTest {
  private var pid: pid_t = 0

  init(socketPath: String, waits: Bool = true) throws {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    try #require(count > 0)
    let own = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let program = own[..<(own.lastIndex(of: "/") ?? own.startIndex)] + "/HubUnderTest"
    var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(String(program)), strdup(socketPath), nil]
    defer { arguments.forEach { free($0) } }
    try #require(posix_spawn(&pid, String(program), nil, nil, &arguments, environ) == 0, "\(program) cannot be started")
    if waits { try waitUntilListening(socketPath) }
  }

  private func waitUntilListening(_ path: String) throws {
    let deadline = MonotonicTime.now + .seconds(20)
    while (try? UnixSocket.connect(path: path, kind: .sequencedPacket)) == nil {
      try #require(MonotonicTime.now < deadline, "the hub does not listen")
      usleep(5_000)
    }
  }

  func kill() { _ = end(SIGKILL) }

  func end(_ signal: Int32) -> Int32 {
    Glibc.kill(pid, signal)
    return exitStatus()
  }

  func exitStatus() -> Int32 {
    var status: Int32 = 0
    waitpid(pid, &status, 0)
    pid = 0
    return status & 0x7f == 0 ? status >> 8 & 0xff : -1
  }

  deinit { if pid > 0 { kill() } }
}
