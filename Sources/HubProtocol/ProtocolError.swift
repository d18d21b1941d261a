/// What is wrong with bytes that a peer sent (protocol.md section 1).
public enum ProtocolError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The packet ends inside a header or inside a message.
  case cutShort(byteCount: Int)
  /// The packet, or its descriptors, did not fit the room that the protocol allows.
  case packetTooLarge
  /// A message's length is below a header, above the packet or no multiple of 8.
  case badLength(UInt32)
  /// Nobody knows this type.
  case unknownType(UInt16)
  /// Flags that are not defined.
  case badFlags(UInt16)
  /// A known message of a length that it cannot have.
  case wrongLength(type: UInt16, length: UInt32)
  /// A field whose value is not allowed.
  case badField(type: UInt16, field: String)
  /// A message that needs a descriptor came without one, or the other way round.
  case descriptorMismatch(type: UInt16)
  /// More descriptors in the packet than its messages account for.
  case surplusDescriptors(Int)

  /// The type of the message it is about, 0 where there is none.
  public var messageType: UInt16 {
    switch self {
    case .unknownType(let type), .wrongLength(let type, _), .badField(let type, _), .descriptorMismatch(let type): type
    case .cutShort, .packetTooLarge, .badLength, .badFlags, .surplusDescriptors: 0
    }
  }

  /// A sentence for people.
  public var description: String {
    switch self {
    case .cutShort(let count): "the packet ends inside a message (\(count) bytes left)"
    case .packetTooLarge: "the packet is larger than 65536 bytes or has more than 16 descriptors"
    case .badLength(let length): "message length \(length)"
    case .unknownType(let type): "unknown message type \(hexadecimal(type))"
    case .badFlags(let flags): "unknown flags \(hexadecimal(flags))"
    case .wrongLength(let type, let length): "message \(hexadecimal(type)) cannot be \(length) bytes long"
    case .badField(let type, let field): "message \(hexadecimal(type)): bad \(field)"
    case .descriptorMismatch(let type): "message \(hexadecimal(type)): descriptor missing or not wanted"
    case .surplusDescriptors(let count): "\(count) surplus descriptors"
    }
  }

  private func hexadecimal(_ number: UInt16) -> String { "0x" + String(number, radix: 16) }
}

/// Why the hub ended a connection or declined a request (protocol.md section 2, ERROR).
public enum ErrorCode: UInt32, Sendable, CaseIterable {
  /// Bytes that are no message.
  case malformed = 1
  /// HELLO names another version.
  case version = 2
  /// Not for this user, this role or not yet.
  case notPermitted = 3
  /// A living connection has the name.
  case nameInUse = 4
  /// Too many of something.
  case limit = 5
  /// A buffer that cannot be taken.
  case badBuffer = 6
  /// A buffer or scanout that was not announced.
  case unknownObject = 7
  /// A request named something that does not exist, or that the peer may not know of.
  case notFound = 8
  /// A request would exceed a limit of the peer's; nothing changed.
  case overLimit = 9
  /// Constraints leave nothing.
  case disagreement = 10
  /// The owner has another buffer of that name.
  case nameTaken = 11
  /// A buffer was not released in time.
  case revoked = 12

  /// Whether it answers one request, and the connection goes on.
  public var isDecline: Bool {
    switch self {
    case .notFound, .overLimit, .disagreement, .nameTaken: true
    case .malformed, .version, .notPermitted, .nameInUse, .limit, .badBuffer, .unknownObject, .revoked: false
    }
  }
}
