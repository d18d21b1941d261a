import Buffers
import CrossDomain
import GPUDevice
import GuestChannel
import Hub
import HubProtocol
import Platform
import Virtqueue

/// Lets programs in a guest say anything over their channels to a hub where another party offers and grants; in the end
/// nothing of them may be left.
@Sendable public func fuzzChannel(_ input: UnsafeRawBufferPointer) {
  // The machine's own resources may run out; that says nothing about the channel.
  guard let machine = try? ChannelMachine(FuzzInput(input)) else { return }
  machine.run()
}

/// A card with three contexts of a guest's and a hub. The input: actions of one byte each with their operands.
private final class ChannelMachine {
  private static let names = ["a", "b"].compactMap { PeerName($0) }
  private static let buffers = (1...3).map { BufferID(high: 0x4000, low: 2 << 62 | UInt64($0)) }

  private var input: FuzzInput
  private let fuzzed: FuzzedHub
  private let card: FuzzedCard
  private let sealed: FileDescriptor
  private var device: GPUDevice { card.device }
  private var window: FuzzWindow { card.window }

  init(_ input: FuzzInput) throws {
    guard let vm = Self.names.first else { throw SystemError(call: "name", code: 0) }
    self.input = input
    let fuzzed = try FuzzedHub {
      $0.memoryReaders = [vm: [vm]]
      $0.grants = [GrantRequest(owner: Party(.vm, vm), to: Party(.vm, vm), object: .scanout(ScanoutIndex(0)))]
    }
    self.fuzzed = fuzzed
    sealed = try SharedMemoryFile(name: "fuzz", count: 65_536).readOnly()
    var options = ChannelOptions(vm: vm) { () throws(SystemError) in
      let (near, far) = try UnixSocket.pair(.sequencedPacket).take()
      fuzzed.hub.serve(FileDescriptor(adopting: far))
      return FileDescriptor(adopting: near)
    }
    options.maximumCount = 3
    card = try FuzzedCard(options, loop: fuzzed.loop)
    fuzzed.say(.hello(Hello(role: .producer, name: vm)), to: 0)
    fuzzed.say(.hello(Hello(role: .application, name: vm)), to: 1)
    fuzzed.turn()
  }

  func run() {
    while !input.isEmpty { step() }
    card.end()
    fuzzed.turn()
    fuzzed.expectNothingLeft(Self.names.last)
    for _ in 0..<4 { fuzzed.turn() }
    precondition(card.contexts.count == 0 && card.contexts.lingeringCount == 0, "a channel outlived its hub")
    precondition(device.ledger.totals.hostAllocated == 0, "memory outlived its channel")
    precondition(device.ledger.totals.guestMemory == 0, "pages are lent that nobody has")
  }

  private func step() {
    switch input.byte() % 16 {
    case 0, 1: open()
    case 2: send(.contextDestroy)
    case 3: send(Command.resourceUnref(resource()))
    case 4: hostBlob()
    case 5: window.answerAll(device, succeeded: input.byte() % 4 != 0)
    case 6: send(.resourceMapBlob(resource(), offset: UInt64(input.byte() % 8) << 16))
    case 7, 8: fuzzed.turn()
    case 9: fuzzed.say(.application(theirs()), serial: 1, descriptor: nil, to: 1)
    case 10: offerTheirs()
    case 11: disturb()
    case 12: showTheirs()
    default: submit()
    }
  }

  private func disturb() {
    switch input.byte() % 8 {
    case 0: device.reset()
    case 1: fuzzed.drop(Int(input.byte() & 1))
    case 2: send(.resourceUnmapBlob(resource()))
    case 3: send(.resourceDetachBacking(resource()))
    default: fuzzed.drain(1)
    }
  }

  // MARK: The guest

  private func context() -> ContextID { ContextID(rawValue: UInt32(input.byte() % 4)) }
  private func resource() -> ResourceID { ResourceID(rawValue: UInt32(input.byte() % 12)) }
  private func id() -> BufferID { Self.buffers[input.next(below: Self.buffers.count)] }
  private func access() -> BufferAccess { input.byte() % 2 == 0 ? .read : .readWrite }

  private func send(_ command: Command, tail: [UInt8] = [], context: ContextID? = nil) {
    let onRing = input.byte() % 4 == 0
    card.send(command, tail: tail, context: context ?? self.context(), onRing: onRing)
  }

  /// A context with its ring.
  private func open() {
    let context = context()
    let id = resource()
    card.open(context, to: .hub, ring: id, byteCount: input.byte() % 4 == 0 ? 64 : 4096)
    if input.byte() % 8 != 0, let name = Self.names.last {
      submit(.send(Transmission(Message.hello(Hello(role: .application, name: name)).encoded(serial: 0))), context)
      submit(.poll, context)
    }
    fuzzed.turn()
  }

