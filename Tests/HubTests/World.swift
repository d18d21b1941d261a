import Buffers
import Glibc
import Platform
import TestSupport
import Testing

@testable import Hub
@testable import HubProtocol

/// Notes what a producer is told.
final class ProducerLog: ProducerClientDelegate {
  var latched: [(scanout: ScanoutIndex, serial: UInt64)] = []
  var modes: [Size] = []
  var links: [HubLinkState] = []
  var requirements: [ScanoutRequirements] = []
  var freed: [BufferID] = []

  func producer(_ client: ProducerClient, latched scanout: ScanoutIndex, through serial: UInt64) {
    latched.append((scanout, serial))
  }
  func producer(_ client: ProducerClient, wants mode: Size, of scanout: ScanoutIndex) { modes.append(mode) }
  func producer(_ client: ProducerClient, link: HubLinkState) { links.append(link) }
  func producer(_ client: ProducerClient, requires wanted: ScanoutRequirements, of scanout: ScanoutIndex) {
    requirements.append(wanted)
  }
  func producer(_ client: ProducerClient, freed buffer: BufferID) { freed.append(buffer) }
}

/// A display that keeps what a compositor would draw, and notes what happened to it.
final class DisplayLog: ConsumerClientDelegate {
  struct Shown {
    var layer: LayerDescription
    var content: LayerContent?
    var cursor: CursorState?
    var damages: [(rectangle: Rectangle, serial: UInt64)] = []
  }

  var layers: [LayerID: Shown] = [:]
  var removed: [LayerID] = []
  var links: [HubLinkState] = []
  /// Every change of content, as text.
  var history: [String] = []
  /// Whether damage is latched at once.
  var latchesAtOnce = true

  func consumer(_ client: ConsumerClient, set layer: LayerDescription) {
    layers[layer.id, default: Shown(layer: layer)].layer = layer
  }
  func consumer(_ client: ConsumerClient, removed layer: LayerID) {
    layers[layer] = nil
    removed.append(layer)
  }
  func consumer(_ client: ConsumerClient, content: LayerContent, of layer: LayerID) {
    layers[layer]?.content = content
    let vm = layers[layer]?.layer.vm.text ?? "?"
    switch content {
    case .shown: history.append("\(vm) shown")
    case .absent(let reason): history.append("\(vm) \(reason)")
    }
  }
  func consumer(_ client: ConsumerClient, damage: Rectangle, serial: UInt64, of layer: LayerID) {
    layers[layer]?.damages.append((damage, serial))
    if latchesAtOnce { client.latched(layer, through: serial) }
  }
  func consumer(_ client: ConsumerClient, cursor: CursorState, of layer: LayerID) { layers[layer]?.cursor = cursor }
  func consumer(_ client: ConsumerClient, cursorOf layer: LayerID, movedToX x: Int32, y: Int32) {
    layers[layer]?.cursor?.x = x
    layers[layer]?.cursor?.y = y
  }
  func consumer(_ client: ConsumerClient, link: HubLinkState) { links.append(link) }

  /// The layer of a VM's first scanout.
  func layer(_ vm: String) -> Shown? { layers.values.first { $0.layer.vm.text == vm } }

  /// The buffer that a VM's layer shows.
  func buffer(_ vm: String) -> ReadOnlyBuffer? {
    guard case .shown(let buffer, _)? = layer(vm)?.content else { return nil }
    return buffer
  }

  func absence(_ vm: String) -> AbsenceReason? {
    guard case .absent(let reason)? = layer(vm)?.content else { return nil }
    return reason
  }
}

/// A hub and its peers on one loop, so that each test decides what happens when.
final class World {
  let loop: EventLoop
  let directory: ScratchFolder
  var hub: Hub?
  var events: [HubEvent] = []
  private var keptAlive: [Any] = []

  /// Keeps something for as long as the world.
  func keep(_ thing: Any) { keptAlive.append(thing) }

  init(_ configure: (inout Hub.Configuration) -> Void = { _ in }, startsHub: Bool = true) throws {
    loop = try EventLoop()
    directory = try ScratchFolder()
    if startsHub { try startHub(configure) }
  }

