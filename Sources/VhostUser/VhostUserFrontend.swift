import Glibc
import Platform
import Virtqueue

/// The driver's end of vhost-user: what a VMM does. For tests, benchmarks and fuzzers.
///
/// Every call waits for its answer, at most for the time limit. Where the back-end runs on an event loop of the same
/// thread, `whileWaiting` turns that loop.
public final class VhostUserFrontend {
  /// Called again and again while an answer is awaited; without it the thread sleeps.
  public var whileWaiting: (() -> Void)?
  /// The longest wait for one answer.
  public var timeLimit = Duration.seconds(5)
  /// What the back-end offers, once `negotiate` has asked.
  public private(set) var offeredFeatures: UInt64 = 0
  /// What was settled.
  public private(set) var features: UInt64 = 0
  /// What the back-end offers of the protocol.
  public private(set) var offeredProtocolFeatures: ProtocolFeatures = []
  /// What was settled of the protocol.
  public private(set) var protocolFeatures: ProtocolFeatures = []

  private let socket: FileDescriptor
  private let reader = MessageReader(.replies)
  /// The device's shared memory as the guest would see it.
  public let window = FrontendWindow()

  private var channel: FileDescriptor?
  private let channelReader = MessageReader(.requests)

  /// Speaks over a connected socket.
  public init(_ socket: consuming FileDescriptor) {
    self.socket = socket
  }

  /// Connects to a back-end.
  public convenience init(path: String) throws(VhostUserError) {
    do {
      self.init(try UnixSocket.connect(path: path, kind: .stream, timeLimit: .seconds(5)))
    } catch {
      throw .system(error)
    }
  }

  // MARK: Set-up

  /// Settles features as QEMU does: all that is offered and wanted.
  public func negotiate(
    features wanted: UInt64 = .max, protocolFeatures wantedProtocol: ProtocolFeatures = .all
  ) throws(VhostUserError) {
    offeredFeatures = try word(.getFeatures)
    features = offeredFeatures & wanted
    if features & protocolFeaturesBit != 0 {
      offeredProtocolFeatures = ProtocolFeatures(rawValue: try word(.getProtocolFeatures))
      let settled = offeredProtocolFeatures.intersection(wantedProtocol)
      try call(.setProtocolFeatures(settled.rawValue))
      protocolFeatures = settled
    }
    try call(.setOwner)
    try call(.setFeatures(features))
  }

  /// Hands a guest's memory over: region by region where that was settled, else as one table.
  public func share(_ arena: GuestArena, asTable: Bool = false) throws(VhostUserError) {
    guard protocolFeatures.contains(.configureMemorySlots), !asTable else {
      return try call(
        .setMemTable(arena.regions.map(RegionDescription.init)), descriptors: arena.regions.map(\.file.raw))
    }
    for region in arena.regions { try call(.addMemReg(RegionDescription(region)), descriptors: [region.file.raw]) }
  }

  /// Sets a ring up and enables it; `base` is where it goes on, nil for a new ring.
  public func start(_ ring: VirtqueueDriver, index: UInt32, base: UInt32? = nil) throws(VhostUserError) {
    let addresses = ring.userAddresses
    try call(.setVringNum(VringState(index: index, num: ring.configuration.size)))
    try call(.setVringBase(VringState(index: index, num: base ?? ring.configuration.base)))
    try call(
      .setVringAddr(
        VringAddress(
          index: index, descriptor: addresses.descriptors, used: addresses.device, available: addresses.driver)))
    let which = VringDescriptor(index: index, hasDescriptor: true)
    try call(.setVringKick(which), descriptors: [ring.kickBell.waiting.raw])
    try call(.setVringCall(which), descriptors: [ring.callBell.ringing.raw])
    // What waits in a ring that goes on is found by a kick, as QEMU gives it.
    if base != nil { ring.kickBell.ring() }
    guard features & protocolFeaturesBit != 0 else { return }
    try call(.setVringEnable(VringState(index: index, num: 1)))
  }

