import Buffers
import Glibc
import HubProtocol
import Platform

/// A display that takes certain kinds of memory, and gives what is a dma-buf to graphics drivers.
///
/// Obeys `pixel X Y`: tells the colour in the dma-buf as it is mapped here.
final class DMABufDisplay {
  private let constraints: Constraints
  private let cards: [Card.Use]
  private let loop: EventLoop
  private let connection: HubConnection
  private let bell: Doorbell
  private var shown: (buffer: ReadOnlyBuffer, cards: [Card])?
  private var problem: Failure?
  private var unread = ""

  /// Reads "any", "dma-buf" or "any:512".
  static func constraints(_ text: String) -> Constraints {
    let words = text.split(separator: ":")
    var constraints = Constraints.unstated
    constraints.memoryKinds = words.first == "dma-buf" ? .dmaBuf : [.file, .dmaBuf]
    constraints.strideAlignment = words.dropFirst().first.flatMap { UInt32($0) } ?? 1
    return constraints
  }

  init(hub: String, constraints: Constraints, cards: [Card.Use]) throws {
    self.constraints = constraints
    self.cards = cards
    loop = try EventLoop()
    bell = try Doorbell()
    connection = try HubConnection(try UnixSocket.connect(path: hub, kind: .sequencedPacket), loop: loop)
    connection.handler = self
  }

  func run() throws {
    guard let name = PeerName("cards") else { throw Failure("no name") }
    connection.send(.hello(Hello(role: .consumer, name: name)))
    connection.send(.consumerConstraints(constraints))
    connection.send(
      .displayAnnounce(
        DisplayDescription(size: Size(width: 640, height: 480), refreshMillihertz: 60_000, output: "cards")))
    connection.transmit()
    _ = try loop.watch(STDIN_FILENO, for: .readable) { [unowned self] _ in readCommands() }
    try loop.run()
    if let problem { throw problem }
  }

  private func fail(_ problem: Failure) {
    self.problem = self.problem ?? problem
    loop.stop()
  }

  // MARK: Commands

  private func readCommands() {
    var bytes = [UInt8](repeating: 0, count: 512)
    let count = read(STDIN_FILENO, &bytes, bytes.count)
    guard count > 0 else { return loop.stop() }
    unread += String(decoding: bytes[..<count], as: UTF8.self)
    while let end = unread.firstIndex(of: "\n") {
      obey(unread[..<end])
      unread.removeSubrange(...end)
    }
  }

  private func obey(_ line: Substring) {
    let numbers = line.split(separator: " ").dropFirst().compactMap { UInt32($0) }
    guard line.hasPrefix("pixel "), numbers.count == 2 else { return fail(Failure("unknown command: \(line)")) }
    guard let buffer = shown?.buffer else { return say("\(line) of nothing") }
    buffer.beginReading()
    let place = buffer.layout.byteOffset(x: numbers[0], y: numbers[1])
    let colour = buffer.bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self) & 0xff_ffff
    buffer.endReading()
    say("\(line) is \(String(colour | 1 << 24, radix: 16).dropFirst())")
  }

  // MARK: Pictures

  private func show(_ buffer: BufferDescription, _ descriptor: consuming FileDescriptor) {
    let dmaBuf = SharedDescriptor(descriptor)
    do {
      let mapped = try ReadOnlyBuffer(id: buffer.id, layout: buffer.layout, dmaBuf: dmaBuf, bell: bell)
      shown = (mapped, try cards.map { try Card($0, dmaBuf: dmaBuf.raw, layout: buffer.layout) })
      for use in cards { say("ok \(use.driver) \(use.shows ? "shows" : "imports") \(buffer.id)") }
    } catch {
      fail(error as? Failure ?? Failure("\(error)"))
    }
  }

  private func flush() {
    do {
      for card in shown?.cards ?? [] { try card.flush() }
    } catch {
      fail(error as? Failure ?? Failure("\(error)"))
    }
  }
}

extension DMABufDisplay: HubConnectionHandler {
  func connection(
    _ connection: HubConnection, received message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) {
    switch message {
    case .layerContent(_, .shown(let buffer, let memory, _, _)):
      if let descriptor, memory.kind == .dmaBuf { show(buffer, descriptor) }
    case .layerDamage(let layer, _):
      flush()
      connection.send(.layerLatched(layer), serial: serial)
    case .bufferRetired(let id):
      if shown?.buffer.id == id { shown = nil }
      connection.send(.bufferRelease(id))
    case .error(let refusal): fail(Failure("\(refusal)"))
    default: break
    }
    connection.transmit()
  }

  func connectionHasRoom(_ connection: HubConnection) {}

  func connection(_ connection: HubConnection, ended reason: HubConnection.End) {
    fail(Failure("the hub: \(reason)"))
  }
}
