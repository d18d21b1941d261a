import Buffers
import Glibc
import Platform
import VhostUser
import Virtqueue

/// Decodes the input as the payload of each request; what decodes must encode to something that decodes to the same.
@Sendable public func fuzzVhostUserMessages(_ input: UnsafeRawBufferPointer) {
  if let header = MessageHeader(input) {
    var bytes: [UInt8] = []
    header.encode(into: &bytes)
    precondition(bytes.elementsEqual(input.prefix(MessageHeader.byteCount)), "a header changed")
  }
  for code in RequestCode.allCases {
    guard let request = try? Request(code: code, payload: input) else { continue }
    precondition(request.code == code, "another request")
    var bytes: [UInt8] = []
    request.encode(into: &bytes)
    bytes.withUnsafeBytes { again in
      guard case .unsupported = request else {
        precondition((try? Request(code: code, payload: again)) == request, "a request changed")
        return
      }
    }
  }
}

/// Drives a back-end with a front-end and a guest that do what the input says.
@Sendable public func fuzzVhostUserSession(_ input: UnsafeRawBufferPointer) {
  // The machine's own resources may run out; that says nothing about the back-end.
  guard var session = try? SessionMachine(FuzzInput(input)) else { return }
  session.run()
}

/// Shows pictures to a front-end that answers what the input says.
@Sendable public func fuzzDisplaySocket(_ input: UnsafeRawBufferPointer) {
  guard var display = try? DisplayMachine(FuzzInput(input)) else { return }
  display.run()
}

/// A front-end without scruples. The input: actions of one byte each with their operands.
private struct SessionMachine {
  private static let regionBytes = 1 << 16
  /// Addresses in the front-end's own space where the region is said to be.
  private static let userAddress: UInt64 = 0x7000_0000_0000

  private var input: FuzzInput
  private let loop: EventLoop
  private let device = LoopbackDevice(sharedMemoryRegions: [SharedMemoryRegion(id: 1, byteCount: 1 << 20)])
  private var changes: UInt64 = 0
  private let backend: VhostUserBackend
  private let file: SharedDescriptor
  private let shared: MemoryMapping
  private let bell: Doorbell
  private var socket: SharedDescriptor

  init(_ input: FuzzInput) throws {
    self.input = input
    loop = try EventLoop()
    backend = VhostUserBackend(device: device, loop: loop)
    file = SharedDescriptor(try SharedMemory.create(name: "fuzz", count: Self.regionBytes))
    shared = try MemoryMapping(descriptor: file.raw, count: Self.regionBytes, access: .readWrite)
    bell = try Doorbell()
    socket = try Self.connect(backend)
  }

  mutating func run() {
    while !input.isEmpty {
      step()
      turn()
    }
    backend.close()
    turn()
    precondition(device.running.isEmpty, "a ring runs without a front-end")
    precondition(UInt64(device.windowAnswers.count) == changes, "a change was not answered, or twice")
    precondition(device.memory?.regions.isEmpty ?? true, "memory stays without a front-end")
  }

  /// The device wants memory mapped, or not any more.
  private mutating func changeWindow() {
    let piece = SharedMemoryPiece(region: 1, offset: UInt64(input.byte()) << 12, byteCount: 4096)
    let ticket = SharedMemoryTicket(number: changes)
    guard let window = device.window else { return }
    let choice = input.byte()
    let isTaken =
      choice & 1 == 0
      ? window.map(piece, of: file, isWritable: choice & 2 == 0, ticket) : window.unmap(piece, ticket)
    if isTaken { changes += 1 }
  }

  /// A channel for the back-end's requests, with whatever answers.
  private mutating func openChannel() {
    guard let (ours, theirs) = try? UnixSocket.pair(.stream).take() else { return }
    let answers = FileDescriptor(adopting: ours)
    let end = FileDescriptor(adopting: theirs)
    send(.setProtocolFeatures(.max))
    send(.setBackendReqFd, [end.raw])
    for _ in 0..<input.byte() % 4 {
      var message: [UInt8] = []
      MessageHeader(request: UInt32(input.byte()), flags: UInt32(input.byte() & 15), payloadSize: 8)
        .encode(into: &message)
      message += (0..<8).map { _ in input.byte() & 1 }
      message.withUnsafeBytes { _ = try? UnixSocket.send(answers.raw, $0) }
      turn()
    }
  }

