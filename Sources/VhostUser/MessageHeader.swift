/// The three words before each payload (vhost-user.rst, "Header"). Numbers travel in the machine's own byte order.
public struct MessageHeader: Equatable, Sendable {
  /// Bytes on the wire.
  public static let byteCount = 12
  /// Bits of `flags`.
  public enum Flag {
    /// The lower two bits hold the version, which is 1.
    public static let versionMask: UInt32 = 3
    /// The only version.
    public static let version: UInt32 = 1
    /// This message answers one.
    public static let reply: UInt32 = 1 << 2
    /// The sender waits for an answer (REPLY_ACK).
    public static let needReply: UInt32 = 1 << 3
  }

  /// Which request, of those of the sender's side.
  public var request: UInt32
  /// See `Flag`.
  public var flags: UInt32
  /// Bytes that follow.
  public var payloadSize: UInt32

  /// A header by its fields.
  public init(request: UInt32, flags: UInt32 = Flag.version, payloadSize: UInt32) {
    self.request = request
    self.flags = flags
    self.payloadSize = payloadSize
  }

  /// Reads a header; nil when there are not enough bytes.
  public init?(_ bytes: UnsafeRawBufferPointer) {
    var reader = ByteReader(bytes)
    guard let request: UInt32 = reader.next(), let flags: UInt32 = reader.next(), let size: UInt32 = reader.next()
    else { return nil }
    self.init(request: request, flags: flags, payloadSize: size)
  }

  /// Whether the sender waits for an answer.
  public var needsReply: Bool { flags & Flag.needReply != 0 }
  /// Whether this is an answer.
  public var isReply: Bool { flags & Flag.reply != 0 }
  /// Whether the version is the one that exists.
  public var hasKnownVersion: Bool { flags & Flag.versionMask == Flag.version }

  /// Appends the wire form.
  public func encode(into bytes: inout [UInt8]) {
    bytes.append(word: request)
    bytes.append(word: flags)
    bytes.append(word: payloadSize)
  }
}