  deinit { hub?.close() }

  var path: String { directory.path + "/hub.sock" }

  /// What the hub can know of a peer in this process: nothing where the system does not say who connects.
  static let ownProcessID = ownCredentials?.pid ?? 0
  static let ownUserID = ownCredentials?.uid ?? .max

  private static let ownCredentials: UnixSocket.PeerCredentials? = {
    guard let pair = try? UnixSocket.pair(.sequencedPacket) else { return nil }
    return (try? UnixSocket.peerCredentials(pair.first.raw)) ?? nil
  }()

  func startHub(_ configure: (inout Hub.Configuration) -> Void = { _ in }) throws {
    var configuration = Hub.Configuration()
    configuration.grace = .zero
    configure(&configuration)
    let hub = Hub(loop: loop, configuration: configuration) { [weak self] in self?.events.append($0) }
    try hub.listen(path: path)
    self.hub = hub
    if configuration.grace == .zero { try turn() }
  }

  /// Ends the hub as a kill would: every descriptor closes, nobody is told anything.
  func killHub() {
    hub?.close()
    hub = nil
  }

  /// Some turns of the loop without waiting.
  func turn(_ count: Int = 6) throws {
    for _ in 0..<count { try loop.runOnce(timeout: .zero) }
  }

  /// Turns until the condition holds; a failure of the test after the limit.
  func wait(
    _ what: Comment, limit: Duration = .seconds(20), source: SourceLocation = #_sourceLocation,
    _ condition: () throws -> Bool
  ) throws {
    let deadline = MonotonicTime.now + limit
    while try !condition() {
      try #require(MonotonicTime.now < deadline, what, sourceLocation: source)
      try loop.runOnce(timeout: .milliseconds(5))
    }
  }

  /// Turns for a while.
  func run(for duration: Duration) throws {
    let deadline = MonotonicTime.now + duration
    while MonotonicTime.now < deadline { try loop.runOnce(timeout: .milliseconds(5)) }
  }

  /// A producer that gives no flush up before the test's own limit, so that only what was latched counts as latched,
  /// however slow the machine is.
  func producer(
    _ name: String, connected: Bool = true, latchLimit: Duration = .seconds(60)
  ) -> (client: ProducerClient, log: ProducerLog) {
    let client = ProducerClient(
      hubPath: path, vm: PeerName(name)!, socketPath: "/run/\(name).sock", memoryLimit: 1 << 28, loop: loop)
    client.latchLimit = latchLimit
    let log = ProducerLog()
    client.delegate = log
    client.setVMConnected(connected)
    keptAlive.append((client, log))
    client.start()
    return (client, log)
  }

  func display(
    _ name: String = "main", size: Size = Size(width: 1920, height: 720), constraints: Constraints = .unstated,
    takesLinks: Bool = true
  ) -> (client: ConsumerClient, log: DisplayLog) {
    let description = DisplayDescription(size: size, refreshMillihertz: 60_000, output: "test")
    let client = ConsumerClient(
      hubPath: path, display: PeerName(name)!, description: description, constraints: constraints, loop: loop,
      takesLinks: takesLinks)
    let log = DisplayLog()
    client.delegate = log
    keptAlive.append((client, log))
    client.start()
    return (client, log)
  }

  func raw() throws -> RawPeer { try RawPeer(world: self) }

  /// Keeps a peer connected to the end of the test.
  func keep(_ peer: RawPeer) { keptAlive.append(peer) }

  /// A control program's request, made on another thread because it blocks.
  func ask<Answer: Sendable>(
    _ question: @escaping @Sendable (ControlClient) throws(ControlError) -> Answer
  ) throws -> Answer {
    let path = path
    let box = AnswerBox<Answer>()
    let thread = try BackgroundThread(body: {
      do throws(ControlError) {
        let client = try ControlClient(hubPath: path, name: PeerName("test")!)
        box.answer = .success(try question(client))
      } catch {
        box.answer = .failure(error)
      }
    })
    try wait("the hub answers a control request") { thread.isDone }
    thread.join()
    return try #require(box.answer).get()
  }
}

private final class AnswerBox<Answer>: @unchecked Sendable {
  var answer: Result<Answer, ControlError>?
}

