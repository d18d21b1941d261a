import Glibc

/// Unix sockets that carry file descriptors.
public enum UnixSocket {
  /// How bytes are framed.
  public enum Kind: Sendable {
    /// A stream of bytes (vhost-user).
    case stream
    /// Whole messages in order (the hub's protocol).
    case sequencedPacket

    var type: Int32 {
      switch self {
      case .stream: Int32(SOCK_STREAM.rawValue)
      case .sequencedPacket: Int32(SOCK_SEQPACKET.rawValue)
      }
    }
  }

  /// What one receive gave.
  public enum Received: Equatable, Sendable {
    /// That many bytes; `truncated` when the message or its descriptors were larger than the room.
    case bytes(Int, truncated: Bool)
    /// Nothing there yet.
    case wouldBlock
    /// The peer has gone.
    case closed
  }

  /// Who connected, as the kernel says.
  public struct PeerCredentials: Equatable, Sendable {
    /// Process, user and group at the time of connecting.
    public let pid: Int32, uid: UInt32, gid: UInt32
  }

  /// Two connected ends.
  public struct Pair: ~Copyable {
    /// Either end; both are blocking.
    public let first: FileDescriptor, second: FileDescriptor

    /// Takes the pair apart.
    public consuming func take() -> (Int32, Int32) { (first.release(), second.release()) }
  }

  /// Listens at `path`, non-blocking. A socket file that nobody listens on is replaced; a live one is an error
  /// (`EADDRINUSE`). With `ownerOnly` no other user but root can ever connect.
  public static func listen(path: String, kind: Kind, ownerOnly: Bool = false) throws(SystemError) -> FileDescriptor {
    let socket = try open(kind)
    if try !bind(socket.raw, path) {
      guard isStale(path, kind), unlink(path) == 0, try bind(socket.raw, path) else {
        throw SystemError(call: "bind \(path)", code: EADDRINUSE)
      }
    }
    // Nobody can connect before the next call.
    if ownerOnly && chmod(path, S_IRUSR | S_IWUSR) < 0 { throw .last("chmod \(path)") }
    guard Glibc.listen(socket.raw, 64) == 0 else { throw .last("listen \(path)") }
    try setNonBlocking(socket.raw, true)
    return socket
  }

  /// The next peer that waits at a listening socket, as a non-blocking connection; nil when nobody waits.
  public static func accept(_ raw: Int32) throws(SystemError) -> FileDescriptor? {
    while true {
      let connection = SystemSocket.accept(raw)
      if connection >= 0 { return FileDescriptor(adopting: connection) }
      switch errno {
      case EINTR, ECONNABORTED: continue
      case EAGAIN: return nil
      default: throw .last("accept")
      }
    }
  }

