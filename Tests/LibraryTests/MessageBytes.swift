/// A message as its bytes, written down from protocol.md once more: the library under test and the hub have their own.
struct MessageBytes {
  var type: UInt16
  var serial: UInt64
  var payload: [UInt8] = []
  var hasDescriptor = false

  init(_ type: Kind, serial: UInt64 = 0, hasDescriptor: Bool = false) {
    self.type = type.rawValue
    self.serial = serial
    self.hasDescriptor = hasDescriptor
  }

  /// Messages of sections 2 and 8.
  enum Kind: UInt16 {
    case hello = 0x0001, welcome, error
    case bufferFreed = 0x0183, bufferRevoked = 0x0185
    case offer = 0x0401, withdraw, update, acquire, release, done, lookup, query, constraints, requirements, grant,
      revoke, grants, cancel
    case accepted = 0x0481, acquired, updated, revoked, retired, merged, info, queryEnd, bufferDone, grantRecord, wanted
  }

  var kind: Kind? { Kind(rawValue: type) }

  /// Header and payload.
  var bytes: [UInt8] {
    var header = MessageBytes(.hello)
    header.append(type)
    header.append(UInt16(hasDescriptor ? 1 : 0))
    header.append(UInt32(16 + payload.count))
    header.append(serial)
    return header.payload + payload
  }

  mutating func append(_ number: some FixedWidthInteger) {
    withUnsafeBytes(of: number.littleEndian) { payload += $0 }
  }

  mutating func append(_ text: String, _ count: Int) {
    payload += Array(text.utf8) + [UInt8](repeating: 0, count: count - text.utf8.count)
  }

  mutating func append(_ bytes: [UInt8]) { payload += bytes }

  mutating func append(party kind: UInt32, _ name: String) {
    append(kind)
    append(UInt32(0))
    append(name, 64)
  }

  func number<Number: FixedWidthInteger>(_ offset: Int, _: Number.Type = Number.self) -> Number {
    payload[offset..<offset + Number.bitWidth / 8].reversed().reduce(0) { $0 << 8 | Number($1) }
  }

  func text(_ offset: Int, _ count: Int) -> String {
    String(decoding: payload[offset..<offset + count].prefix { $0 != 0 }, as: UTF8.self)
  }

  func id(_ offset: Int = 0) -> [UInt8] { Array(payload[offset..<offset + 16]) }

  /// Takes a packet apart.
  static func messages(of packet: [UInt8]) -> [MessageBytes] {
    var rest = packet[...], found: [MessageBytes] = []
    while rest.count >= 16 {
      var whole = MessageBytes(.hello)
      whole.payload = Array(rest)
      let length = Int(whole.number(4, UInt32.self))
      var message = MessageBytes(.hello, serial: whole.number(8), hasDescriptor: whole.number(2, UInt16.self) == 1)
      message.type = whole.number(0)
      message.payload = Array(whole.payload[16..<length])
      found.append(message)
      rest = rest.dropFirst(length)
    }
    return found
  }
}

/// Answers of a hub.
extension MessageBytes {
  static func welcome(instance: UInt64 = 7) -> MessageBytes {
    var message = MessageBytes(.welcome)
    for word in [1, 4242] as [UInt32] { message.append(word) }
    message.append(instance)
    for word in [1024, 16] as [UInt32] { message.append(word) }
    message.append(UInt64(0))
    return message
  }

  static func error(_ code: UInt32, _ reason: String, serial: UInt64) -> MessageBytes {
    var message = MessageBytes(.error, serial: serial)
    message.append(code)
    message.append(UInt32(0))
    message.append(reason, 120)
    return message
  }

  static func accepted(_ number: UInt64 = 0, serial: UInt64) -> MessageBytes {
    var message = MessageBytes(.accepted, serial: serial)
    message.append(number)
    return message
  }

  /// A buffer of application "camera", 64 x 48 pixels in whole pages, with a property.
  static func info(
    _ kind: Kind, _ id: [UInt8], serial: UInt64, access: UInt32 = 1, name: String = "front",
    layout: (width: UInt32, height: UInt32, stride: UInt32) = (64, 48, 256), byteCount: UInt64 = 12288,
    generation: UInt64 = 0
  ) -> MessageBytes {
    var message = MessageBytes(kind, serial: serial, hasDescriptor: kind == .acquired)
    message.append(id)
    for word in [layout.width, layout.height, 0x3432_5258, layout.stride] { message.append(word) }
    for word in [0, 0] as [UInt64] { message.append(word) }
    for word in [1, 2, 2, 0] as [UInt32] { message.append(word) }
    for word in [byteCount, 0] { message.append(word) }
    message.append(party: 2, "camera")
    message.append(name, 64)
    message.append(generation)
    for word in [2, access, 1, 1] as [UInt32] { message.append(word) }
    message.append(UInt64(0))
    message.append("lens", 32)
    message.append("wide", 96)
    return message
  }

  static func updated(
    _ id: [UInt8], _ damage: [UInt32], generation: UInt64, hasFence: Bool = false
  ) -> MessageBytes {
    var message = MessageBytes(.updated, hasDescriptor: hasFence)
    message.append(id)
    for word in damage { message.append(word) }
    message.append(generation)
    return message
  }

  /// REVOKED or RETIRED.
  static func ended(_ kind: Kind, _ id: [UInt8], milliseconds: UInt32 = 10_000) -> MessageBytes {
    var message = MessageBytes(kind)
    message.append(id)
    message.append(milliseconds)
    message.append(UInt32(0))
    return message
  }

  static func bufferDone(
    _ id: [UInt8], generation: UInt64, holder: UInt32, remaining: UInt32, hasFence: Bool = false
  ) -> MessageBytes {
    var message = MessageBytes(.bufferDone, hasDescriptor: hasFence)
    message.append(id)
    message.append(generation)
    message.append(holder)
    message.append(remaining)
    return message
  }

  static func wanted(_ id: [UInt8], generation: UInt64) -> MessageBytes {
    var message = MessageBytes(.wanted)
    message.append(id)
    message.append(generation)
    return message
  }

  /// BUFFER_FREED or BUFFER_REVOKED.
  static func about(_ kind: Kind, _ id: [UInt8]) -> MessageBytes {
    var message = MessageBytes(kind)
    message.append(id)
    return message
  }

  static func queryEnd(_ count: UInt32, next: UInt64 = 0, serial: UInt64) -> MessageBytes {
    var message = MessageBytes(.queryEnd, serial: serial)
    message.append(count)
    message.append(UInt32(0))
    message.append(next)
    return message
  }
}