  /// Stops a ring as QEMU does; where it would go on.
  public func stop(index: UInt32) throws(VhostUserError) -> UInt32 {
    if features & protocolFeaturesBit != 0 {
      try call(.setVringEnable(VringState(index: index, num: 0)))
    }
    let request = Request.getVringBase(VringState(index: index, num: 0))
    try send(request)
    try receive(request.code)
    defer { reader.finish() }
    var payload = ByteReader(reader.payload)
    guard let state = VringState(&payload) else { throw .unexpectedReply(request: request.code.rawValue) }
    return state.num
  }

  // MARK: Configuration space

  /// GET_CONFIG.
  public func readConfiguration(offset: UInt32, size: UInt32) throws(VhostUserError) -> [UInt8] {
    let room = [UInt8](repeating: 0, count: Int(min(size, UInt32(VhostUserLimits.configurationBytes))))
    try send(.getConfig(ConfigurationAccess(offset: offset, size: size, bytes: room)))
    try receive(.getConfig)
    defer { reader.finish() }
    var payload = ByteReader(reader.payload)
    guard let access = ConfigurationAccess(&payload) else { throw .refused(.getConfig, 0) }
    return access.bytes
  }

  /// SET_CONFIG.
  public func writeConfiguration(offset: UInt32, _ bytes: [UInt8]) throws(VhostUserError) {
    try call(.setConfig(ConfigurationAccess(offset: offset, size: UInt32(bytes.count), bytes: bytes)))
  }

  // MARK: Sockets

  /// SET_BACKEND_REQ_FD: lets the back-end make requests; see `nextBackendRequest`.
  public func openBackendChannel() throws(VhostUserError) {
    let (ours, theirs) = try pair().take()
    channel = FileDescriptor(adopting: ours)
    let other = FileDescriptor(adopting: theirs)
    try call(.setBackendReqFd, descriptors: [other.raw])
  }

  /// GET_SHMEM_CONFIG; the regions are there from now on.
  @discardableResult
  public func readSharedMemoryRegions() throws(VhostUserError) -> [SharedMemoryRegion] {
    try send(.getShmemConfig)
    try receive(.getShmemConfig)
    defer { reader.finish() }
    guard reader.payload.count == SharedMemoryConfiguration.byteCount else {
      throw .unexpectedReply(request: RequestCode.getShmemConfig.rawValue)
    }
    var payload = ByteReader(reader.payload)
    guard let configuration = SharedMemoryConfiguration(&payload) else { throw .refused(.getShmemConfig, 0) }
    window.regions = configuration.regions
    return configuration.regions
  }

  /// Waits for a request of the back-end and answers it; its code. Changes of shared memory are made, and answered as
  /// they went, unless there is an `answer`.
  public func nextBackendRequest(answer: UInt64? = nil) throws(VhostUserError) -> UInt32 {
    let raw =
      switch channel {
      case .some(let channel): channel.raw
      case .none: throw VhostUserError.closed
      }
    try wait(for: raw, channelReader)
    defer { channelReader.finish() }
    guard let header = channelReader.header else { throw .closed }
    let own = answer == nil ? change(header) : 0
    if header.needsReply {
      let reply = Reply.word(answer ?? own).encode(for: header) ?? []
      try Self.send(reply, to: raw)
    }
    return header.request
  }

  /// Sends any bytes to the back-end as if they were answers to its requests.
  public func sendOnBackendChannel(_ bytes: [UInt8]) throws(VhostUserError) {
    switch channel {
    case .some(let channel): try Self.send(bytes, to: channel.raw)
    case .none: throw .closed
    }
  }

  /// Makes the change of shared memory that a request asks for; the answer.
  private func change(_ header: MessageHeader) -> UInt64 {
    let code = BackendRequestCode(rawValue: header.request)
    guard code == .shmemMap || code == .shmemUnmap else { return 0 }
    var payload = ByteReader(channelReader.payload)
    guard channelReader.payload.count == SharedMemoryChange.byteCount, let change = SharedMemoryChange(&payload) else {
      return 1
    }
    let file = channelReader.descriptors.take()
    guard code == .shmemMap else { return window.unmap(change.piece) ? 0 : 1 }
    switch consume file {
    case .some(let file): return window.map(change, file) ? 0 : 1
    case .none: return 1
    }
  }

