import Buffers
import Glibc
import Logging
import Platform
import Testing

@testable import Compositor
@testable import HubProtocol

/// The hub's end of a compositor's connection, as far as the tests need it.
private final class FakeHub: HubConnectionHandler {
  let path: String
  let loop: EventLoop
  private(set) var received: [Message] = []
  private(set) var latched: [LayerID: UInt64] = [:]
  private(set) var frame: FrameReader?
  private var listener: FileDescriptor?
  private var token: EventLoop.Token?
  private var connection: HubConnection?
  private var sent: Set<BufferID> = []

  init(loop: EventLoop) throws {
    self.loop = loop
    path = "/tmp/compositor-test-hub-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
    try listen()
  }

  deinit { unlink(path) }

  func listen() throws {
    let socket = try UnixSocket.listen(path: path, kind: .sequencedPacket)
    token = try loop.watch(socket.raw, for: .readable) { [unowned self, raw = socket.raw] _ in
      guard let peer = try? UnixSocket.accept(raw) else { return }
      connection = try? HubConnection(peer, loop: loop)
      connection?.handler = self
    }
    listener = consume socket
  }

  /// Dies.
  func vanish() {
    if let token { loop.unwatch(token) }
    listener = nil
    connection?.close()
    connection = nil
    received = []
    sent = []
  }

  func send(_ message: Message, serial: UInt64 = 0, descriptor: SharedDescriptor? = nil) throws {
    let connection = try #require(connection)
    _ = connection.send(message, serial: serial, descriptor: descriptor)
    connection.transmit()
  }

  func show(_ buffer: TestBuffer, in layer: LayerDescription, source: Rectangle? = nil) throws {
    try send(.layerSet(layer))
    let description = BufferDescription(id: buffer.host.id, layout: buffer.host.layout)
    let descriptor = sent.insert(buffer.host.id).inserted ? SharedDescriptor(try buffer.host.readOnlyDescriptor()) : nil
    try send(
      .layerContent(
        layer.id,
        .shown(
          description, MemoryDescription(hostFileOf: buffer.host.layout), space: nil,
          source: source ?? Rectangle(buffer.host.layout.size))),
      descriptor: descriptor)
  }

  func has(_ test: (Message) -> Bool) -> Bool { received.contains(where: test) }

  func connection(
    _ connection: HubConnection, received message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) {
    received.append(message)
    switch message {
    case .hello:
      _ = connection.send(.welcome(Welcome(processID: 1, instance: UInt64.random(in: 1...9999))))
      connection.transmit()
    case .layerLatched(let layer): latched[layer] = serial
    case .frameRegister(let buffer):
      if let descriptor, let display = PeerName("main") {
        frame = try? FrameReader(buffer, display: display, descriptor: descriptor.raw)
      }
    default: break
    }
  }

  func connectionHasRoom(_ connection: HubConnection) {}
  func connection(_ connection: HubConnection, ended reason: HubConnection.End) {}
}

@Suite("Compositor process", .serialized)
struct CompositorProcessTests {
  private let loop: EventLoop
  private let hub: FakeHub
  private let compositor: Compositor

