import Buffers
import Glibc
import HubProtocol
import Platform

/// A program at the hub that says what it is told to and waits for the answer: for measuring one request at a time.
final class BufferPeer {
  private let socket: SharedDescriptor
  private let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Wire.maximumPacketByteCount, alignment: 16)
  private let packet = UnsafeMutableRawBufferPointer.allocate(byteCount: Wire.maximumPacketByteCount, alignment: 16)
  private var packetCount = 0
  private var packetDescriptors: [Int32] = []
  private var serial: UInt64 = 0

  /// Connects and says HELLO.
  init(hub: String, _ role: Role, _ name: String) throws(BenchError) {
    guard let name = PeerName(name) else { throw .program(name, "is no name") }
    socket = SharedDescriptor(
      try system { () throws(SystemError) in
        try UnixSocket.connect(path: hub, kind: .sequencedPacket)
      })
    add(.hello(Hello(role: role, name: name)))
    try flush()
    _ = try receive { if case .welcome = $0 { true } else { nil } }
  }

  deinit {
    room.deallocate()
    packet.deallocate()
  }

  /// Puts a message into the next packet.
  func add(_ message: Message, descriptor: Int32? = nil) {
    serial += 1
    let rest = UnsafeMutableRawBufferPointer(rebasing: packet[packetCount...])
    packetCount += message.encode(serial: serial, carriesDescriptor: descriptor != nil, into: rest) ?? 0
    if let descriptor { packetDescriptors.append(descriptor) }
  }

  func add(_ message: ApplicationMessage, descriptor: Int32? = nil) {
    add(.application(message), descriptor: descriptor)
  }

  /// Sends the packet.
  func flush() throws(BenchError) {
    let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(packet)[..<packetCount])
    let files = packetDescriptors
    _ = try system { () throws(SystemError) in
      try UnixSocket.send(socket.raw, bytes, descriptors: files, wait: true)
    }
    packetCount = 0
    packetDescriptors.removeAll(keepingCapacity: true)
  }

  /// Waits until so many messages have come that fit.
  func expect(_ count: Int, _ fits: (Message) -> Bool) throws(BenchError) {
    var missing = count
    var refusal: Refusal?
    while missing > 0 {
      try receivePacket {
        if fits($0) {
          missing -= 1
        } else if case .error(let reason) = $0 {
          refusal = reason
        }
      }
      if let refusal { throw .program("hub", "\(refusal)") }
    }
  }

  private func receive<Found>(_ match: (Message) -> Found?) throws(BenchError) -> Found {
    var found: Found?
    while found == nil {
      try receivePacket { if found == nil { found = match($0) } }
    }
    guard let found else { throw .timedOut("hub") }
    return found
  }

  private func receivePacket(_ body: (Message) -> Void) throws(BenchError) {
    var entry = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
    guard poll(&entry, 1, 10_000) == 1 else { throw .timedOut("the hub's answer") }
    var descriptors: [Int32] = []
    let result = try system { () throws(SystemError) in
      try UnixSocket.receive(socket.raw, into: room, descriptors: &descriptors, wait: true)
    }
    guard case .bytes(let count, _) = result else { throw .program("hub", "closed the connection") }
    do throws(ProtocolError) {
      try PacketParser.parse(UnsafeRawBufferPointer(rebasing: room[..<count]), descriptors: descriptors) {
        message, _, descriptor in
        _ = descriptor
        body(message)
        return true
      }
    } catch {
      throw .program("hub", "\(error)")
    }
  }
}
