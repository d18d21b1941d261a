/// `flags` of a header (virtio 1.3, 5.7.6.7).
public struct CommandFlags: OptionSet, Hashable, Sendable {
  /// The bits on the wire.
  public let rawValue: UInt32

  /// Flags by their bits.
  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// VIRTIO_GPU_FLAG_FENCE: answer only when the command is done, and echo the fence.
  public static let fence = CommandFlags(rawValue: 1)
  /// VIRTIO_GPU_FLAG_INFO_RING_IDX: the fence counts on the (context, ring) timeline.
  public static let ringIndex = CommandFlags(rawValue: 2)
  /// Both.
  static let fenceOnRing = CommandFlags(rawValue: 3)
}

/// `struct virtio_gpu_ctrl_hdr`: the first 24 bytes of every request and answer.
public struct CommandHeader: Hashable, Sendable {
  /// `type`, known or not.
  public var type: UInt32
  /// How to answer.
  public var flags: CommandFlags
  /// What the guest waits for, when `flags` has `fence`.
  public var fence: FenceID
  /// The rendering context, 0 for none.
  public var context: ContextID
  /// The timeline in the context, when `flags` has `ringIndex`.
  public var ring: UInt8

  /// Bytes on the wire.
  public static let byteCount = 24

  /// A request's header.
  public init(
    _ code: CommandCode, flags: CommandFlags = [], fence: FenceID = FenceID(rawValue: 0),
    context: ContextID = ContextID(rawValue: 0), ring: UInt8 = 0
  ) {
    self.init(type: code.rawValue, flags: flags, fence: fence, context: context, ring: ring)
  }

  /// A header by its fields.
  public init(type: UInt32, flags: CommandFlags, fence: FenceID, context: ContextID, ring: UInt8) {
    self.type = type
    self.flags = flags
    self.fence = fence
    self.context = context
    self.ring = ring
  }

  /// Reads a header; nil when there are fewer than 24 bytes.
  public init?(decoding bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.byteCount else { return nil }
    var reader = WireReader(bytes)
    type = reader.word()
    flags = CommandFlags(rawValue: reader.word())
    fence = FenceID(rawValue: reader.long())
    context = ContextID(rawValue: reader.word())
    ring = reader.byte()
  }

  /// Stores the 24 bytes; nothing when there is less room.
  public func encode(into bytes: UnsafeMutableRawBufferPointer) {
    guard bytes.count >= Self.byteCount else { return }
    var writer = WireWriter(bytes)
    writer.word(type)
    writer.word(flags.rawValue)
    writer.long(fence.rawValue)
    writer.word(context.rawValue)
    writer.byte(ring)
    writer.zeros(3)
  }

  /// Whether the answer must wait until the command is done.
  public var isFenced: Bool { flags.contains(.fence) }

  /// Whether the fence counts on a ring's timeline.
  public var isOnRing: Bool { flags.contains(.ringIndex) }

  /// The header of an answer to this request: a fence is echoed with its context and ring, anything else is zero.
  public func answer(_ code: ResponseCode) -> CommandHeader {
    guard isFenced else {
      return CommandHeader(
        type: code.rawValue, flags: [], fence: FenceID(rawValue: 0), context: ContextID(rawValue: 0), ring: 0)
    }
    return CommandHeader(
      type: code.rawValue, flags: isOnRing ? .fenceOnRing : .fence, fence: fence, context: context,
      ring: isOnRing ? ring : 0)
  }
}