  init() throws {
    loop = try EventLoop()
    hub = try FakeHub(loop: loop)
    compositor = try Compositor(
      options: CompositorOptions(
        hubPath: hub.path, display: try #require(PeerName("main")), size: Size(width: 200, height: 100)),
      loop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    try compositor.start()
    try run { hub.frame != nil && compositor.composer.counters.frames == 1 }
  }

  /// Turns the loop until `condition` holds.
  private func run(atMost limit: Duration = .seconds(5), until condition: () -> Bool) throws {
    let end = MonotonicTime.now + limit
    while !condition() {
      try #require(MonotonicTime.now < end, "timed out")
      try loop.runOnce(timeout: .milliseconds(20))
    }
  }

  /// Turns the loop for a time.
  private func rest(_ time: Duration) throws {
    let end = MonotonicTime.now + time
    while MonotonicTime.now < end { try loop.runOnce(timeout: end - .now) }
  }

  private func pixel(_ x: Int, _ y: Int) throws -> UInt32 {
    let frame = try #require(hub.frame)
    var pixels = [UInt32](repeating: 0, count: 200 * 100)
    let generation = pixels.withUnsafeMutableBytes { frame.copyPixels(into: $0) }
    try #require(generation != nil)
    return pixels[y * 200 + x] & 0xff_ffff
  }

  @Test("announces its display and its frame")
  func announce() throws {
    #expect(
      hub.has {
        $0
          == .displayAnnounce(
            DisplayDescription(size: Size(width: 200, height: 100), refreshMillihertz: 60_000, output: "headless"))
      })
    #expect(hub.frame?.generation == 2)
  }

  @Test("shows a buffer and answers its flush with the frame that contains it")
  func show() throws {
    let buffer = try TestBuffer(100, 100) { _, _ in 0x12_3456 }
    try hub.show(buffer, in: layer(1, box(0, 0, 100, 100)))
    try run { compositor.composer.counters.frames == 2 }
    #expect(try pixel(5, 5) == 0x12_3456)
    buffer.draw(box(5, 5, 1, 1)) { _, _ in 0x99_9999 }
    try hub.send(.layerDamage(id(1), box(5, 5, 1, 1)), serial: 7)
    try run { hub.latched[id(1)] == 7 }
    #expect(try pixel(5, 5) == 0x99_9999)
    #expect(try pixel(6, 5) == 0x12_3456)
  }

  @Test("answers a flush of which nothing can be seen")
  func hidden() throws {
    try hub.show(try TestBuffer(10, 10), in: layer(1, box(0, 0, 10, 10)))
    try hub.send(.layerSet(layer(2, box(0, 0, 200, 100), z: 1)))
    try run { compositor.composer.counters.frames == 2 }
    try hub.send(.layerDamage(id(1), box(0, 0, 10, 10)), serial: 3)
    try run { hub.latched[id(1)] == 3 }
    #expect(compositor.composer.counters.frames == 2)
  }

  @Test("composes no sooner than a refresh period after the last frame, everything in one")
  func pacing() throws {
    try hub.show(try TestBuffer(10, 10), in: layer(1, box(0, 0, 10, 10)))
    try rest(.milliseconds(100))
    let before = compositor.composer.counters.frames
    let start = MonotonicTime.now
    var serial: UInt64 = 0
    while MonotonicTime.now < start + .milliseconds(500) {
      serial += 1
      try hub.send(.layerDamage(id(1), box(0, 0, 10, 10)), serial: serial)
      try loop.runOnce(timeout: .milliseconds(1))
    }
    let frames = compositor.composer.counters.frames - before
    #expect((5...32).contains(frames), "\(frames) frames in half a second of \(serial) flushes")
    try run { hub.latched[id(1)] == serial }
  }

  @Test("does nothing while nothing changes")
  func idle() throws {
    try hub.show(try TestBuffer(10, 10), in: layer(1, box(0, 0, 10, 10)))
    try rest(.milliseconds(100))
    let before = compositor.composer.counters.frames
    let start = MonotonicTime.now
    try loop.runOnce(timeout: .milliseconds(300))
    #expect(MonotonicTime.now - start > .milliseconds(290), "something woke the loop")
    #expect(compositor.composer.counters.frames == before)
  }

  @Test("a VM that is gone becomes a label at once, and the other VM's area is not painted")
  func gone() throws {
    try hub.show(try TestBuffer(100, 100) { _, _ in 0x11_1111 }, in: layer(1, box(0, 0, 100, 100)))
    try hub.show(try TestBuffer(100, 100) { _, _ in 0x22_2222 }, in: layer(2, box(100, 0, 100, 100)))
    try run { compositor.composer.counters.frames == 2 }
    try hub.send(.layerContent(id(1), .absent(.gone)))
    try run { compositor.composer.scene.isDamaged }
    #expect(compositor.composer.scene.damage.rectangles == [box(0, 0, 100, 100)])
    try run(atMost: .seconds(1)) { compositor.composer.counters.frames == 3 }
    #expect(try pixel(5, 5) == 0x20_242a)
    #expect(try pixel(105, 5) == 0x22_2222)
  }

  @Test("a retired buffer is released once nothing shows it")
  func release() throws {
    let buffer = try TestBuffer(10, 10)
    try hub.show(buffer, in: layer(1, box(0, 0, 10, 10)))
    try run { compositor.composer.counters.frames == 2 }
    let mappings = try countMappings(of: buffer.host)
    try hub.send(.layerContent(id(1), .absent(.off)))
    try hub.send(.bufferRetired(buffer.host.id))
    try run { hub.has { $0 == .bufferRelease(buffer.host.id) } }
    try rest(.milliseconds(50))
    #expect(try countMappings(of: buffer.host) == mappings - 1)
  }

  /// How often this process has mapped the buffer for reading. Other tests map other buffers meanwhile.
  private func countMappings(of buffer: HostBuffer) throws -> Int {
    let descriptor = try buffer.readOnlyDescriptor()
    var status = stat()
    try #require(fstat(descriptor.raw, &status) == 0)
    let file = try #require(fopen("/proc/self/maps", "r"))
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 1024)
    var count = 0
    while fgets(&line, 1024, file) != nil {
      let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let fields = text.split(separator: " ")
      if fields.count > 5 && fields[1] == "r--s" && fields[4] == "\(status.st_ino)" { count += 1 }
    }
    return count
  }

