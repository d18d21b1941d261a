import Platform

/// How a client stands with its hub, for logs.
public enum HubLinkState: Equatable, Sendable, CustomStringConvertible {
  /// The hub said WELCOME; another instance than before is a restarted hub.
  case connected(instance: UInt64)
  /// There is no hub, or it went away; the client keeps trying.
  case lost(String)
  /// The hub declined; the client keeps trying.
  case refused(Refusal)

  /// For people.
  public var description: String {
    switch self {
    case .connected: "connected"
    case .lost(let reason): "lost: \(reason)"
    case .refused(let refusal): "refused: \(refusal)"
    }
  }
}

/// What a link's client is told.
protocol HubLinkClient: AnyObject {
  /// A new connection: HELLO is sent, everything has to be announced again.
  func linkOpened()
  func linkReceived(_ message: Message, serial: UInt64, descriptor: consuming FileDescriptor?)
  /// The hub declined a request; the connection goes on.
  func linkDeclined(_ refusal: Refusal, serial: UInt64)
  /// The time to send what is not sent yet.
  func linkPump()
  func linkLost()
  func linkChanged(_ state: HubLinkState)
}

extension HubLinkClient {
  func linkDeclined(_ refusal: Refusal, serial: UInt64) {}
}

/// A connection to the hub that comes back by itself: 50 ms after it was lost, then in doubling steps up to 1 s.
final class HubLink: HubConnectionHandler {
  private static let shortestWait = Duration.milliseconds(50)
  private static let longestWait = Duration.seconds(1)

  weak var client: (any HubLinkClient)?
  private let reach: () throws(SystemError) -> FileDescriptor
  private let hello: Hello
  private let loop: EventLoop
  private var connection: HubConnection?
  private var wait = HubLink.shortestWait
  private var timer: EventLoop.TimerToken?
  private var refusal: Refusal?
  private var state: HubLinkState?
  private var isPumpScheduled = false
  private lazy var pump: () -> Void = { [weak self] in self?.runPump() }

  convenience init(path: String, hello: Hello, loop: EventLoop) {
    self.init(hello: hello, loop: loop) { () throws(SystemError) in
      try UnixSocket.connect(path: path, kind: .sequencedPacket)
    }
  }

  /// A link whose connections `reach` makes.
  init(hello: Hello, loop: EventLoop, reach: @escaping () throws(SystemError) -> FileDescriptor) {
    self.reach = reach
    self.hello = hello
    self.loop = loop
  }

  var isUp: Bool { connection != nil }

  func start() {
    guard connection == nil, timer == nil else { return }
    connect()
  }

  func stop() {
    if let timer { loop.cancel(timer) }
    timer = nil
    guard let connection else { return }
    self.connection = nil
    connection.close()
    client?.linkLost()
  }

  func send(_ message: Message, serial: UInt64 = 0, descriptor: SharedDescriptor? = nil) -> Bool {
    connection?.send(message, serial: serial, descriptor: descriptor) ?? false
  }

  /// Calls the client's `linkPump` after the events that are being handled now.
  func schedulePump() {
    guard !isPumpScheduled, connection != nil else { return }
    isPumpScheduled = true
    loop.afterEvents(pump)
  }

  private func runPump() {
    isPumpScheduled = false
    guard let connection else { return }
    client?.linkPump()
    connection.transmit()
  }

  private func connect() {
    do {
      let connection = try HubConnection(try reach(), loop: loop)
      connection.handler = self
      self.connection = connection
    } catch {
      return retryLater(.lost(error.description))
    }
    refusal = nil
    connection?.send(.hello(hello))
    client?.linkOpened()
    schedulePump()
  }

  private func retryLater(_ state: HubLinkState) {
    change(to: state)
    timer = loop.schedule(after: wait) { [weak self] in
      guard let self else { return }
      timer = nil
      connect()
    }
    wait = min(wait * 2, Self.longestWait)
  }

  private func change(to state: HubLinkState) {
    guard state != self.state else { return }
    self.state = state
    client?.linkChanged(state)
  }

  // MARK: HubConnectionHandler

  func connection(
    _ connection: HubConnection, received message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) {
    switch message {
    case .welcome(let welcome):
      wait = Self.shortestWait
      change(to: .connected(instance: welcome.instance))
    case .error(let refusal) where refusal.code.isDecline: client?.linkDeclined(refusal, serial: serial)
    case .error(let refusal): self.refusal = refusal
    default: client?.linkReceived(message, serial: serial, descriptor: descriptor)
    }
  }

  func connectionHasRoom(_ connection: HubConnection) { schedulePump() }

  func connection(_ connection: HubConnection, ended reason: HubConnection.End) {
    guard self.connection === connection else { return }
    self.connection = nil
    client?.linkLost()
    retryLater(refusal.map { .refused($0) } ?? .lost(reason.description))
  }
}