  private static func connect(_ backend: VhostUserBackend) throws -> SharedDescriptor {
    let (ours, theirs) = try UnixSocket.pair(.stream).take()
    let socket = SharedDescriptor(FileDescriptor(adopting: ours))
    try backend.serve(FileDescriptor(adopting: theirs))
    return socket
  }

  private func turn() { try? loop.runOnce(timeout: .zero) }

  private mutating func step() {
    switch input.byte() % 18 {
    case 0, 1, 2, 3: request()
    case 4: send(Array(input.take(Int(input.byte()))), descriptors: input.byte())
    case 5, 6: bell.ring()
    case 7, 8: scribble()
    case 9: reconnect()
    case 10, 11: setUp()
    case 12: offer()
    case 13: device.isHolding.toggle()
    case 14: backend.configurationChanged()
    case 16: changeWindow()
    case 17: openChannel()
    default: readAnswers()
    }
  }

  /// A request with a header that is right, and whatever comes as its payload.
  private mutating func request() {
    let code = UInt32(input.byte() % 48)
    let count = Int(input.byte())
    var payload = Array(input.take(count))
    payload.append(contentsOf: [UInt8](repeating: 0, count: count - payload.count))
    var message: [UInt8] = []
    MessageHeader(request: code, flags: 1 | UInt32(input.byte() & 8), payloadSize: UInt32(count)).encode(into: &message)
    send(message + payload, descriptors: input.byte())
  }

  private func send(_ bytes: [UInt8], descriptors selection: UInt8) {
    let kinds = [file.raw, bell.ringing.raw, socket.raw, file.raw]
    let descriptors = (0..<Int(selection % 12)).map { kinds[($0 + Int(selection / 12)) % kinds.count] }
    bytes.withUnsafeBytes { _ = try? UnixSocket.send(socket.raw, $0, descriptors: descriptors) }
  }

  private func send(_ request: Request, _ descriptors: [Int32] = []) {
    var payload: [UInt8] = []
    request.encode(into: &payload)
    var message: [UInt8] = []
    MessageHeader(request: request.code.rawValue, payloadSize: UInt32(payload.count)).encode(into: &message)
    (message + payload).withUnsafeBytes { _ = try? UnixSocket.send(socket.raw, $0, descriptors: descriptors) }
    turn()
  }

  /// A set-up that works, but for what the input changes about it.
  private mutating func setUp() {
    let index = UInt32(input.byte() % 3)
    let which = VringDescriptor(index: index, hasDescriptor: input.byte() % 8 != 0)
    let features: UInt64 = input.byte() & 1 == 0 ? .max : .max & ~RingFeature.packed
    let region = RegionDescription(
      guestAddress: 0, size: UInt64(Self.regionBytes), userAddress: Self.userAddress,
      mmapOffset: UInt64(input.byte() & 1) << 12)
    send(.setFeatures(features))
    send(.setMemTable([region]), [file.raw])
    send(.setVringNum(VringState(index: index, num: UInt32(input.byte()))))
    send(.setVringBase(VringState(index: index, num: input.next())))
    let base = Self.userAddress + UInt64(input.byte()) << 4
    send(.setVringAddr(VringAddress(index: index, descriptor: base, used: base + 8192, available: base + 4096)))
    send(.setVringCall(which), which.hasDescriptor ? [bell.ringing.raw] : [])
    send(.setVringKick(which), which.hasDescriptor ? [bell.waiting.raw] : [])
    send(.setVringEnable(VringState(index: index, num: 1)))
    bell.ring()
  }

  /// Changes the guest's memory, rings included.
  private mutating func scribble() {
    let place = input.next(below: Self.regionBytes - 256)
    for (offset, byte) in input.take(Int(input.byte())).enumerated() {
      shared.base.storeBytes(of: byte, toByteOffset: place + offset, as: UInt8.self)
    }
  }

