import Platform
import Virtqueue

/// What a back-end tells the program around it. All calls come from the event loop.
public protocol VhostUserBackendDelegate: AnyObject {
  /// A front-end has begun to speak.
  func frontendConnected(_ peer: UnixSocket.PeerCredentials?)
  /// It has gone; the device has been reset and the next one is welcome.
  func frontendDisconnected(_ reason: VhostUserError)
  /// VHOST_USER_GPU_SET_SOCKET: the front-end shows the pictures. False when this device has none.
  func displaySocketReceived(_ socket: consuming FileDescriptor) -> Bool
  /// A request was answered with an error, or a ring cannot go on. For logs; the connection lives.
  func requestRefused(_ request: UInt32, _ reason: VhostUserError)
  /// The front-end answered our own request with an error, as QEMU 10 does to configuration changes.
  func backendRequestRefused(_ code: UInt64)
  /// The only connection has ended and there is no socket to accept another one from.
  func noMoreFrontends()
}

extension VhostUserBackendDelegate {
  /// Nothing.
  public func frontendConnected(_ peer: UnixSocket.PeerCredentials?) {}
  /// Nothing.
  public func frontendDisconnected(_ reason: VhostUserError) {}
  /// A device without a display.
  public func displaySocketReceived(_ socket: consuming FileDescriptor) -> Bool { false }
  /// Nothing.
  public func requestRefused(_ request: UInt32, _ reason: VhostUserError) {}
  /// Nothing.
  public func backendRequestRefused(_ code: UInt64) {}
  /// Nothing.
  public func noMoreFrontends() {}
}

/// The server's end of vhost-user for one device. It outlives its front-ends: one at a time is served, and when it goes
/// the device is reset and the next one is taken.
///
/// Who connects meanwhile waits. A connection is given the device when it begins to speak, and loses it when it falls
/// silent before SET_OWNER while another one waits: who says nothing keeps nobody out.
public final class VhostUserBackend {
  let device: any VirtioDevice
  let loop: EventLoop
  let offeredProtocolFeatures: ProtocolFeatures
  /// Who is told; not kept alive.
  public weak var delegate: (any VhostUserBackendDelegate)?

  /// How long a front-end may say nothing before SET_OWNER while another one waits.
  public var silenceLimit = Duration.seconds(5)

  private var session: Session?
  private let lobby: ConnectionLobby
  private var silenceTimer: EventLoop.TimerToken?

  /// A back-end without a socket yet. A device with shared memory regions is offered without memory slots.
  public init(
    device: any VirtioDevice, loop: EventLoop, extras: (any VhostUserBackendDelegate)? = nil,
    protocolFeatures: ProtocolFeatures = .all
  ) {
    self.device = device
    self.loop = loop
    delegate = extras
    offeredProtocolFeatures = protocolFeatures.offered(for: device)
    lobby = ConnectionLobby(loop: loop)
    lobby.spoke = { [unowned self] connection in welcome(connection) }
    lobby.left = { [unowned self] in noteDesertion() }
    lobby.queued = { [unowned self] in limitSilence() }
  }

  deinit {
    if let silenceTimer { loop.cancel(silenceTimer) }
  }

  /// Waits for front-ends at `path`.
  public func listen(path: String) throws(SystemError) {
    try lobby.listen(at: try UnixSocket.listen(path: path, kind: .stream))
  }

  /// Serves a socket that was handed over (`--fd`): a connection, or a listening socket.
  public func serve(_ socket: consuming FileDescriptor) throws(SystemError) {
    try UnixSocket.setNonBlocking(socket.raw, true)
    if isListening(socket.raw) {
      try lobby.listen(at: socket)
    } else {
      lobby.add(socket)
    }
  }

  /// Whether a front-end is being served.
  public var isConnected: Bool { session != nil }

  /// The device's configuration space has changed: the front-end is told, if it can be (CONFIG_CHANGE).
  public func configurationChanged() {
    session?.channel.configurationChanged()
  }

  /// Ends all connections and stops to accept any.
  public func close() {
    lobby.close()
    session?.end(because: .ended)
  }

  private func welcome(_ connection: consuming FileDescriptor) {
    let peer = (try? UnixSocket.peerCredentials(connection.raw)) ?? nil
    lobby.isOccupied = true
    do throws(SystemError) {
      let session = try Session(connection, owner: self)
      self.session = session
      delegate?.frontendConnected(peer)
      session.begin()
      limitSilence()
    } catch {
      lobby.isOccupied = false
    }
  }

  /// Takes the device from a front-end that never became its owner and says no more, once another one waits.
  private func limitSilence() {
    guard silenceTimer == nil, let session, !session.isOwned, lobby.isAnybodyWaiting else { return }
    let deadline = session.lastHeard + silenceLimit
    guard deadline > .now else { return session.end(because: .silent) }
    silenceTimer = loop.schedule(at: deadline) { [weak self] in
      self?.silenceTimer = nil
      self?.limitSilence()
    }
  }
}

extension VhostUserBackend: SessionOwner {
  var offeredFeatures: UInt64 {
    device.deviceFeatures | RingFeature.all | protocolFeaturesBit
  }

  func sessionReceived(displaySocket: consuming FileDescriptor) -> Bool {
    delegate?.displaySocketReceived(displaySocket) ?? false
  }

  func session(_ session: Session, refused request: UInt32, because error: VhostUserError) {
    delegate?.requestRefused(request, error)
  }

  func session(_ session: Session, refusedBackendRequest code: UInt64) {
    delegate?.backendRequestRefused(code)
  }

  func sessionEnded(_ session: Session, because error: VhostUserError) {
    self.session = nil
    delegate?.frontendDisconnected(error)
    lobby.isOccupied = false
    noteDesertion()
  }

  private func noteDesertion() {
    if lobby.isDeserted { delegate?.noMoreFrontends() }
  }
}
