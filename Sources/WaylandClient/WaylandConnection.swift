import Glibc
import Platform

/// A client's connection to a compositor: requests out, events in.
///
/// Nothing that the compositor says is trusted to make sense; what does not ends the connection.
public final class WaylandConnection {
  /// What is done with an object's events.
  typealias Handler = (WaylandEvent) throws(WaylandError) -> Void

  private let socket: FileDescriptor
  /// How long the compositor may take for an answer.
  private let patience: Duration
  private var parser = MessageParser()
  private var objects = ObjectTable()
  private var handlers: [UInt32: Handler] = [:]
  private var room = [UInt8](repeating: 0, count: 4096)
  /// What the compositor offers: by the interface's name its number and version.
  private(set) var globals: [String: (number: UInt32, version: UInt32)] = [:]
  private var registry: UInt32 = 0

  /// Takes over a connected stream socket, and learns what the compositor offers.
  public init(_ socket: consuming FileDescriptor, patience: Duration = .seconds(10)) throws(WaylandError) {
    self.socket = socket
    self.patience = patience
    registry = try create(.registry, from: 1, opcode: 1) { _ in
    } handler: { [weak self] (event) in
      self?.note(event)
    }
    try roundTrip()
  }

  private func note(_ event: WaylandEvent) {
    guard case .global(let number, let name, let version) = event, WaylandInterface(rawValue: name) != nil else {
      return
    }
    globals[name] = (number, version)
  }

  /// To be polled for reading; then ``dispatch()``.
  public var descriptor: Int32 { socket.raw }

  // MARK: Requests

  /// Says something to an object.
  func request(
    _ object: UInt32, _ opcode: UInt16, descriptor: Int32? = nil, _ write: (inout ArgumentWriter) -> Void = { _ in }
  ) throws(WaylandError) {
    var writer = ArgumentWriter()
    write(&writer)
    guard let bytes = WaylandMessage(object: object, opcode: opcode, arguments: writer.bytes).encoded else {
      throw .malformed("a request that is too long")
    }
    do throws(SystemError) {
      try send(bytes, descriptor)
    } catch {
      // What it had to say comes first.
      try dispatch()
      throw .system(error)
    }
  }

  private func send(_ bytes: [UInt8], _ descriptor: Int32?) throws(SystemError) {
    var sent = 0
    while sent < bytes.count {
      let descriptors = sent == 0 ? descriptor.map { [$0] } ?? [] : []
      let result = bytes[sent...].withUnsafeBytes { rest in
        Result { () throws(SystemError) in
          try UnixSocket.send(socket.raw, rest, descriptors: descriptors, wait: true)
        }
      }
      guard let count = try result.get() else { throw SystemError(call: "sendmsg", code: EAGAIN) }
      sent += count
    }
  }

  /// A request that makes a new object, whose number is the request's first argument.
  func create(
    _ interface: WaylandInterface, from object: UInt32, opcode: UInt16, descriptor: Int32? = nil,
    _ write: (inout ArgumentWriter) -> Void = { _ in }, handler: @escaping Handler = { _ in }
  ) throws(WaylandError) -> UInt32 {
    let number = objects.add(interface)
    handlers[number] = handler
    try request(object, opcode, descriptor: descriptor) {
      $0.word(number)
      write(&$0)
    }
    return number
  }

  /// The global object of an interface, in the compositor's version of it or an older one; nil: the compositor has none.
  func bind(
    _ interface: WaylandInterface, version: UInt32, handler: @escaping Handler = { _ in }
  ) throws(WaylandError) -> (object: UInt32, version: UInt32)? {
    guard let global = globals[interface.rawValue] else { return nil }
    let version = min(version, max(global.version, 1))
    let number = objects.add(interface)
    handlers[number] = handler
    try request(registry, 0) {
      $0.word(global.number)
      $0.string(interface.rawValue)
      $0.word(version)
      $0.word(number)
    }
    return (number, version)
  }

  /// An object that the compositor made.
  func adopt(_ number: UInt32, _ interface: WaylandInterface, handler: @escaping Handler) throws(WaylandError) {
    try objects.adopt(number, interface)
    handlers[number] = handler
  }

  /// Ends an object by the request of its interface that does so.
  func destroy(_ object: UInt32, opcode: UInt16) throws(WaylandError) {
    try request(object, opcode)
    drop(object)
  }

  /// The object is not used any more.
  func drop(_ object: UInt32) {
    objects.destroy(object)
    handlers[object] = nil
  }

  // MARK: Events

  /// Takes in all that the compositor has said; never waits.
  public func dispatch() throws(WaylandError) {
    while try receive() {
      while let message = try parser.next() { try handle(message) }
    }
  }

  /// Whether something came.
  private func receive() throws(WaylandError) -> Bool {
    var descriptors: [Int32] = []
    // No event that is listened to has one.
    defer { closeAll(descriptors) }
    let result = room.withUnsafeMutableBytes { bytes in
      Result { () throws(SystemError) in
        try UnixSocket.receive(socket.raw, into: bytes, descriptors: &descriptors)
      }
    }
    switch try received(result) {
    case .wouldBlock: return false
    case .closed: throw .closed
    case .bytes(let count, _):
      room.withUnsafeBytes { parser.append(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
      return true
    }
  }

  private func received(_ result: Result<UnixSocket.Received, SystemError>) throws(WaylandError) -> UnixSocket.Received
  {
    do throws(SystemError) {
      return try result.get()
    } catch {
      throw .system(error)
    }
  }

  private func handle(_ message: WaylandMessage) throws(WaylandError) {
    guard case .living(let interface)? = objects[message.object] else {
      guard objects[message.object] == .destroyed else { throw .malformed("an event of object \(message.object)") }
      return
    }
    let event = try WaylandEvent.decode(interface, message)
    switch event {
    case .error(let object, let code, let reason):
      throw .refused(object: objects.name(object), code: code, reason: reason)
    case .deleted(let number): try objects.forget(number)
    default: try handlers[message.object]?(event)
    }
    // A callback ends with its only event.
    if event == .done { drop(message.object) }
  }

  /// Waits until the compositor has seen all requests, and its answers have been taken in.
  public func roundTrip() throws(WaylandError) {
    var isDone = false
    _ = try create(.callback, from: 1, opcode: 0) { _ in
    } handler: { (event) in
      isDone = event == .done
    }
    let end = MonotonicTime.now + patience
    try dispatch()
    while !isDone {
      guard try wait(until: end) else { throw .silent }
      try dispatch()
    }
  }

  private func wait(until end: MonotonicTime) throws(WaylandError) -> Bool {
    while true {
      let left = max(0, (end - .now).nanoseconds)
      var poll = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
      let count = Glibc.poll(&poll, 1, Int32(clamping: (left + 999_999) / 1_000_000))
      if count >= 0 { return count > 0 }
      guard errno == EINTR else { throw .system(.last("poll")) }
    }
  }
}
