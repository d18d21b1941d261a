import Buffers
import Glibc
import Hub
import HubProtocol
import Platform

/// Lets a producer and a consumer say anything on their links to real peers, which must go on by the hub and with each
/// other.
@Sendable public func fuzzLink(_ input: UnsafeRawBufferPointer) {
  // The machine's own resources may run out; that says nothing about links.
  guard let machine = try? LinkMachine(FuzzInput(input)) else { return }
  machine.run()
}

/// A hub, a real producer and a real display; a raw producer with a link to that display, and a raw display with a link
/// to that producer. The input: actions of one byte each with their operands.
private final class LinkMachine: ProducerClientDelegate, ConsumerClientDelegate {
  private static let size = Size(width: 16, height: 16)
  private static let scanout = ScanoutIndex(0)

  private var input: FuzzInput
  private let loop: EventLoop
  private let hub: Hub
  private let path = "/tmp/muntin-fuzz-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
  private let producer: ProducerClient
  private let display: ConsumerClient
  private var pictures: [HostBuffer] = []
  private var latched: UInt64 = 0
  private let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Wire.maximumPacketByteCount, alignment: 8)
  /// The raw peers' connections to the hub, and their ends of links: the producer's, the display's.
  private var peers: [SharedDescriptor] = []
  private var ends: [SharedDescriptor?] = [nil, nil]

  init(_ input: FuzzInput) throws {
    self.input = input
    loop = try EventLoop()
    var configuration = Hub.Configuration()
    configuration.grace = .zero
    hub = Hub(loop: loop, configuration: configuration)
    guard let vm = PeerName("a"), let name = PeerName("main"),
      let layout = PixelLayout(size: Self.size, format: .xrgb8888)
    else { throw SystemError(call: "names", code: EINVAL) }
    producer = ProducerClient(hubPath: path, vm: vm, loop: loop)
    display = ConsumerClient(
      hubPath: path, display: name,
      description: DisplayDescription(size: Self.size, refreshMillihertz: 60_000, output: ""), loop: loop)
    pictures = [try HostBuffer(layout: layout), try HostBuffer(layout: layout)]
    try hub.listen(path: path)
    try start()
  }

  deinit {
    room.deallocate()
    unlink(path)
  }

  private func start() throws {
    producer.delegate = self
    display.delegate = self
    producer.setVMConnected(true)
    try producer.show(pictures[0], source: Rectangle(Self.size), on: Self.scanout)
    producer.start()
    display.start()
    try startRawProducer()
    try startRawDisplay()
    for _ in 0..<4 { exchange() }
  }

  func run() {
    while !input.isEmpty { act() }
    ends = [nil, nil]
    for _ in 0..<4 { exchange() }
    peers.removeAll()
    turn()
    expectFlushSeen()
    producer.stop()
    display.stop()
    hub.close()
  }

  private func act() {
    let side = input.next(below: 2)
    switch input.byte() % 12 {
    case 0: turn()
    case 1: exchange()
    case 2: send(input.take(input.next(below: 300)), to: ends[side])
    case 3: flush(input.byte() < 240 ? 1 : 1000)
    case 4: try? producer.show(pictures[input.next(below: 2)], source: Rectangle(Self.size), on: Self.scanout)
    case 5: producer.turnOff(Self.scanout)
    case 6: ends[side] = nil
    case 7, 8: say(.linkLatched(scanout()), to: ends[1])
    case 9: say(.linkLatched(scanout()), to: ends[0])
    default: say(.linkDamage(scanout(), generation: UInt64(input.byte() % 4), rectangle()), to: ends[0])
    }
  }

  /// Flushes, which a raw display that does not read gets as merged damage later.
  private func flush(_ count: Int) {
    for index in 0..<count {
      _ = producer.flush(Self.scanout, damage: rectangle())
      if index % 2 == 1 { turn() }
    }
  }

  /// Whatever was said on the raw peers' links, the two real ones still show each other's flushes.
  private func expectFlushSeen() {
    try? producer.show(pictures[1], source: Rectangle(Self.size), on: Self.scanout)
    guard let serial = producer.flush(Self.scanout, damage: Rectangle(Self.size)) else {
      fatalError("nobody shows the scanout any more")
    }
    let deadline = MonotonicTime.now + .seconds(10)
    while latched < serial {
      precondition(MonotonicTime.now < deadline, "a flush is never latched")
      try? loop.runOnce(timeout: .milliseconds(5))
    }
  }

  private func turn() {
    for _ in 0..<3 { try? loop.runOnce(timeout: .zero) }
  }

  private func scanout() -> ScanoutIndex { ScanoutIndex(input.next(below: 3)) }

  private func rectangle() -> Rectangle {
    Rectangle(x: UInt32(input.byte()) % 20, y: input.next(), width: UInt32(input.byte()) % 40, height: input.next())
  }

  // MARK: Raw peers

  private func startRawProducer() throws {
    let file = try pictures[0].readOnlyDescriptor()
    let id = BufferID(high: 0x4000, low: 2 << 62 | 1)
    try connect(.producer, "b")
    say(.vmState(connected: true), to: peers[0])
    say(
      .bufferRegister(
        BufferDescription(id: id, layout: pictures[0].layout), MemoryDescription(hostFileOf: pictures[0].layout)),
      to: peers[0], descriptors: [file.raw])
    let content = ScanoutState.Content(buffer: id, source: Rectangle(Self.size))
    say(
      .scanoutSet(ScanoutState(scanout: Self.scanout, mode: Self.size, content: content)), to: peers[0], serial: 1)
    say(.producerLinkReady, to: peers[0])
  }

  private func startRawDisplay() throws {
    try connect(.consumer, "raw")
    say(
      .displayAnnounce(DisplayDescription(size: Self.size, refreshMillihertz: 60_000, output: "")), to: peers[1])
    say(.consumerLinkReady, to: peers[1])
  }

  private func connect(_ role: Role, _ name: String) throws {
    guard let name = PeerName(name) else { return }
    let peer = SharedDescriptor(try UnixSocket.connect(path: path, kind: .sequencedPacket))
    peers.append(peer)
    say(.hello(Hello(role: role, name: name)), to: peer)
  }

  /// Takes in what the hub says to the raw peers, and answers it.
  private func exchange() {
    turn()
    for (index, peer) in peers.enumerated() {
      receive(peer) { message, serial, descriptor in
        switch message {
        case .producerLink(_, let name), .consumerLink(_, let name):
          // Not the link between the two raw peers.
          if let descriptor, name.text == "main" || name.text == "a" { ends[index] = SharedDescriptor(descriptor) }
        case .linkScanouts(let id, let scanouts): say(.linkRoute(id, scanouts), to: peer, serial: serial)
        default: break
        }
      }
    }
    for end in ends.compactMap({ $0 }) { receive(end) { _, _, _ in } }
    turn()
  }

  private func receive(_ peer: SharedDescriptor, _ body: (Message, UInt64, consuming FileDescriptor?) -> Void) {
    var descriptors: [Int32] = []
    while case .bytes(let count, _)? = try? UnixSocket.receive(peer.raw, into: room, descriptors: &descriptors) {
      var copy = [UInt8](UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count]))
      copy.withUnsafeMutableBytes { bytes in
        do {
          try PacketParser.parse(UnsafeRawBufferPointer(bytes), descriptors: descriptors) {
            body($0, $1, $2)
            return true
          }
        } catch {
          fatalError("a peer said nonsense: \(error)")
        }
      }
      descriptors.removeAll()
    }
  }

  private func say(_ message: Message, to peer: SharedDescriptor?, serial: UInt64? = nil, descriptors: [Int32] = []) {
    let serial = serial ?? UInt64(input.byte())
    guard let count = message.encode(serial: serial, carriesDescriptor: !descriptors.isEmpty, into: room) else {
      return
    }
    send(UnsafeRawBufferPointer(rebasing: room[..<count]), to: peer, descriptors: descriptors)
  }

  private func send(_ bytes: UnsafeRawBufferPointer, to peer: SharedDescriptor?, descriptors: [Int32] = []) {
    guard let peer, !bytes.isEmpty else { return }
    _ = try? UnixSocket.send(peer.raw, bytes, descriptors: descriptors)
  }

  // MARK: Real peers

  func producer(_ client: ProducerClient, latched scanout: ScanoutIndex, through serial: UInt64) { latched = serial }
  func producer(_ client: ProducerClient, wants mode: Size, of scanout: ScanoutIndex) {}
  func producer(_ client: ProducerClient, link: HubLinkState) {}

  func consumer(_ client: ConsumerClient, damage: Rectangle, serial: UInt64, of layer: LayerID) {
    precondition(damage.fits(in: Self.size), "damage outside of the picture")
    client.latched(layer, through: serial)
  }
  func consumer(_ client: ConsumerClient, set layer: LayerDescription) {}
  func consumer(_ client: ConsumerClient, removed layer: LayerID) {}
  func consumer(_ client: ConsumerClient, content: LayerContent, of layer: LayerID) {}
  func consumer(_ client: ConsumerClient, cursor: CursorState, of layer: LayerID) {}
  func consumer(_ client: ConsumerClient, cursorOf layer: LayerID, movedToX x: Int32, y: Int32) {}
  func consumer(_ client: ConsumerClient, link: HubLinkState) {}
}
