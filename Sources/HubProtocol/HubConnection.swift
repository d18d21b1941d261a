import Glibc
import Platform

/// What a connection's owner is told. Nothing of it is called from inside `send`, `transmit` or `close`.
public protocol HubConnectionHandler: AnyObject {
  /// A message arrived.
  func connection(
    _ connection: HubConnection, received message: Message, serial: UInt64, descriptor: consuming FileDescriptor?)
  /// A full socket has room again.
  func connectionHasRoom(_ connection: HubConnection)
  /// The connection is over. After `.malformed` a last message can be sent; it is closed when this returns.
  func connection(_ connection: HubConnection, ended reason: HubConnection.End)
}

/// One connection between the hub and a peer: the same at both ends.
///
/// It holds at most one packet that the socket did not take. A sender whose message does not fit keeps its state and
/// sends the newest when there is room: nothing is queued without bound, nothing blocks.
public final class HubConnection {
  /// Why a connection ended.
  public enum End: Equatable, Sendable, CustomStringConvertible {
    /// The peer closed it or died.
    case closed
    /// The peer sent bytes that are no messages.
    case malformed(ProtocolError)
    /// The system refused.
    case failed(SystemError)

    /// For people.
    public var description: String {
      switch self {
      case .closed: "closed by the peer"
      case .malformed(let error): error.description
      case .failed(let error): error.description
      }
    }
  }

  /// Whoever is told; not kept alive.
  public weak var handler: (any HubConnectionHandler)?
  /// Messages taken in so far.
  public private(set) var messagesReceived: UInt64 = 0
  /// Messages handed to the socket or waiting in the one packet.
  public private(set) var messagesSent: UInt64 = 0

  private let loop: EventLoop
  private let packetsPerTurn: Int
  private var socket: SharedDescriptor?
  private var token: EventLoop.Token?
  /// Whether the socket has no room: a packet waits for it.
  private(set) var isBlocked = false
  private var isReadingPaused = false
  /// Nothing can be sent any more.
  private var isBroken = false
  private var sawReset = false
  private var incoming: UnsafeMutableRawBufferPointer
  private var incomingDescriptors: [Int32] = []
  private var outgoing: UnsafeMutableRawBufferPointer
  private var outgoingCount = 0
  private var outgoingDescriptors: [Int32] = []
  private var outgoingOwners: [SharedDescriptor] = []

  /// Takes over a connected socket and watches it on the loop; in each of its turns at most so many packets are taken
  /// in, before others have theirs.
  public init(
    _ descriptor: consuming FileDescriptor, loop: EventLoop, packetsPerTurn: Int = 16
  ) throws(SystemError) {
    try UnixSocket.setNonBlocking(descriptor.raw, true)
    let socket = SharedDescriptor(descriptor)
    self.loop = loop
    self.packetsPerTurn = packetsPerTurn
    self.socket = socket
    incoming = .allocate(byteCount: Wire.maximumPacketByteCount, alignment: 16)
    outgoing = .allocate(byteCount: Wire.maximumPacketByteCount, alignment: 16)
    token = try loop.watch(socket.raw, for: .readable) { [weak self] in self?.ready($0) }
  }

  deinit {
    if let token { loop.unwatch(token) }
    incoming.deallocate()
    outgoing.deallocate()
  }

  /// Whether nothing can be sent or received any more.
  public var isClosed: Bool { socket == nil }

  /// Who is at the other end; nil where the system cannot say.
  public func peerCredentials() throws(SystemError) -> UnixSocket.PeerCredentials? {
    guard let socket else { throw SystemError(call: "peer credentials", code: EBADF) }
    return try UnixSocket.peerCredentials(socket.raw)
  }

  /// Whether the kernel knows that the peer has gone, although the end of its messages was not read yet.
  public var isHungUp: Bool {
    guard let socket else { return true }
    var entry = pollfd(fd: socket.raw, events: 0, revents: 0)
    return poll(&entry, 1, 0) == 1
  }

  // MARK: Sending

  /// Adds a message to the packet that `transmit` sends.
  ///
  /// - Returns: false when there is no room before `connectionHasRoom`; the message is not taken.
  @discardableResult
  public func send(_ message: Message, serial: UInt64 = 0, descriptor: SharedDescriptor? = nil) -> Bool {
    guard socket != nil, !isBroken else { return false }
    if append(message, serial, descriptor) { return true }
    transmit()
    return append(message, serial, descriptor)
  }