  /// Puts a chain that is well formed into the split ring that `setUp` makes at offset 0.
  private mutating func offer() {
    let slot = UInt16(input.byte() % 8)
    let flags: UInt16 = input.byte() & 1 == 0 ? 0 : 2
    let descriptor = shared.base + 16 * Int(slot)
    descriptor.storeBytes(of: UInt64(input.next(below: Self.regionBytes)), as: UInt64.self)
    descriptor.storeBytes(of: UInt32(input.byte()), toByteOffset: 8, as: UInt32.self)
    descriptor.storeBytes(of: flags, toByteOffset: 12, as: UInt16.self)
    let available = shared.base + 4096
    let position = available.load(fromByteOffset: 2, as: UInt16.self)
    available.storeBytes(of: slot, toByteOffset: 4 + 2 * Int(position % 8), as: UInt16.self)
    available.storeBytes(of: position &+ 1, toByteOffset: 2, as: UInt16.self)
    bell.ring()
  }

  private mutating func reconnect() {
    guard let fresh = try? Self.connect(backend) else { return }
    socket = fresh
    turn()
    turn()
  }

  private func readAnswers() {
    withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { room in
      var descriptors: [Int32] = []
      _ = try? UnixSocket.receive(socket.raw, into: room, descriptors: &descriptors)
      closeAll(descriptors)
    }
  }
}

/// Pictures that change, and a front-end that reads slowly, answers anything and goes whenever it likes.
private struct DisplayMachine {
  private var input: FuzzInput
  private let loop: EventLoop
  private let client: DisplaySocketClient
  private var peer: DisplaySocketPeer
  private let picture = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 256 * 4, alignment: 16)
  private let owner = SharedPicture()

  private final class SharedPicture {}

  init(_ input: FuzzInput) throws {
    self.input = input
    loop = try EventLoop()
    client = DisplaySocketClient(loop: loop, sendBufferBytes: 4096)
    peer = try Self.connect(client)
    picture.initializeMemory(as: UInt8.self, repeating: 0x55)
  }

  mutating func run() {
    while !input.isEmpty { step() }
    for _ in 0..<64 {
      peer.read()
      try? loop.runOnce(timeout: .zero)
    }
    precondition(peer.violations.isEmpty, "the front-end saw \(peer.violations)")
    client.detach()
    picture.deallocate()
  }

  private static func connect(_ client: DisplaySocketClient) throws -> DisplaySocketPeer {
    let (ours, theirs) = try UnixSocket.pair(.stream).take()
    let peer = DisplaySocketPeer(FileDescriptor(adopting: theirs))
    try client.attach(FileDescriptor(adopting: ours))
    return peer
  }

  private mutating func step() {
    let action = input.byte()
    switch action % 12 {
    case 0, 1: show()
    case 2, 3: client.damage(UInt32(input.byte() % 18), area())
    case 4: peer.read(limit: input.next(below: 50_000) + 1)
    case 5: try? loop.runOnce(timeout: .zero)
    case 6: peer.send(bytes: Array(input.take(Int(input.byte()))))
    case 7: client.moveCursor(scanout: UInt32(input.byte() % 18), x: input.next(), y: input.next())
    case 8: client.requestDisplayInfo { _ in }
    case 9: client.requestEDID(scanout: UInt32(input.byte() % 18)) { _ in }
    case 10: defineCursor()
    default: begin(action / 12)
    }
  }

  private mutating func begin(_ choice: UInt8) {
    switch choice % 8 {
    case 5: client.hideCursor(scanout: 1, x: 2, y: 3)
    case 6: client.reset()
    default: if let fresh = try? Self.connect(client) { peer = fresh }
    }
  }

  private mutating func area() -> Rectangle {
    Rectangle(x: UInt32(input.byte()), y: UInt32(input.byte()), width: UInt32(input.byte()), height: input.next())
  }

  private mutating func show() {
    let size = Size(width: UInt32(input.byte()), height: UInt32(input.byte()))
    let id = UInt32(input.byte() % 18)
    guard let base = picture.baseAddress, input.byte() & 1 == 0 else {
      let pixels = DisplayPixels.converted { area, target in
        precondition(target.count == 4 * Int(area.width) * Int(area.height), "another area than its bytes")
        target.initializeMemory(as: UInt8.self, repeating: 1)
      }
      return client.setScanout(id, size, input.byte() % 4 == 0 ? nil : pixels)
    }
    client.setScanout(id, size, .memory(base: UnsafeRawPointer(base), stride: 256 * 4, owner: owner))
  }

  private mutating func defineCursor() {
    let image = UnsafeRawBufferPointer(rebasing: picture[..<DisplayProtocol.cursorBytes])
    client.setCursor(scanout: 0, x: input.next(), y: input.next(), hotX: 1, hotY: 1, image: image)
  }
}
