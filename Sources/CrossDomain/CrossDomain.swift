/// The CROSS_DOMAIN context: how a program in a guest talks to a service of the host through its graphics card.
///
/// Numbers and layouts as crosvm, libkrun and rutabaga_gfx publish them (cross_domain_protocol); all little-endian. The
/// guest submits commands (SUBMIT_3D); what the host has to say it stores at the beginning of one of two resources that
/// the guest has named, its rings, and then completes a fence on the ring of that number.
public enum CrossDomain {
  /// VIRTGPU_DRM_CAPSET_CROSS_DOMAIN.
  public static let capset: UInt32 = 5
  /// The ring of answers to GET_IMAGE_REQUIREMENTS.
  public static let queryRing: UInt8 = 0
  /// The ring of what the channel's other end says; POLL's fences are on it.
  public static let channelRing: UInt8 = 1
  /// The most identifiers of a SEND or RECEIVE.
  public static let maximumIdentifierCount = 28
  /// The longest command: its length is a 16-bit word of its header.
  public static let maximumCommandByteCount = Int(UInt16.max)

  /// Bytes of a SEND or RECEIVE before its data.
  public static let transmissionByteCount = 16 + 3 * 4 * maximumIdentifierCount
  /// Bytes of a READ or WRITE before its data.
  public static let pipeByteCount = 24
  /// Bytes of a header.
  static let headerByteCount = 8
}

/// What is at the other end of a channel.
public struct ChannelType: RawRepresentable, Hashable, Sendable {
  /// The number on the wire, below 32.
  public let rawValue: UInt32

  /// A type by its number.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// A Wayland compositor of the host.
  public static let wayland = ChannelType(rawValue: 1)
  /// Muntin's hub: one message of the hub protocol in each SEND and RECEIVE. The numbers 1, 2, 16 and 17 are others'.
  public static let hub = ChannelType(rawValue: 24)
}

/// Contents of the capability set: `struct CrossDomainCapabilities`.
public struct CrossDomainCapabilities: Hashable, Sendable {
  /// Bytes on the wire.
  public static let byteCount = 16
  /// The version that this module speaks.
  public static let currentVersion: UInt32 = 1

  /// The protocol's version.
  public var version = currentVersion
  /// One bit for each type of channel there is.
  public var channels: UInt32
  /// Whether images may be dma-bufs.
  public var supportsDMABuf: Bool
  /// Whether images may be memory of the graphics hardware.
  public var supportsExternalMemory: Bool

  /// What channels of these types can do.
  public init(channels: [ChannelType], supportsDMABuf: Bool = false, supportsExternalMemory: Bool = false) {
    self.channels = channels.reduce(0) { $0 | 1 << ($1.rawValue & 31) }
    self.supportsDMABuf = supportsDMABuf
    self.supportsExternalMemory = supportsExternalMemory
  }

  /// Reads the contents; nil when there are fewer than 16 bytes.
  public init?(decoding bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.byteCount else { return nil }
    var reader = ByteReader(bytes)
    version = reader.word()
    channels = reader.word()
    supportsDMABuf = reader.word() != 0
    supportsExternalMemory = reader.word() != 0
  }

  /// Whether there are channels of a type.
  public func offers(_ type: ChannelType) -> Bool { type.rawValue < 32 && channels & 1 << type.rawValue != 0 }

  /// The 16 bytes.
  public var encoded: [UInt8] {
    var writer = ByteWriter()
    for word in [version, channels, supportsDMABuf ? 1 : 0, supportsExternalMemory ? 1 : 0] { writer.word(word) }
    return writer.bytes
  }
}