  /// GPU_SET_SOCKET; our end of the display socket. Like QEMU's, the request is not acknowledged.
  public func openDisplaySocket() throws(VhostUserError) -> FileDescriptor {
    let (ours, theirs) = try pair().take()
    let end = FileDescriptor(adopting: ours)
    let other = FileDescriptor(adopting: theirs)
    try send(.gpuSetSocket, descriptors: [other.raw])
    return end
  }

  private func pair() throws(VhostUserError) -> UnixSocket.Pair {
    do {
      return try UnixSocket.pair(.stream)
    } catch {
      throw .system(error)
    }
  }

  // MARK: Messages

  /// Sends a request without an answer of its own; waits for the acknowledgement where that was settled.
  public func call(_ request: Request, descriptors: [Int32] = []) throws(VhostUserError) {
    let acknowledged = protocolFeatures.contains(.replyAck)
    try send(request, descriptors: descriptors, needReply: acknowledged)
    guard acknowledged else { return }
    let answer = try receiveWord(request.code)
    guard answer == 0 else { throw .refused(request.code, answer) }
  }

  /// Sends a request that is answered with a number.
  public func word(_ request: Request) throws(VhostUserError) -> UInt64 {
    try send(request)
    return try receiveWord(request.code)
  }

  /// Waits for an answer that is a number.
  public func receiveWord(_ code: RequestCode) throws(VhostUserError) -> UInt64 {
    try receive(code)
    defer { reader.finish() }
    var payload = ByteReader(reader.payload)
    guard let word: UInt64 = payload.next() else { throw .unexpectedReply(request: code.rawValue) }
    return word
  }

  /// Sends a request and does not wait.
  public func send(_ request: Request, descriptors: [Int32] = [], needReply: Bool = false) throws(VhostUserError) {
    var payload: [UInt8] = []
    request.encode(into: &payload)
    var message: [UInt8] = []
    MessageHeader(
      request: request.code.rawValue,
      flags: MessageHeader.Flag.version | (needReply ? MessageHeader.Flag.needReply : 0),
      payloadSize: UInt32(payload.count)
    ).encode(into: &message)
    try send(bytes: message + payload, descriptors: descriptors)
  }

  /// Sends any bytes with any descriptors.
  public func send(bytes: [UInt8], descriptors: [Int32] = []) throws(VhostUserError) {
    try Self.send(bytes, descriptors, to: socket.raw)
  }

  /// Whether the back-end has closed the connection, or closes it within the time limit.
  public func waitForHangup() -> Bool {
    while true {
      do throws(VhostUserError) {
        try wait(for: socket.raw, reader)
        reader.finish()
      } catch {
        return error != .timeout
      }
    }
  }

  private static func send(_ bytes: [UInt8], _ descriptors: [Int32] = [], to raw: Int32) throws(VhostUserError) {
    let result = bytes.withUnsafeBytes { buffer -> Result<Int?, SystemError> in
      do throws(SystemError) {
        return .success(try UnixSocket.send(raw, buffer, descriptors: descriptors, wait: true))
      } catch {
        return .failure(error)
      }
    }
    if case .failure(let error) = result { throw .system(error) }
  }

  private func receive(_ code: RequestCode) throws(VhostUserError) {
    try wait(for: socket.raw, reader)
    guard reader.header?.request == code.rawValue else {
      let request = reader.header?.request ?? 0
      reader.finish()
      throw .unexpectedReply(request: request)
    }
  }

  private func wait(for raw: Int32, _ reader: MessageReader) throws(VhostUserError) {
    let deadline = MonotonicTime.now + timeLimit
    while true {
      switch try reader.read(from: raw) {
      case .message: return
      case .closed: throw .closed
      case .incomplete: break
      }
      guard MonotonicTime.now < deadline else { throw .timeout }
      if let whileWaiting {
        whileWaiting()
      } else {
        var wanted = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
        _ = poll(&wanted, 1, 10)
      }
    }
  }
}

extension RegionDescription {
  /// How a front-end describes a region of its guest's.
  public init(_ region: GuestArena.Region) {
    self.init(
      guestAddress: region.guestAddress.rawValue, size: UInt64(region.count), userAddress: region.userAddress,
      mmapOffset: 0)
  }
}