/// A thread without Foundation.
final class BackgroundThread: @unchecked Sendable {
  private final class Body {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }

  private var handle = pthread_t()
  private let done: Doorbell

  init(body: @escaping @Sendable () -> Void) throws {
    done = try Doorbell()
    let done = done
    let boxed = Unmanaged.passRetained(
      Body {
        body()
        done.ring()
      })
    pthread_create(
      &handle, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, boxed.toOpaque())
  }

  var isDone: Bool {
    var entry = pollfd(fd: done.waiting.raw, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 0) == 1
  }

  func join() { pthread_join(handle, nil) }
}

/// A peer that may send anything.
final class RawPeer {
  let socket: SharedDescriptor
  private unowned let world: World
  private var received: [(message: Message, serial: UInt64)] = []
  private(set) var isEnded = false
  private(set) var descriptorCount = 0
  /// The descriptors that came with LINK_OPEN.
  private(set) var links: [SharedDescriptor] = []
  /// The descriptor that came with the newest ACQUIRED.
  private(set) var memory: SharedDescriptor?
  private var sawReset = false

  init(world: World) throws {
    self.world = world
    socket = SharedDescriptor(try UnixSocket.connect(path: world.path, kind: .sequencedPacket))
    try UnixSocket.setNonBlocking(socket.raw, true)
  }

  /// An end of a link.
  init(world: World, link: SharedDescriptor) throws {
    self.world = world
    socket = link
    try UnixSocket.setNonBlocking(socket.raw, true)
  }

  /// Sends one message as a packet; false when the socket is full.
  @discardableResult
  func send(_ message: Message, serial: UInt64 = 0, descriptors: [Int32] = []) throws -> Bool {
    var bytes = [UInt8](repeating: 0, count: message.byteCount)
    _ = bytes.withUnsafeMutableBytes {
      message.encode(serial: serial, carriesDescriptor: !descriptors.isEmpty, into: $0)
    }
    return try send(bytes, descriptors: descriptors)
  }

  @discardableResult
  func send(_ bytes: [UInt8], descriptors: [Int32] = []) throws -> Bool {
    do {
      return try bytes.withUnsafeBytes { try UnixSocket.send(socket.raw, $0, descriptors: descriptors) } != nil
    } catch let error as SystemError where error.code == EPIPE || error.code == ECONNRESET {
      try drain()
      return false
    }
  }

  func hello(_ role: Role, _ name: String) throws {
    try send(.hello(Hello(role: role, name: PeerName(name)!)))
  }

  /// Takes in what has come.
  func drain() throws {
    var room = [UInt8](repeating: 0, count: 65_536)
    while !isEnded {
      var descriptors: [Int32] = []
      let result = try room.withUnsafeMutableBytes {
        try UnixSocket.receive(socket.raw, into: $0, descriptors: &descriptors)
      }
      switch result {
      case .wouldBlock: return
      case .closed where sawReset: isEnded = true
      case .closed: sawReset = true
      case .bytes(let count, _):
        try room.withUnsafeBytes {
          try PacketParser.parse(UnsafeRawBufferPointer(rebasing: $0[..<count]), descriptors: descriptors) {
            received.append(($0, $1))
            if let descriptor = $2 {
              descriptorCount += 1
              switch $0 {
              case .producerLink, .consumerLink: links.append(SharedDescriptor(descriptor))
              case .application(.acquired): memory = SharedDescriptor(descriptor)
              default: break
              }
            }
            return true
          }
        }
      }
    }
  }

  /// What has come so far, as far as it fits.
  func all<Found>(_ match: (Message, UInt64) -> Found?) throws -> [Found] {
    try drain()
    return received.compactMap { match($0.message, $0.serial) }
  }

  /// Forgets what has come so far.
  func forget() { received.removeAll() }

  /// Turns until a message that fits has come.
  func wait<Found>(
    _ what: Comment, source: SourceLocation = #_sourceLocation, _ match: (Message) -> Found?
  ) throws -> Found {
    var found: Found?
    try world.wait(what, source: source) {
      try drain()
      for entry in received where found == nil { found = match(entry.message) }
      return found != nil
    }
    return try #require(found)
  }