  /// Connects to the socket at `path`; the connection is blocking until `setNonBlocking`.
  ///
  /// A listener that accepts nobody (stopped, or hanging) has a queue of peers that gets full: that is waited for at
  /// most `timeLimit`, and `EAGAIN` is thrown then.
  public static func connect(
    path: String, kind: Kind, timeLimit: Duration = .zero
  ) throws(SystemError) -> FileDescriptor {
    let socket = try open(kind)
    var address = try self.address(path)
    // The system's limit of 0 would be none.
    if timeLimit > .zero { try setSendTimeout(socket.raw, timeLimit) } else { try setNonBlocking(socket.raw, true) }
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
        retryingInterrupts { Glibc.connect(socket.raw, name, socklen_t(MemoryLayout<sockaddr_un>.size)) }
      }
    }
    guard result == 0 else { throw .last("connect \(path)") }
    if timeLimit > .zero { try setSendTimeout(socket.raw, .zero) } else { try setNonBlocking(socket.raw, false) }
    return socket
  }

  /// Two ends connected to each other, blocking.
  public static func pair(_ kind: Kind) throws(SystemError) -> Pair {
    var ends: (Int32, Int32) = (-1, -1)
    let result = withUnsafeMutablePointer(to: &ends) { pointer in
      pointer.withMemoryRebound(to: Int32.self, capacity: 2) {
        SystemSocket.pair(kind.type, $0)
      }
    }
    guard result == 0 else { throw .last("socketpair") }
    return Pair(first: FileDescriptor(adopting: ends.0), second: FileDescriptor(adopting: ends.1))
  }

  /// Turns blocking off or on.
  public static func setNonBlocking(_ raw: Int32, _ on: Bool) throws(SystemError) {
    let flags = fcntl(raw, F_GETFL)
    guard flags >= 0, fcntl(raw, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) == 0 else {
      throw .last("fcntl(F_SETFL)")
    }
  }

  /// Sends bytes with descriptors, which stay the caller's. The number of bytes sent; nil when the socket is full.
  public static func send(
    _ raw: Int32, _ bytes: UnsafeRawBufferPointer, descriptors: [Int32] = [], wait: Bool = false
  ) throws(SystemError) -> Int? {
    let sent = descriptors.withUnsafeBufferPointer { list in
      retryingInterrupts { SystemSocket.send(raw, bytes, list, wait: wait) }
    }
    if sent >= 0 { return sent }
    if errno == EAGAIN || errno == ENOBUFS { return nil }
    throw .last("sendmsg")
  }

  /// Sends pieces that are not beside each other, as one. The number of bytes sent; nil when the socket is full.
  public static func send(
    _ raw: Int32, gathering pieces: UnsafeMutableBufferPointer<iovec>
  ) throws(SystemError) -> Int? {
    let sent = retryingInterrupts { SystemSocket.send(raw, pieces) }
    if sent >= 0 { return sent }
    if errno == EAGAIN || errno == ENOBUFS { return nil }
    throw .last("sendmsg")
  }

  /// Whether the peer has closed the connection and all that it sent has been received.
  public static func hasEnded(_ raw: Int32) -> Bool { SystemSocket.peek(raw) == 0 }

  /// Receives bytes and descriptors (appended to `descriptors`, close-on-exec, owned by the caller from now on).
  /// At most `maximumDescriptors`; the kernel closes what is above.
  public static func receive(
    _ raw: Int32, into room: UnsafeMutableRawBufferPointer, descriptors: inout [Int32], maximumDescriptors: Int = 32,
    wait: Bool = false
  ) throws(SystemError) -> Received {
    try withUnsafeTemporaryAllocation(of: Int32.self, capacity: maximumDescriptors) {
      list -> Result<Received, SystemError> in
      var count = Int32(maximumDescriptors)
      var truncated: Int32 = 0
      let received = retryingInterrupts { () -> Int in
        count = Int32(maximumDescriptors)
        return SystemSocket.receive(raw, room, list, &count, &truncated, wait: wait)
      }
      if received < 0 {
        switch errno {
        case EAGAIN: return .success(.wouldBlock)
        case ECONNRESET, EPIPE: return .success(.closed)
        default: return .failure(.last("recvmsg"))
        }
      }
      for index in 0..<Int(count) { descriptors.append(list[index]) }
      if received == 0 && count == 0 { return .success(.closed) }
      return .success(.bytes(received, truncated: truncated != 0))
    }.get()
  }

  /// Whether the system says who is at the other end.
  public static var knowsPeers: Bool { SystemSocket.knowsPeers }

  /// Who is at the other end; nil where the system cannot say.
  public static func peerCredentials(_ raw: Int32) throws(SystemError) -> PeerCredentials? {
    try SystemSocket.peerCredentials(raw)
  }

  private static func setSendTimeout(_ raw: Int32, _ limit: Duration) throws(SystemError) {
    var time = timeval(
      tv_sec: Int(limit.nanoseconds / 1_000_000_000), tv_usec: Int(limit.nanoseconds / 1000 % 1_000_000))
    guard setsockopt(raw, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size)) == 0 else {
      throw .last("setsockopt(SO_SNDTIMEO)")
    }
  }

  private static func open(_ kind: Kind) throws(SystemError) -> FileDescriptor {
    let raw = SystemSocket.open(kind.type)
    guard raw >= 0 else { throw .last("socket") }
    return FileDescriptor(adopting: raw)
  }

  private static func address(_ path: String) throws(SystemError) -> sockaddr_un {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let room = MemoryLayout.size(ofValue: address.sun_path)
    let bytes = Array(path.utf8)
    guard !bytes.isEmpty, bytes.count < room, !bytes.contains(0) else {
      throw SystemError(call: "socket path \(path)", code: bytes.count < room ? EINVAL : ENAMETOOLONG)
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    return address
  }

  private static func bind(_ raw: Int32, _ path: String) throws(SystemError) -> Bool {
    var address = try self.address(path)
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.bind(raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    if result == 0 { return true }
    if errno == EADDRINUSE { return false }
    throw .last("bind \(path)")
  }

  private static func isStale(_ path: String, _ kind: Kind) -> Bool {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return false }
    do {
      _ = try connect(path: path, kind: kind)
      return false
    } catch {
      return error.code == ECONNREFUSED
    }
  }
}
