import Buffers
import Glibc
import HubProtocol
import Platform

/// A producer that says of a dma-buf of two pages what is not so. Prints what the hub answers to each lie, and to the
/// truth; and what a consumer makes of the first one.
struct Liar {
  private static let page = UInt64(SharedMemory.pageSize)
  private let hub: String
  private let dmaBuf: SharedDescriptor

  init(hub: String) throws {
    self.hub = hub
    let file = try SharedMemory.create(name: "liar", count: Int(3 * Self.page))
    let pieces = [2, 0].map {
      MappingPiece(descriptor: file.raw, offset: $0 * Self.page, count: Int(Self.page))
    }
    dmaBuf = SharedDescriptor(try UDMABuf().create(pieces))
  }

  func lie() throws {
    try tell("truth", .dmaBuf, rows: 2)
    try tell("longer", .dmaBuf, rows: 3)
    try tell("file", .file, rows: 2)
    try tell("table", .ranges, rows: 2)
    do {
      _ = try ReadOnlyBuffer(id: .random(), layout: try layout(rows: 3), dmaBuf: dmaBuf, bell: try Doorbell())
      say("consumer mapped it")
    } catch {
      say("consumer \(error)")
    }
  }

  /// A picture each of whose rows is a page.
  private func layout(rows: UInt32) throws -> PixelLayout {
    let size = Size(width: UInt32(Self.page / 4), height: rows)
    guard let layout = PixelLayout(size: size, format: .xrgb8888) else { throw Failure("no layout of \(size)") }
    return layout
  }

  private func tell(_ what: String, _ kind: MemoryKind, rows: UInt32) throws {
    let loop = try EventLoop()
    let connection = try HubConnection(try UnixSocket.connect(path: hub, kind: .sequencedPacket), loop: loop)
    let listener = Listener(loop)
    connection.handler = listener
    guard let name = PeerName("liar") else { return }
    let layout = try layout(rows: rows)
    let memory = MemoryDescription(
      kind: kind, side: .guest, reason: .udmabuf, byteCount: UInt64(layout.byteCount))
    connection.send(.hello(Hello(role: .producer, name: name)))
    connection.send(
      .bufferRegister(BufferDescription(id: .random(), layout: layout), memory), descriptor: dmaBuf)
    // Answered at once if the connection still lives then.
    connection.send(.bufferUnregister(.random()))
    connection.transmit()
    try loop.run()
    say("\(what) \(listener.answer)")
    connection.close()
  }

  /// Waits for the error that ends the connection.
  private final class Listener: HubConnectionHandler {
    private let loop: EventLoop
    private(set) var answer = ""

    init(_ loop: EventLoop) { self.loop = loop }

    func connection(
      _ connection: HubConnection, received message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
    ) {
      guard case .error(let refusal) = message else { return }
      answer = "\(refusal.code) \(refusal.reason)"
      loop.stop()
    }

    func connectionHasRoom(_ connection: HubConnection) {}

    func connection(_ connection: HubConnection, ended reason: HubConnection.End) {
      answer = answer.isEmpty ? "\(reason)" : answer
      loop.stop()
    }
  }
}
