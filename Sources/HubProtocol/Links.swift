/// Names one link between a producer and a consumer, among all that a hub has made.
public struct LinkID: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The number.
  public let rawValue: UInt64

  /// A link by its number.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// The number.
  public var description: String { String(rawValue) }
}

/// Some of a VM's scanouts: bit n stands for scanout n.
public struct ScanoutSet: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt16

  /// Wraps the bits.
  public init(rawValue: UInt16) {
    self.rawValue = rawValue
  }

  /// Every scanout that a VM can have.
  public static let all = ScanoutSet(rawValue: .max)

  /// One scanout; none when a VM cannot have it.
  public init(_ scanout: ScanoutIndex) {
    rawValue = scanout.isValid ? 1 << UInt16(scanout.rawValue) : 0
  }

  /// Whether the scanout is one of them.
  public func contains(_ scanout: ScanoutIndex) -> Bool {
    scanout.isValid && rawValue & 1 << UInt16(scanout.rawValue) != 0
  }
}

/// The messages about links and on them (protocol.md section 12): their bytes.
extension Message {
  init(link type: MessageType, _ reader: inout WireReader) throws(ProtocolError) {
    switch type {
    case .producerLinkReady: self = .producerLinkReady
    case .linkRoute:
      self = .linkRoute(try reader.link(), try reader.scanoutSet())
      try reader.zero32()
    case .flushesLinked:
      let scanout = try reader.scanout()
      try reader.zero32()
      self = .flushesLinked(scanout, count: try reader.u64())
    case .producerLink: self = .producerLink(try reader.link(), display: try reader.name())
    case .linkScanouts:
      self = .linkScanouts(try reader.link(), try reader.scanoutSet())
      try reader.zero32()
    case .flushesWanted:
      self = .flushesWanted(try reader.scanoutSet())
      try reader.zero32()
    case .linkDamage:
      let scanout = try reader.scanout()
      try reader.zero32()
      self = .linkDamage(scanout, generation: try reader.u64(), try reader.rectangle())
    case .consumerLinkReady: self = .consumerLinkReady
    case .consumerLink: self = .consumerLink(try reader.link(), vm: try reader.name())
    default:
      self = .linkLatched(try reader.scanout())
      try reader.zero32()
    }
  }

  /// Bytes of such a message's payload.
  var linkPayloadByteCount: Int {
    switch self {
    case .linkRoute, .linkScanouts, .flushesLinked: 16
    case .producerLink, .consumerLink: 72
    case .flushesWanted, .linkLatched: 8
    case .linkDamage: 32
    default: 0
    }
  }

  func writeLinkPayload(to writer: inout WireWriter) {
    switch self {
    case .linkRoute(let link, let scanouts), .linkScanouts(let link, let scanouts):
      writer.u64(link.rawValue)
      writer.u32(UInt32(scanouts.rawValue))
      writer.u32(0)
    case .flushesLinked(let scanout, let count):
      writer.u32(scanout.rawValue)
      writer.u32(0)
      writer.u64(count)
    case .producerLink(let link, let name), .consumerLink(let link, let name):
      writer.u64(link.rawValue)
      writer.name(name)
    case .flushesWanted(let scanouts):
      writer.u32(UInt32(scanouts.rawValue))
      writer.u32(0)
    case .linkDamage(let scanout, let generation, let damage):
      writer.u32(scanout.rawValue)
      writer.u32(0)
      writer.u64(generation)
      writer.rectangle(damage)
    case .linkLatched(let scanout):
      writer.u32(scanout.rawValue)
      writer.u32(0)
    default: break
    }
  }
}

extension WireReader {
  mutating func link() throws(ProtocolError) -> LinkID { LinkID(rawValue: try u64()) }

  mutating func scanoutSet() throws(ProtocolError) -> ScanoutSet {
    guard let bits = UInt16(exactly: try u32()) else { throw bad("scanouts") }
    return ScanoutSet(rawValue: bits)
  }
}
