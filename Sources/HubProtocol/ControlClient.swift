import Buffers
import Glibc
import Platform

/// Why a request to the hub failed.
public enum ControlError: Error, Equatable, Sendable, CustomStringConvertible {
  /// There is no hub at that path, or the system refused.
  case unreachable(path: String, SystemError)
  /// The hub gave no answer in time.
  case timedOut
  /// The hub ended the connection.
  case closed
  /// The hub declined.
  case refused(Refusal)
  /// The answer is no answer.
  case malformed(String)

  /// For people.
  public var description: String {
    switch self {
    case .unreachable(let path, let error): "no hub at \(path): \(error)"
    case .timedOut: "the hub does not answer"
    case .closed: "the hub closed the connection"
    case .refused(let refusal): refusal.reason
    case .malformed(let what): "the hub's answer is not understood: \(what)"
    }
  }
}

/// Requests to a hub that block until they are answered, each at most for the time limit.
public final class ControlClient {
  private let socket: SharedDescriptor
  private let limit: Duration
  private let room: UnsafeMutableRawBufferPointer
  private var lastSerial: UInt64 = 0
  private var sawReset = false

  /// Connects to the hub.
  public init(
    hubPath: String, name: PeerName, timeLimit: Duration = .seconds(5)
  ) throws(ControlError) {
    do {
      socket = SharedDescriptor(
        try UnixSocket.connect(path: hubPath, kind: .sequencedPacket, timeLimit: timeLimit))
      try UnixSocket.setNonBlocking(socket.raw, true)
    } catch {
      throw error.code == EAGAIN ? .timedOut : .unreachable(path: hubPath, error)
    }
    limit = timeLimit
    room = .allocate(byteCount: Wire.maximumPacketByteCount, alignment: 16)
    try send(.hello(Hello(role: .control, name: name)), serial: 0)
  }

  deinit { room.deallocate() }

  /// The VMs, by name.
  public func vms() throws(ControlError) -> [VMRecord] {
    try list(.vms) { if case .vmRecord(let record) = $0 { record } else { nil } }
  }

  /// The buffers, by owner and id.
  public func buffers() throws(ControlError) -> [BufferRecord] {
    try list(.buffers) { if case .bufferRecord(let record) = $0 { record } else { nil } }
      .sorted { ($0.owner, $0.buffer.id.high, $0.buffer.id.low) < ($1.owner, $1.buffer.id.high, $1.buffer.id.low) }
  }

  /// The displays, by name.
  public func displays() throws(ControlError) -> [DisplayRecord] {
    try list(.displays) { if case .displayRecord(let record) = $0 { record } else { nil } }
  }

  /// The connections of the hub.
  public func clients() throws(ControlError) -> [ClientRecord] {
    try list(.clients) { if case .clientRecord(let record) = $0 { record } else { nil } }
  }

  /// The grants, in order of their numbers.
  public func grants() throws(ControlError) -> [GrantRecord] {
    var records: [GrantRecord] = []
    var cursor: UInt64 = 0
    repeat {
      var next: UInt64 = 0
      try request(.application(.grants(cursor: cursor))) { message, _ in
        if case .application(.queryEnd(_, let following)) = message {
          next = following
          return true
        }
        if case .application(.grantRecord(let record)) = message { records.append(record) }
        return false
      }
      guard next == 0 || next > cursor else { throw .malformed("list cursor") }
      cursor = next
    } while cursor != 0
    return records
  }

  /// Gives a right; its number.
  public func grant(_ grant: GrantRequest) throws(ControlError) -> GrantID {
    var number: GrantID?
    try request(.application(.grant(grant))) { message, _ in
      if case .application(.accepted(let id)) = message { number = id }
      return true
    }
    guard let number else { throw .malformed("no number of a grant") }
    return number
  }

  /// Takes a right back.
  public func revoke(_ id: GrantID) throws(ControlError) {
    try request(.application(.revoke(id))) { _, _ in true }
  }