  private func append(_ message: Message, _ serial: UInt64, _ descriptor: SharedDescriptor?) -> Bool {
    if descriptor != nil && outgoingOwners.count >= Wire.maximumPacketDescriptors { return false }
    let room = UnsafeMutableRawBufferPointer(rebasing: outgoing[outgoingCount...])
    guard let count = message.encode(serial: serial, carriesDescriptor: descriptor != nil, into: room) else {
      return false
    }
    outgoingCount += count
    messagesSent += 1
    if let descriptor {
      outgoingOwners.append(descriptor)
      outgoingDescriptors.append(descriptor.raw)
    }
    return true
  }

  /// Hands what was sent so far to the socket, as one packet; what it does not take goes when there is room.
  public func transmit() {
    guard outgoingCount > 0, !isBlocked, let socket else { return }
    let packet = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(outgoing)[..<outgoingCount])
    do {
      if try UnixSocket.send(socket.raw, packet, descriptors: outgoingDescriptors) == nil {
        isBlocked = true
        updateInterest()
      } else {
        dropOutgoing()
      }
    } catch {
      dropOutgoing()
      isBroken = true
      // A peer that closed may have said why: that is read first, and the end is found there.
      if error.code != EPIPE && error.code != ECONNRESET { endLater(.failed(error)) }
    }
  }

  private func dropOutgoing() {
    outgoingCount = 0
    outgoingDescriptors.removeAll(keepingCapacity: true)
    outgoingOwners.removeAll(keepingCapacity: true)
  }

  /// Whether a message fits that has at most so many bytes and a descriptor; what is unsent is sent if that helps.
  public func makeRoom(_ byteCount: Int) -> Bool {
    guard socket != nil, !isBroken else { return false }
    if hasRoom(byteCount) { return true }
    transmit()
    return hasRoom(byteCount)
  }

  private func hasRoom(_ byteCount: Int) -> Bool {
    outgoing.count - outgoingCount >= byteCount && outgoingOwners.count < Wire.maximumPacketDescriptors
  }

  /// Whether the socket took less than it was given.
  public var isFull: Bool { isBlocked }

  /// Whether a packet waits for a full socket.
  public var hasUnsent: Bool { outgoingCount > 0 }

  // MARK: Receiving

  /// Stops taking messages in, so that a peer that does not read its answers cannot ask for more; or goes on.
  public func pauseReading(_ pause: Bool) {
    guard pause != isReadingPaused else { return }
    isReadingPaused = pause
    updateInterest()
  }

  private func updateInterest() {
    guard let token else { return }
    var interest: EventLoop.Readiness = isReadingPaused ? [] : .readable
    if isBlocked { interest.insert(.writable) }
    loop.change(token, to: interest)
  }

  private func ready(_ readiness: EventLoop.Readiness) {
    if readiness.contains(.writable) && isBlocked {
      isBlocked = false
      transmit()
      updateInterest()
      if !isBlocked { handler?.connectionHasRoom(self) }
    }
    if isReadingPaused {
      if readiness.contains(.hangup) { end(.closed) }
    } else if readiness.contains(.readable) || readiness.contains(.hangup) {
      receivePackets()
    }
  }

  private func receivePackets() {
    for _ in 0..<packetsPerTurn {
      guard let socket, !isReadingPaused else { return }
      incomingDescriptors.removeAll(keepingCapacity: true)
      do {
        let received = try UnixSocket.receive(
          socket.raw, into: incoming, descriptors: &incomingDescriptors,
          maximumDescriptors: Wire.maximumPacketDescriptors)
        switch received {
        case .wouldBlock: return
        case .closed:
          // A peer that closed with our messages unread shows as a reset first; its last words come after that.
          if sawReset { return end(.closed) }
          sawReset = true
        case .bytes(let count, let truncated): handle(count, truncated: truncated)
        }
      } catch {
        return end(.failed(error))
      }
    }
  }

  private func handle(_ count: Int, truncated: Bool) {
    if truncated {
      closeAll(incomingDescriptors)
      return end(.malformed(.packetTooLarge))
    }
    let packet = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(incoming)[..<count])
    guard let handler else {
      closeAll(incomingDescriptors)
      return end(.closed)
    }
    do {
      try PacketParser.parse(packet, descriptors: incomingDescriptors) { message, serial, descriptor in
        messagesReceived += 1
        handler.connection(self, received: message, serial: serial, descriptor: descriptor)
        return socket != nil
      }
    } catch {
      end(.malformed(error))
    }
  }

  // MARK: Ending

  /// Sends what is left if the socket takes it, and closes. The handler is not told.
  public func close() {
    transmit()
    release()
  }

  private func release() {
    if let token { loop.unwatch(token) }
    token = nil
    dropOutgoing()
    socket = nil
  }

  private func end(_ reason: End) {
    guard socket != nil else { return }
    handler?.connection(self, ended: reason)
    close()
  }

  private func endLater(_ reason: End) {
    loop.afterEvents { [weak self] in self?.end(reason) }
  }
}