  /// Turns until the hub ended this connection; the reason that it gave.
  func refusal(source: SourceLocation = #_sourceLocation) throws -> Refusal? {
    try world.wait("the hub ends the connection", source: source) {
      try drain()
      return isEnded
    }
    return received.lazy.compactMap { if case .error(let refusal) = $0.message { refusal } else { nil } }.first
  }
}

/// A picture whose first pixel tells it apart.
func picture(_ mark: UInt32 = 0, size: Size = Size(width: 64, height: 32)) throws -> HostBuffer {
  let buffer = try HostBuffer(layout: try #require(PixelLayout(size: size, format: .xrgb8888)))
  buffer.bytes.storeBytes(of: mark, as: UInt32.self)
  return buffer
}

extension ReadOnlyBuffer {
  /// The first pixel.
  var mark: UInt32 { bytes.loadUnaligned(as: UInt32.self) }
}

extension ProducerClient {
  /// Shows a whole buffer on the first scanout.
  func show(_ buffer: HostBuffer) throws {
    setMode(buffer.layout.size, of: ScanoutIndex(0))
    try show(buffer, source: Rectangle(buffer.layout.size), on: ScanoutIndex(0))
  }
}

/// A buffer of 64 x 32 pixels as a peer without a client library registers it.
struct RawBuffer {
  let description: BufferDescription
  let memory: HostBuffer
  let descriptor: SharedDescriptor

  init() throws {
    memory = try picture()
    description = BufferDescription(id: memory.id, layout: memory.layout)
    descriptor = SharedDescriptor(try memory.readOnlyDescriptor())
  }

  var whole: Rectangle { Rectangle(memory.layout.size) }
  var memoryDescription: MemoryDescription { MemoryDescription(hostFileOf: memory.layout) }
}

extension RawPeer {
  /// Becomes a producer whose first scanout shows a buffer.
  func becomeProducer(_ name: String = "a") throws -> RawBuffer {
    let buffer = try RawBuffer()
    try hello(.producer, name)
    try send(.vmState(connected: true))
    try register(buffer)
    try show(buffer)
    return buffer
  }

  func register(_ buffer: RawBuffer) throws {
    try send(.bufferRegister(buffer.description, buffer.memoryDescription), descriptors: [buffer.descriptor.raw])
  }

  func show(_ buffer: RawBuffer?) throws {
    let content = buffer.map { ScanoutState.Content(buffer: $0.description.id, source: $0.whole) }
    let mode = Size(width: 64, height: 32)
    try send(.scanoutSet(ScanoutState(scanout: ScanoutIndex(0), mode: mode, content: content)))
  }

  func flush(_ serial: UInt64, _ damage: Rectangle = Rectangle(x: 0, y: 0, width: 8, height: 8)) throws {
    try send(.flush(ScanoutIndex(0), damage: damage), serial: serial)
  }

  /// Becomes a display.
  func becomeConsumer(_ name: String = "main") throws {
    try hello(.consumer, name)
    try send(
      .displayAnnounce(
        DisplayDescription(size: Size(width: 1000, height: 500), refreshMillihertz: 60_000, output: "raw")))
  }

  /// Says which memory this display can use.
  func sendConstraints(_ kinds: MemoryKind, strideAlignment: UInt32 = 1) throws {
    var constraints = Constraints.unstated
    constraints.memoryKinds = kinds
    constraints.strideAlignment = strideAlignment
    try send(.consumerConstraints(constraints))
  }

  /// Serials of the flushes that are latched.
  func latched() throws -> [UInt64] {
    try all { if case .flushLatched = $0 { $1 } else { nil } }
  }

  /// Damages that have come, with their serials.
  func damages() throws -> [(rectangle: Rectangle, serial: UInt64)] {
    try all { if case .layerDamage(_, let rectangle) = $0 { (rectangle, $1) } else { nil } }
  }

  /// The layer, once a picture was shown on it.
  func shownLayer() throws -> LayerID {
    try wait("a layer shows a picture") { if case .layerContent(let layer, .shown) = $0 { layer } else { nil } }
  }
}