  /// The frame of a display, or of the first one.
  public func screenshot(display: PeerName? = nil) throws(ControlError) -> FrameReader {
    var answer: Result<FrameReader, ControlError>?
    try request(.screenshot(display)) { message, descriptor in
      answer = Self.reader(message, descriptor)
      return true
    }
    guard let answer else { throw .timedOut }
    return try answer.get()
  }

  private static func reader(
    _ message: Message, _ descriptor: consuming FileDescriptor?
  ) -> Result<FrameReader, ControlError> {
    guard case .frame(let frame, let display) = message, let descriptor else { return .failure(.malformed("no frame")) }
    do throws(ReadOnlyBuffer.Refusal) {
      return .success(try FrameReader(frame, display: display, descriptor: descriptor.raw))
    } catch {
      return .failure(.malformed("frame: \(error)"))
    }
  }

  private func list<Record>(_ kind: ListKind, _ record: (Message) -> Record?) throws(ControlError) -> [Record] {
    var records: [Record] = []
    var cursor: UInt64 = 0
    repeat {
      var next: UInt64 = 0
      try request(.list(kind, cursor: cursor)) { message, _ in
        if case .listEnd(_, let following) = message {
          next = following
          return true
        }
        if let found = record(message) { records.append(found) }
        return false
      }
      guard next == 0 || next > cursor else { throw .malformed("list cursor") }
      cursor = next
    } while cursor != 0
    return records
  }

  /// Sends a request and gives each answer to `body` until that says it was the last.
  private func request(
    _ message: Message, _ body: (Message, consuming FileDescriptor?) -> Bool
  ) throws(ControlError) {
    lastSerial += 1
    let serial = lastSerial
    let deadline = MonotonicTime.now + limit
    try send(message, serial: serial)
    var isDone = false
    var refusal: Refusal?
    while !isDone {
      try receive(until: deadline) { message, answered, descriptor in
        if case .error(let reason) = message {
          refusal = reason
          isDone = true
        } else if answered == serial {
          isDone = body(message, descriptor)
        }
        return !isDone
      }
    }
    if let refusal { throw .refused(refusal) }
  }

  private func send(_ message: Message, serial: UInt64) throws(ControlError) {
    guard let count = message.encode(serial: serial, carriesDescriptor: false, into: room) else {
      throw .malformed("request")
    }
    let sent: Int?
    do throws(SystemError) {
      let packet = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count])
      sent = try UnixSocket.send(socket.raw, packet)
    } catch {
      // The hub has closed: what it said is found by reading.
      return
    }
    guard sent != nil else { throw .timedOut }
  }

  private func receive(
    until deadline: MonotonicTime, _ body: (Message, UInt64, consuming FileDescriptor?) -> Bool
  ) throws(ControlError) {
    try waitReadable(until: deadline)
    var descriptors: [Int32] = []
    let received: UnixSocket.Received
    do {
      received = try UnixSocket.receive(
        socket.raw, into: room, descriptors: &descriptors, maximumDescriptors: Wire.maximumPacketDescriptors)
    } catch {
      throw .closed
    }
    guard case .bytes(let count, _) = received else {
      guard case .closed = received else { return }
      // A hub that closed with our request unread shows as a reset first; its last words come after that.
      if sawReset { throw .closed }
      sawReset = true
      return
    }
    do {
      try PacketParser.parse(UnsafeRawBufferPointer(rebasing: room[..<count]), descriptors: descriptors, body)
    } catch {
      throw .malformed(error.description)
    }
  }

  private func waitReadable(until deadline: MonotonicTime) throws(ControlError) {
    var entry = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
    while true {
      let remaining = (deadline - .now).nanoseconds
      guard remaining > 0 else { throw .timedOut }
      let count = poll(&entry, 1, Int32(clamping: remaining / 1_000_000 + 1))
      if count > 0 { return }
      if count < 0 && errno != EINTR { throw .closed }
    }
  }
}