  private func hostBlob() {
    let context = context()
    let id = resource()
    let number =
      input.byte() % 2 == 0 ? 0 : UInt64(input.byte()) | ([0, 0x8000_0000, 0x4000_0000, 0][input.next(below: 4)])
    let blob = Command.CreateBlob(
      resource: id, memory: 2, flags: 3, entryCount: 0, blob: number, byteCount: UInt64(input.byte() % 4) << 12)
    send(.resourceCreateBlob(blob), context: context)
    send(.contextAttachResource(id), context: context)
  }

  private func submit(_ command: CrossDomainCommand, _ context: ContextID) {
    guard let bytes = command.encoded else { return }
    send(.submit3D(byteCount: UInt32(bytes.count), fenceCount: 0), tail: bytes, context: context)
  }

  private func submit() {
    let context = context()
    switch input.byte() % 8 {
    case 0: submit(.poll, context)
    case 1:
      let bytes = [UInt8](input.take(input.next(below: 500)))
      send(
        .submit3D(byteCount: UInt32(bytes.count), fenceCount: UInt32(input.byte() % 8 / 7)), tail: bytes,
        context: context)
    case 2:
      submit(
        .getImageRequirements(
          ImageQuery(width: UInt32(input.byte()), height: UInt32(input.byte()), format: PixelFormat.xrgb8888.rawValue)),
        context)
    default:
      let hasResource = input.byte() % 2 == 0
      let data = Message.application(message()).encoded(serial: UInt64(input.byte()), carriesDescriptor: hasResource)
      let resource = Transmission.Identifier(number: resource().rawValue, kind: .blob)
      submit(.send(Transmission(data, identifiers: hasResource ? [resource] : [])), context)
    }
  }

  private func message() -> ApplicationMessage {
    switch input.next(below: 12) {
    case 10: .view(ScreenKey(vm: Self.names[input.next(below: 2)], scanout: ScanoutIndex(input.next(below: 2))))
    case 11: .screens(cursor: UInt64(input.byte()))
    case 0, 1, 2: .offer(offer())
    case 3: .withdraw(id())
    case 4: .update(BufferUpdate(id: id(), damage: .empty, generation: UInt64(input.byte())))
    case 5, 6: .acquire(Acquisition(.id(id()), access: access(), wantsUpdates: input.byte() % 2 == 0))
    case 7: .release(id())
    case 8: .query(BufferQuery())
    default: .done(id(), generation: UInt64(input.byte()))
    }
  }

  private func offer() -> BufferOffer {
    guard let layout = PixelLayout(size: Size(width: 32, height: 32), format: .xrgb8888) else {
      fatalError("a layout that is right")
    }
    return BufferOffer(
      buffer: BufferDescription(id: id(), layout: layout), memory: MemoryDescription(hostFileOf: layout),
      isWritable: input.byte() % 2 == 0)
  }

  // MARK: The other party

  private func theirs() -> ApplicationMessage {
    guard let vm = Self.names.first else { fatalError("a name that is right") }
    switch input.next(below: 4) {
    case 0: return .grant(GrantRequest(to: Party(.vm, vm), object: .everything, access: access()))
    case 1: return .revoke(GrantID(rawValue: UInt64(input.byte() % 4)))
    case 2: return .update(BufferUpdate(id: id(), damage: .empty, generation: UInt64(input.byte())))
    default: return .withdraw(id())
    }
  }

  /// The card shows something: what a view sees.
  private func showTheirs() {
    let size = Size(width: UInt32(input.byte() % 4) * 16 + 16, height: 16)
    guard let layout = PixelLayout(size: size, format: PixelFormat.known[input.next(below: 8)]) else { return }
    let scanout = ScanoutIndex(0), buffer = id()
    let description = MemoryDescription(kind: .file, side: .host, reason: .hostAllocated, byteCount: 65_536)
    let content = ScanoutState.Content(buffer: buffer, source: Rectangle(x: 1, y: 2, width: 12, height: 10))
    let state = ScanoutState(scanout: scanout, mode: size, content: input.byte() % 4 == 0 ? nil : content)
    let cursor = CursorImage(pixels: [UInt32](repeating: 0x8012_3456, count: CursorImage.pixelCount))
    let place = (Int32(input.byte()) - 128, Int32(input.byte()) - 128)
    switch input.byte() % 6 {
    case 0:
      fuzzed.say(
        .bufferRegister(BufferDescription(id: buffer, layout: layout), description), descriptor: sealed.raw, to: 0)
      fuzzed.say(.vmState(connected: true), to: 0)
    case 1, 2: fuzzed.say(.scanoutSet(state), to: 0)
    case 3: fuzzed.say(.flush(scanout, damage: Rectangle(x: 0, y: 3, width: 6, height: .max)), to: 0)
    case 4: fuzzed.say(.cursorSet(scanout, HubProtocol.CursorState(image: cursor, x: place.0, y: place.1)), to: 0)
    default: fuzzed.say(.bufferUnregister(buffer), to: 0)
    }
  }

  private func offerTheirs() {
    var offer = offer()
    offer.isWritable = false
    fuzzed.say(.application(.offer(offer)), serial: 2, descriptor: sealed.raw, to: 1)
  }
}
