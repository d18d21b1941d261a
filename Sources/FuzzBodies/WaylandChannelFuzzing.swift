import Buffers
import CrossDomain
import GPUDevice
import Glibc
import GuestChannel
import HubProtocol
import Platform
import Virtqueue

/// Lets programs in a guest, and the compositor at their channels' other end, say anything, with any descriptors; in the
/// end nothing of them may be left.
@Sendable public func fuzzWaylandChannel(_ input: UnsafeRawBufferPointer) {
  // The machine's own resources may run out; that says nothing about the channel.
  guard let machine = try? WaylandMachine(FuzzInput(input)) else { return }
  machine.run()
}

/// The connections of a compositor, and pipes that it got.
private final class FuzzedCompositor {
  private(set) var clients: [SharedDescriptor] = []
  private var pipes: [SharedDescriptor] = []

  func connect() throws(SystemError) -> FileDescriptor {
    let (near, far) = try UnixSocket.pair(.stream).take()
    clients.append(SharedDescriptor(FileDescriptor(adopting: far)))
    try UnixSocket.setNonBlocking(near, true)
    return FileDescriptor(adopting: near)
  }

  func say(_ bytes: [UInt8], _ descriptors: [Int32], to index: Int) {
    guard index < clients.count else { return }
    _ = try? bytes.withUnsafeBytes { try UnixSocket.send(clients[index].raw, $0, descriptors: descriptors) }
  }

  /// Takes what a client said; of what came with it, pipes are kept.
  func hear(_ index: Int) {
    guard index < clients.count else { return }
    withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 8) { room in
      var numbers: [Int32] = []
      _ = try? UnixSocket.receive(clients[index].raw, into: room, descriptors: &numbers)
      let heard = numbers.map { SharedDescriptor(FileDescriptor(adopting: $0)) }
      pipes += heard.filter { AnonymousPipe.canWrite($0.raw) && pipes.count < 16 }
    }
  }

  /// Writes into a pipe that came.
  func write(_ bytes: [UInt8], into index: Int) {
    guard index < pipes.count else { return }
    try? UnixSocket.setNonBlocking(pipes[index].raw, true)
    _ = try? bytes.withUnsafeBytes { try AnonymousPipe.write(pipes[index].raw, $0) }
  }

  func closePipes() { pipes.removeAll() }
  func drop(_ index: Int) { if index < clients.count { clients.remove(at: index) } }
}

/// A card with contexts of a guest's and a compositor. The input: actions of one byte each with their operands.
private final class WaylandMachine {
  private var input: FuzzInput
  private let loop: EventLoop
  private let compositor: FuzzedCompositor
  private let card: FuzzedCard
  private let file: FileDescriptor
  private let pipe: (reading: SharedDescriptor, writing: SharedDescriptor)

  init(_ input: FuzzInput) throws {
    guard let name = PeerName("a") else { throw SystemError(call: "name", code: 0) }
    self.input = input
    loop = try EventLoop()
    let compositor = FuzzedCompositor()
    self.compositor = compositor
    file = try SharedMemoryFile(name: "fuzz", count: 5000).readOnly()
    pipe = try AnonymousPipe.make()
    var options = ChannelOptions(vm: name)
    options.connectToWayland = { () throws(SystemError) in try compositor.connect() }
    options.maximumCount = 3
    card = try FuzzedCard(options, loop: loop)
  }

  func run() {
    while !input.isEmpty { step() }
    card.end()
    turn()
    precondition(card.contexts.count == 0, "a channel outlived its card")
    precondition(card.device.ledger.totals.hostAllocated == 0, "memory outlived its channel")
    precondition(card.device.ledger.totals.descriptors == 0, "a descriptor outlived its channel")
    precondition(card.device.ledger.totals.bookkeeping == 0, "bytes outlived their channel")
    for client in compositor.clients { Self.expectEnd(client.raw) }
  }

