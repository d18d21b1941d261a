import HubProtocol
import Platform

/// What a connected peer is once it said HELLO.
protocol Session: AnyObject {
  var hello: Hello { get }
  func received(
    _ message: Message, serial: UInt64, descriptor: consuming FileDescriptor?) throws(Refusal)
  /// Sends what is noted and not sent yet, as far as the socket takes it.
  func pump() throws(Refusal)
  /// The connection is over.
  func ended()
}

/// One connection of the hub. Whatever is wrong with it ends this connection only.
final class Peer: HubConnectionHandler {
  let connection: HubConnection
  let credentials: UnixSocket.PeerCredentials?
  private(set) var session: (any Session)?
  private unowned let hub: Hub
  private var helloTimer: EventLoop.TimerToken?
  var isScheduled = false

  init(_ connection: HubConnection, credentials: UnixSocket.PeerCredentials?, hub: Hub) {
    self.connection = connection
    self.credentials = credentials
    self.hub = hub
    connection.handler = self
    helloTimer = hub.loop.schedule(after: hub.configuration.helloLimit) { [weak self] in
      self?.fail(Refusal(.notPermitted, reason: "no HELLO"))
    }
  }

  /// The process at the other end; 0 where the system cannot say.
  var processID: Int32 { credentials?.pid ?? 0 }

  /// Whether one process is at the other end of both.
  func isSameProcess(as other: Peer) -> Bool {
    processID == other.processID && credentials?.uid == other.credentials?.uid
  }

  /// Whether the kernel knows that nobody is there any more.
  var isHungUp: Bool { connection.isHungUp }

  func send(_ message: Message, serial: UInt64 = 0, descriptor: SharedDescriptor? = nil) -> Bool {
    connection.send(message, serial: serial, descriptor: descriptor)
  }

  /// Ends the connection with a reason for the peer.
  func fail(_ refusal: Refusal, serial: UInt64 = 0) {
    _ = connection.send(.error(refusal), serial: serial)
    end(refusal.description)
  }

  /// Ends the connection.
  func end(_ reason: String) {
    cancelHelloTimer()
    connection.close()
    hub.remove(self, reason: reason)
    session?.ended()
    session = nil
  }

  /// Sends what is noted, at the end of a turn.
  func pump() {
    guard !connection.isClosed else { return }
    do {
      try session?.pump()
      connection.transmit()
    } catch {
      fail(error)
    }
  }

  // MARK: Answers

  /// Room for the longest single answer.
  private static let answerByteCount = 4096

  /// Makes sure that a request can be answered. A peer that does not read its answers is not served.
  func beginAnswer() throws(Refusal) {
    guard hasRoomForAnswer else { throw Refusal(.limit, reason: "answers are not read") }
  }

  /// Whether the longest single answer can be sent.
  var hasRoomForAnswer: Bool { connection.makeRoom(Self.answerByteCount) }

  /// Answers a request with the reason why it is not done.
  func decline(_ refusal: Refusal, about type: MessageType, serial: UInt64) {
    var refusal = refusal
    refusal.messageType = type.rawValue
    _ = send(.error(refusal), serial: serial)
  }

  /// Makes sure that a request can be answered by a packet of its own.
  func beginPage() throws(Refusal) {
    connection.transmit()
    guard !connection.hasUnsent else { throw Refusal(.limit, reason: "answers are not read") }
  }

  /// Takes no more requests in while answers do not go out.
  func endAnswer() {
    hub.schedule(self)
    if connection.isFull { connection.pauseReading(true) }
  }

  private func cancelHelloTimer() {
    if let helloTimer { hub.loop.cancel(helloTimer) }
    helloTimer = nil
  }

  private func greet(_ hello: Hello) throws(Refusal) {
    guard hello.version == Wire.version else {
      throw Refusal(.version, reason: "this hub speaks version \(Wire.version)")
    }
    let session = try hub.session(for: hello, of: self)
    cancelHelloTimer()
    self.session = session
    _ = send(.welcome(Welcome(processID: hub.processID, instance: hub.instance)))
    hub.schedule(self)
  }

  // MARK: HubConnectionHandler

  func connection(
    _ connection: HubConnection, received message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) {
    do throws(Refusal) {
      if let session {
        try session.received(message, serial: serial, descriptor: descriptor)
      } else if case .hello(let hello) = message {
        try greet(hello)
      } else {
        throw Refusal(.notPermitted, reason: "HELLO comes first")
      }
    } catch {
      if error.code.isDecline {
        decline(error, about: message.type, serial: serial)
        endAnswer()
      } else {
        var refusal = error
        refusal.messageType = message.type.rawValue
        fail(refusal, serial: serial)
      }
    }
  }

  func connectionHasRoom(_ connection: HubConnection) {
    connection.pauseReading(false)
    hub.schedule(self)
  }

  func connection(_ connection: HubConnection, ended reason: HubConnection.End) {
    if case .malformed(let error) = reason {
      fail(Refusal(.malformed, about: error.messageType, reason: error.description))
    } else {
      end(reason.description)
    }
  }
}