  @Test("a buffer that is not sealed, or shorter than it says, is not shown; the next one is")
  func badBuffers() throws {
    let buffer = try TestBuffer(100, 100) { _, _ in 0x12_3456 }
    let layout = try #require(PixelLayout(size: Size(width: 1000, height: 1000), format: .xrgb8888))
    try hub.send(.layerSet(layer(1, box(0, 0, 100, 100))))
    try hub.send(
      .layerContent(
        id(1),
        .shown(
          BufferDescription(id: .random(), layout: layout), MemoryDescription(hostFileOf: layout), space: nil,
          source: box(0, 0, 1000, 1000))),
      descriptor: SharedDescriptor(try buffer.host.readOnlyDescriptor()))
    try run { compositor.composer.counters.frames == 2 }
    #expect(try pixel(2, 2) == 0x20_242a)
    try hub.show(buffer, in: layer(1, box(0, 0, 100, 100)))
    try run { compositor.composer.counters.frames == 3 }
    #expect(try pixel(2, 2) == 0x12_3456)
  }

  @Test("a source outside of its buffer is not shown")
  func badSource() throws {
    let buffer = try TestBuffer(100, 100) { _, _ in 0x12_3456 }
    try hub.show(buffer, in: layer(1, box(0, 0, 100, 100)), source: box(1, 0, 100, 100))
    try rest(.milliseconds(100))
    #expect(try pixel(2, 2) != 0x12_3456)
  }

  @Test("rows that cannot be painted are not shown")
  func oddStride() throws {
    let buffer = try TestBuffer(100, 50, stride: 403) { _, _ in 0x12_3456 }
    try hub.show(buffer, in: layer(1, box(0, 0, 100, 100)))
    try run { compositor.composer.counters.frames == 2 }
    #expect(try pixel(2, 2) == 0x20_242a)
  }

  @Test("goes on showing its picture without a hub, and tells the next one")
  func hubRestart() throws {
    let buffer = try TestBuffer(100, 100) { _, _ in 0x12_3456 }
    let description = try layer(1, box(0, 0, 100, 100))
    try hub.show(buffer, in: description)
    try run { compositor.composer.counters.frames == 2 }
    hub.vanish()
    try rest(.milliseconds(100))
    #expect(try pixel(5, 5) == 0x12_3456)
    try hub.listen()
    try run { hub.has { if case .frameRegister = $0 { true } else { false } } }
    #expect(hub.has { $0 == .layerRecall(LayerRecall(id: id(1), vm: description.vm, scanout: description.scanout)) })
    #expect(try pixel(5, 5) == 0x12_3456)
    try hub.send(.layersSettled)
    try run { compositor.composer.scene.layerIDs.isEmpty }
  }

  @Test("options out of range are a clear error")
  func options() throws {
    let display = try #require(PeerName("main"))
    for size in [Size(width: 0, height: 10), Size(width: 16_385, height: 10)] {
      let options = CompositorOptions(hubPath: "/x", display: display, size: size)
      #expect(throws: CompositorError.self) {
        try Compositor(options: options, loop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
      }
    }
    for refresh: UInt32 in [0, 999, 1_000_001] {
      let options = CompositorOptions(hubPath: "/x", display: display, refreshMillihertz: refresh)
      #expect(throws: CompositorError.self) {
        try Compositor(options: options, loop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
      }
    }
  }
}
