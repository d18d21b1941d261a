/// One message: which object it is about, which request or event it is, and its arguments' bytes.
struct WaylandMessage: Hashable, Sendable {
  /// Object and opcode with the message's length.
  static let headerByteCount = 8
  /// The longest: its length is a 16-bit number, a multiple of 4.
  static let maximumByteCount = 65_532

  var object: UInt32
  var opcode: UInt16
  var arguments: [UInt8]

  /// The message's bytes; nil when it is longer than a message can be.
  var encoded: [UInt8]? {
    let count = Self.headerByteCount + arguments.count
    guard count <= Self.maximumByteCount else { return nil }
    var writer = ArgumentWriter()
    writer.word(object)
    writer.word(UInt32(count) << 16 | UInt32(opcode))
    return writer.bytes + arguments
  }
}

/// Cuts a stream of bytes into messages.
///
/// The protocol's numbers are in the machine's own byte order; every machine that Muntin runs on is little-endian.
struct MessageParser {
  private var bytes: [UInt8] = []
  private var start = 0

  /// Takes in what was received.
  mutating func append(_ received: UnsafeRawBufferPointer) {
    if start > 0 {
      bytes.removeFirst(start)
      start = 0
    }
    bytes.append(contentsOf: received)
  }

  /// The next message; nil when it is not there as a whole.
  mutating func next() throws(WaylandError) -> WaylandMessage? {
    guard let object = word(at: start), let second = word(at: start + 4) else { return nil }
    let count = Int(second >> 16)
    guard count >= WaylandMessage.headerByteCount, count % 4 == 0 else {
      throw .malformed("a message of \(count) bytes")
    }
    guard bytes.count - start >= count else { return nil }
    let arguments = Array(bytes[start + WaylandMessage.headerByteCount..<start + count])
    start += count
    return WaylandMessage(object: object, opcode: UInt16(truncatingIfNeeded: second), arguments: arguments)
  }

  private func word(at offset: Int) -> UInt32? {
    guard bytes.count - offset >= 4 else { return nil }
    return bytes.withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
  }
}
