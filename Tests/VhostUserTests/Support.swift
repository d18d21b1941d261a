import Glibc
import Platform
import Testing
import VhostUser
import Virtqueue

/// What a back-end has told its program.
final class Recorder: VhostUserBackendDelegate {
  var connections = 0
  var disconnections: [VhostUserError] = []
  var refusals: [VhostUserError] = []
  var refusedBackendRequests: [UInt64] = []
  var displaySockets: [SharedDescriptor] = []
  var isDeserted = false

  func frontendConnected(_ peer: UnixSocket.PeerCredentials?) { connections += 1 }
  func frontendDisconnected(_ reason: VhostUserError) { disconnections.append(reason) }
  func displaySocketReceived(_ socket: consuming FileDescriptor) -> Bool {
    displaySockets.append(SharedDescriptor(socket))
    return true
  }
  func requestRefused(_ request: UInt32, _ reason: VhostUserError) { refusals.append(reason) }
  func backendRequestRefused(_ code: UInt64) { refusedBackendRequests.append(code) }
  func noMoreFrontends() { isDeserted = true }
}

/// A back-end with a loop-back device and one front-end, all on this thread.
final class Bench {
  let loop: EventLoop
  let device: LoopbackDevice
  let recorder = Recorder()
  let backend: VhostUserBackend
  var frontend: VhostUserFrontend
  private(set) var arena: GuestArena
  private(set) var rings: [VirtqueueDriver] = []

  init(protocolFeatures: ProtocolFeatures = .all, device: LoopbackDevice = LoopbackDevice()) throws {
    loop = try EventLoop()
    self.device = device
    backend = VhostUserBackend(
      device: device, loop: loop, extras: recorder, protocolFeatures: protocolFeatures)
    let (theirs, ours) = try UnixSocket.pair(.stream).take()
    frontend = VhostUserFrontend(FileDescriptor(adopting: ours))
    arena = try GuestArena([(GuestAddress(0), 1 << 20), (GuestAddress(1 << 32), 1 << 20)])
    try backend.serve(FileDescriptor(adopting: theirs))
    adopt(frontend)
  }

  func adopt(_ frontend: VhostUserFrontend) {
    self.frontend = frontend
    frontend.whileWaiting = { [unowned self] in turn() }
    frontend.timeLimit = .seconds(2)
  }

  /// Lets the back-end handle what has come, several times.
  func turn(_ times: Int = 1) {
    for _ in 0..<times { try? loop.runOnce(timeout: .milliseconds(1)) }
  }

  /// Settles everything and hands memory over.
  func negotiate(features: UInt64 = .max & ~RingFeature.packed, protocolFeatures: ProtocolFeatures = .all) throws {
    try frontend.negotiate(features: features, protocolFeatures: protocolFeatures)
    try frontend.share(arena)
  }

  /// Starts fresh rings.
  func startRings(_ count: Int = 2, size: UInt32 = 16, format: VirtqueueConfiguration.Format = .split) throws {
    arena.recycle()
    rings = []
    for index in 0..<count {
      rings.append(try VirtqueueDriver(arena: arena, size: size, format: format))
      try frontend.start(rings[index], index: UInt32(index))
    }
  }

  /// Negotiates and starts two rings.
  func start(format: VirtqueueConfiguration.Format = .split) throws {
    try negotiate(features: format == .packed ? .max : .max & ~RingFeature.packed)
    try startRings(format: format)
  }

  /// Offers `bytes` on a ring; the address of the answer and the request's token.
  func offer(_ bytes: [UInt8], ring index: Int = 0) throws -> (answer: GuestAddress, token: UInt16) {
    let request = try arena.allocate(bytes.count)
    let answer = try arena.allocate(bytes.count)
    try arena.write(bytes, at: request)
    let buffers = (
      VirtqueueDriver.Buffer(request, UInt32(bytes.count)), VirtqueueDriver.Buffer(answer, UInt32(bytes.count))
    )
    let token = try #require(rings[index].add(readable: [buffers.0], writable: [buffers.1]))
    return (answer, token)
  }

