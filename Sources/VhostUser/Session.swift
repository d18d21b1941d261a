import Platform
import Virtqueue

/// What a session tells its back-end.
protocol SessionOwner: AnyObject {
  var device: any VirtioDevice { get }
  var loop: EventLoop { get }
  var offeredFeatures: UInt64 { get }
  var offeredProtocolFeatures: ProtocolFeatures { get }

  func sessionReceived(displaySocket: consuming FileDescriptor) -> Bool
  func session(_ session: Session, refused request: UInt32, because error: VhostUserError)
  func session(_ session: Session, refusedBackendRequest code: UInt64)
  func sessionEnded(_ session: Session, because error: VhostUserError)
}

/// One front-end's connection, from its first byte to its last: a state machine driven by the event loop.
///
/// Nothing here waits. A message is put together from the pieces that come; while the front-end does not read its
/// answers its further requests stay in the socket.
final class Session {
  /// Messages handled per wake, so that a front-end that floods us does not starve the rest of the loop.
  private static let messagesPerWake = 64

  unowned let owner: any SessionOwner
  let device: any VirtioDevice
  let loop: EventLoop
  let rings: [Ring]
  let regions: RegionTable
  let channel: BackendRequestChannel

  /// What SET_FEATURES left of the offered features.
  var features: UInt64 = 0
  var protocolFeatures: ProtocolFeatures = []
  var status: UInt64 = 0
  /// Whether SET_OWNER has come.
  private(set) var isOwned = false
  /// When the last whole message came.
  private(set) var lastHeard = MonotonicTime.now
  /// Whether a driver has looked at configuration space since the rings were stopped.
  var configurationTouched = false

  private let socket: FileDescriptor
  private let faultBell: Doorbell
  private let reader = MessageReader(.requests)
  private var output = OutputQueue()
  private var socketToken: EventLoop.Token?
  private var faultToken: EventLoop.Token?
  private(set) var hasEnded = false

  /// Takes the connection over; call `begin`.
  init(_ socket: consuming FileDescriptor, owner: any SessionOwner) throws(SystemError) {
    self.owner = owner
    device = owner.device
    loop = owner.loop
    rings = (0..<owner.device.queueCount).map(Ring.init(index:))
    faultBell = try Doorbell()
    regions = RegionTable(faultBell: faultBell)
    channel = BackendRequestChannel(loop: owner.loop)
    self.socket = socket
    channel.refused = { [unowned self] code in self.owner.session(self, refusedBackendRequest: code) }
    channel.answered = { [device] ticket, succeeded in device.sharedMemoryChanged(ticket, succeeded: succeeded) }
  }

  deinit {
    // Only of a session that was never ended: nobody may be called any more.
    for token in [socketToken, faultToken] + rings.map(\.kickToken) { if let token { loop.unwatch(token) } }
    for timer in rings.compactMap(\.pollTimer) { loop.cancel(timer) }
  }

  /// Starts to listen to the front-end, and handles what it has already sent.
  func begin() {
    do throws(SystemError) {
      faultToken = try loop.watch(faultBell.waiting.raw, for: .readable) { [unowned self] _ in
        end(because: .memoryFault)
      }
      socketToken = try loop.watch(socket.raw, for: .readable) { [unowned self] _ in serve() }
      device.sharedMemoryWindowChanged(channel)
      serve()
    } catch {
      end(because: .system(error))
    }
  }

  /// Ends the connection and leaves the device as if nobody had ever been connected.
  func end(because error: VhostUserError) {
    guard !hasEnded else { return }
    hasEnded = true
    if let socketToken { loop.unwatch(socketToken) }
    if let faultToken { loop.unwatch(faultToken) }
    channel.close()
    for ring in rings { stop(ring) }
    device.sharedMemoryWindowChanged(nil)
    device.reset()
    regions.removeAll()
    device.memoryChanged(regions.memory)
    regions.forgetFormer()
    owner.sessionEnded(self, because: error)
  }

  // MARK: Messages

  private func serve() {
    do throws(VhostUserError) {
      try output.flush(to: socket.raw)
      try serveMessages()
    } catch {
      end(because: error)
    }
  }

  private func serveMessages() throws(VhostUserError) {
    for _ in 0..<Self.messagesPerWake where output.isEmpty && !hasEnded {
      switch try reader.read(from: socket.raw) {
      case .message:
        lastHeard = .now
        let reply = answer()
        reader.finish()
        if let reply { try output.send(reply, to: socket.raw) }
      case .incomplete: return watchSocket()
      case .closed: return end(because: .closed)
      }
    }
    watchSocket()
  }

  /// While an answer waits to be read no further request is taken.
  private func watchSocket() {
    guard let socketToken, !hasEnded else { return }
    loop.change(socketToken, to: output.isEmpty ? .readable : .writable)
  }

  /// Performs the request that the reader holds; the answer to send, if one is due.
  private func answer() -> [UInt8]? {
    guard let header = reader.header else { return nil }
    let code = RequestCode(rawValue: header.request)
    do throws(VhostUserError) {
      guard let code else { throw .unknownRequest(header.request) }
      let request = try Request(code: code, payload: reader.payload)
      return try perform(request).encode(for: header)
    } catch {
      owner.session(self, refused: header.request, because: error)
      return Reply.failure(of: code, needsReply: header.needsReply)?.encode(for: header)
    }
  }