  /// What a client said is all there is, and it has gone.
  private static func expectEnd(_ raw: Int32) {
    withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 8) { room in
      var received = UnixSocket.Received.wouldBlock
      repeat {
        var numbers: [Int32] = []
        received = (try? UnixSocket.receive(raw, into: room, descriptors: &numbers)) ?? .closed
        closeAll(numbers)
      } while received != .closed && received != .wouldBlock
      precondition(received == .closed, "a connection outlived its channel")
    }
  }

  private func turn() { for _ in 0..<3 { try? loop.runOnce(timeout: .zero) } }
  private func context() -> ContextID { ContextID(rawValue: UInt32(input.byte() % 4)) }
  private func resource() -> ResourceID { ResourceID(rawValue: UInt32(input.byte() % 12)) }
  private func bytes() -> [UInt8] { [UInt8](repeating: 7, count: Int(input.byte()) << (input.byte() % 8)) }

  private func send(_ command: Command, tail: [UInt8] = []) {
    card.send(command, tail: tail, context: context(), onRing: input.byte() % 4 == 0)
  }

  private func step() {
    switch input.byte() % 16 {
    case 0, 1:
      card.open(
        context(), to: input.byte() % 16 == 0 ? .hub : .wayland, ring: resource(),
        byteCount: input.byte() % 8 == 0 ? 64 : 4096)
    case 2: hostBlob()
    case 3, 4: sendWithIdentifiers()
    case 5: send(.contextDestroy)
    case 6: send(.resourceUnref(resource()))
    case 7, 8: turn()
    case 9, 10: say()
    case 11: compositor.hear(input.next(below: 3))
    case 12: disturb()
    case 13: card.submit(.write(pipeData()), context(), onRing: false)
    case 14: card.submit(.poll, context(), onRing: true)
    default: submitAnything()
    }
  }

  private func disturb() {
    switch input.byte() % 6 {
    case 0: card.device.reset()
    case 1: compositor.drop(input.next(below: 3))
    case 2: compositor.closePipes()
    case 3: compositor.write(bytes(), into: input.next(below: 4))
    case 4: send(.resourceMapBlob(resource(), offset: UInt64(input.byte() % 8) << 16))
    default: card.window.answerAll(card.device, succeeded: input.byte() % 4 != 0)
    }
  }

  private func hostBlob() {
    let id = resource()
    let number = UInt64(input.byte() % 16) | (input.byte() % 2 == 0 ? 0x8000_0000 : 0)
    let blob = Command.CreateBlob(
      resource: id, memory: 2, flags: 3, entryCount: 0, blob: number, byteCount: UInt64(input.byte() % 4) << 12)
    let context = context()
    card.send(.resourceCreateBlob(blob), context: context, onRing: false)
    card.send(.contextAttachResource(id), context: context, onRing: false)
  }

  private func sendWithIdentifiers() {
    let identifiers = (0..<input.next(below: 4)).map { _ -> Transmission.Identifier in
      let kind = Transmission.Identifier.Kind(rawValue: UInt32(input.byte() % 5)) ?? .readPipe
      let number = kind == .readPipe ? 0x7fff_fffe + UInt32(input.byte() % 8) : resource().rawValue
      return Transmission.Identifier(number: number, kind: kind)
    }
    card.submit(.send(Transmission(bytes(), identifiers: identifiers)), context(), onRing: false)
  }

  private func pipeData() -> PipeData {
    PipeData(pipe: UInt32(input.byte() % 8), isHangUp: input.byte() % 4 == 0, data: bytes())
  }

  private func submitAnything() {
    if input.byte() % 2 == 0 {
      let query = ImageQuery(width: UInt32(input.byte()), height: UInt32(input.byte()), format: 0x2020_3852)
      return card.submit(.getImageRequirements(query), context(), onRing: false)
    }
    let bytes = [UInt8](input.take(input.next(below: 500)))
    send(.submit3D(byteCount: UInt32(bytes.count), fenceCount: UInt32(input.byte() % 8 / 7)), tail: bytes)
  }

  /// The compositor says something, with descriptors of all kinds.
  private func say() {
    let kinds = [file.raw, pipe.writing.raw, pipe.reading.raw, file.raw, pipe.writing.raw]
    let descriptors = (0..<input.next(below: 4)).map { _ in kinds[input.next(below: kinds.count)] }
    compositor.say(bytes(), descriptors, to: input.next(below: 3))
  }
}