  /// Whether a request comes back unchanged.
  func echoes(_ bytes: [UInt8] = [1, 2, 3, 4], ring index: Int = 0) throws -> Bool {
    let (answer, token) = try offer(bytes, ring: index)
    rings[index].kick()
    guard let completion = waitForCompletion(ring: index) else { return false }
    let written = try arena.read(at: answer, count: bytes.count)
    return completion.token == token && completion.written == UInt32(bytes.count) && written == bytes
  }

  func waitForCompletion(ring index: Int = 0) -> VirtqueueDriver.Completion? {
    for _ in 0..<50 {
      if let completion = rings[index].poll() { return completion }
      turn()
    }
    return nil
  }

  /// Connects a new front-end in the place of the present one, which hangs up.
  func reconnect() throws {
    let (theirs, ours) = try UnixSocket.pair(.stream).take()
    try backend.serve(FileDescriptor(adopting: theirs))
    adopt(VhostUserFrontend(FileDescriptor(adopting: ours)))
    turn(3)
  }
}

/// A descriptor to hand out, and a way to see whether every copy of it has been closed.
final class Tracer {
  private let readEnd: FileDescriptor
  private var writeEnd: FileDescriptor?

  init() throws {
    var ends: [Int32] = [-1, -1]
    try #require(pipe(&ends) == 0)
    readEnd = FileDescriptor(adopting: ends[0])
    writeEnd = FileDescriptor(adopting: ends[1])
    try UnixSocket.setNonBlocking(ends[0], true)
  }

  /// The descriptor to hand out.
  var raw: Int32 {
    switch writeEnd {
    case .some(let end): end.raw
    case .none: -1
    }
  }

  /// Closes our own copy; whether it was the last one.
  func isClosedEverywhere() -> Bool {
    writeEnd = nil
    var bytes = [UInt8](repeating: 0, count: 64)
    while true {
      let count = read(readEnd.raw, &bytes, bytes.count)
      if count <= 0 { return count == 0 }
    }
  }
}

/// A doorbell's waiting end to hand out, and a way to see whether every copy of it has been closed.
final class KickTracer {
  private let ringing: FileDescriptor
  private var waiting: FileDescriptor?

  init() throws {
    var ends: [Int32] = [-1, -1]
    try #require(pipe(&ends) == 0)
    waiting = FileDescriptor(adopting: ends[0])
    ringing = FileDescriptor(adopting: ends[1])
  }

  /// The descriptor to hand out.
  var raw: Int32 {
    switch waiting {
    case .some(let end): end.raw
    case .none: -1
    }
  }

  /// Closes our own copy; whether it was the last one.
  func isClosedEverywhere() -> Bool {
    waiting = nil
    var entry = pollfd(fd: ringing.raw, events: 0, revents: 0)
    return poll(&entry, 1, 0) == 1 && entry.revents & Int16(POLLERR) != 0
  }
}

/// A file without seals, as a hostile front-end shares it.
func unsealedFile(count: Int) throws -> FileDescriptor {
  var path = Array("/tmp/muntin-memory-XXXXXX".utf8CString)
  let raw = mkstemp(&path)
  try #require(raw >= 0)
  unlink(path)
  try #require(ftruncate(raw, count) == 0)
  return FileDescriptor(adopting: raw)
}

/// A message as it travels.
func message(_ request: UInt32, flags: UInt32 = 1, size: UInt32? = nil, _ payload: [UInt8] = []) -> [UInt8] {
  var bytes: [UInt8] = []
  MessageHeader(request: request, flags: flags, payloadSize: size ?? UInt32(payload.count)).encode(into: &bytes)
  return bytes + payload
}

extension VhostUserError {
  /// A pattern for `#expect(throws:)`: any refusal of that request.
  static func isRefusal(of code: RequestCode, _ error: any Error) -> Bool {
    if case .refused(code, _)? = error as? VhostUserError { true } else { false }
  }
}