  private func perform(_ request: Request) throws(VhostUserError) -> Reply {
    guard owner.offeredProtocolFeatures.isSuperset(of: request.code.feature) else {
      throw .unsupported(request.code)
    }
    // Descriptors that a request does not have are closed with the message; one that has some needs exactly those.
    let expected = request.descriptorCount
    guard expected == 0 || expected == reader.descriptors.count else {
      throw .wrongDescriptorCount(request.code, found: reader.descriptors.count)
    }
    switch request {
    case .getFeatures: return .word(owner.offeredFeatures)
    case .setFeatures(let word): try setFeatures(word)
    case .getProtocolFeatures: return .word(owner.offeredProtocolFeatures.rawValue)
    case .setProtocolFeatures(let word): setProtocolFeatures(word)
    case .setOwner: isOwned = true
    case .resetOwner: break
    case .getQueueNum: return .word(UInt64(rings.count))
    case .getStatus: return .word(status)
    case .getShmemConfig: return .sharedMemory(device.sharedMemoryRegions)
    case .setStatus(let word): setStatus(word)
    case .resetDevice: resetDevice()
    case .getConfig(let access): return .configuration(try readConfiguration(access))
    case .setConfig(let access): try writeConfiguration(access)
    case .setBackendReqFd: try setChannel()
    case .gpuSetSocket: try setDisplaySocket()
    case .getMaxMemSlots: return .word(UInt64(VhostUserLimits.memorySlots))
    case .setMemTable, .addMemReg, .remMemReg: try changeMemory(request)
    case .setVringNum, .setVringAddr, .setVringBase, .getVringBase, .setVringKick, .setVringCall, .setVringErr,
      .setVringEnable:
      return try performRingRequest(request)
    case .unsupported(let code): throw .unsupported(code)
    }
    return .acknowledge
  }

  /// The only descriptor of the message in hand.
  func takeDescriptor(of code: RequestCode) throws(VhostUserError) -> FileDescriptor {
    guard let descriptor = reader.descriptors.take() else { throw .wrongDescriptorCount(code, found: 0) }
    return descriptor
  }

  // MARK: Device

  private func setFeatures(_ word: UInt64) throws(VhostUserError) {
    // QEMU passes on ring features that the guest was offered by QEMU alone; they mean nothing here.
    let accepted = word & owner.offeredFeatures & ~protocolFeaturesBit
    if accepted != features, let running = rings.first(where: \.isRunning) {
      throw .ringRuns(UInt32(running.index))
    }
    features = accepted
    device.featuresAccepted(accepted)
    guard word & protocolFeaturesBit == 0 else { return }
    for ring in rings { enable(ring, true) }
  }

  private func setProtocolFeatures(_ word: UInt64) {
    protocolFeatures = owner.offeredProtocolFeatures.intersection(ProtocolFeatures(rawValue: word))
    channel.wantsReplies = protocolFeatures.contains(.replyAck)
    channel.canMap = protocolFeatures.isSuperset(of: .window)
  }

  private func setStatus(_ word: UInt64) {
    status = word & 0xff
    // A front-end that only pauses stops the rings first and may then write 0 as well; the restart of the rings shows
    // what it was. While rings run, 0 is the driver's reset.
    if status == 0 && isAnyRingRunning { resetDevice() }
  }

  private func setChannel() throws(VhostUserError) {
    let socket = try takeDescriptor(of: .setBackendReqFd)
    do {
      try channel.open(socket)
    } catch {
      throw .system(error)
    }
  }

  private func setDisplaySocket() throws(VhostUserError) {
    guard owner.sessionReceived(displaySocket: try takeDescriptor(of: .gpuSetSocket)) else {
      throw .unsupported(.gpuSetSocket)
    }
  }

  private func changeMemory(_ request: Request) throws(VhostUserError) {
    switch request {
    case .setMemTable(let table): try regions.replaceAll(table, &reader.descriptors)
    case .addMemReg(let region): try regions.add(region, try takeDescriptor(of: .addMemReg))
    case .remMemReg(let region): try regions.remove(region)
    default: return
    }
    device.memoryChanged(regions.memory)
    memoryChangedUnderRings()
    regions.forgetFormer()
  }

  // MARK: Configuration space

  private func readConfiguration(_ access: ConfigurationAccess) throws(VhostUserError) -> ConfigurationAccess {
    let range = try configurationRange(access)
    configurationTouched = true
    // Front-ends may know a longer configuration space than the device has: the rest is zero.
    var bytes = [UInt8](repeating: 0, count: Int(access.size))
    let known = range.clamped(to: 0..<device.configurationSize)
    bytes.withUnsafeMutableBytes { buffer in
      guard !known.isEmpty else { return }
      device.readConfiguration(
        at: known.lowerBound, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<known.count]))
    }
    return ConfigurationAccess(offset: access.offset, size: access.size, flags: access.flags, bytes: bytes)
  }

  private func writeConfiguration(_ access: ConfigurationAccess) throws(VhostUserError) {
    let known = try configurationRange(access).clamped(to: 0..<device.configurationSize)
    configurationTouched = true
    guard !known.isEmpty else { return }
    access.bytes.withUnsafeBytes { buffer in
      device.writeConfiguration(at: known.lowerBound, UnsafeRawBufferPointer(rebasing: buffer[..<known.count]))
    }
  }

  private func configurationRange(_ access: ConfigurationAccess) throws(VhostUserError) -> Range<Int> {
    let (end, overflow) = access.offset.addingReportingOverflow(access.size)
    guard !overflow, end <= VhostUserLimits.configurationBytes else {
      throw .configurationRange(offset: access.offset, size: access.size)
    }
    return Int(access.offset)..<Int(end)
  }
}
