import Geometry

/// One scanout's line in a display-info answer: `struct virtio_gpu_display_one`.
public struct DisplayMode: Hashable, Sendable {
  /// The place among the other scanouts, and the size to use.
  public var area: Rectangle
  /// Whether somebody looks at it.
  public var isEnabled: Bool

  /// A scanout's line.
  public init(area: Rectangle, isEnabled: Bool) {
    self.area = area
    self.isEnabled = isEnabled
  }

  /// A scanout nobody looks at.
  public static let disabled = DisplayMode(area: .empty, isEnabled: false)
}

/// How the guest has to map host memory: `map_info`.
public enum MapCaching: UInt32, Sendable {
  case cached = 1
  case uncached = 2
  case writeCombined = 3
}

/// One capability set that the device has: `struct virtio_gpu_resp_capset_info`.
public struct CapsetInfo: Hashable, Sendable {
  /// Its number, as in linux/virtgpu_drm.h.
  public var id: UInt32
  /// The newest version.
  public var maximumVersion: UInt32
  /// Bytes of the longest version.
  public var maximumByteCount: UInt32

  /// A capability set's line.
  public init(id: UInt32, maximumVersion: UInt32, maximumByteCount: UInt32) {
    self.id = id
    self.maximumVersion = maximumVersion
    self.maximumByteCount = maximumByteCount
  }
}

/// What the device answers (virtio 1.3, 5.7.6.7).
public enum Response: Equatable, Sendable {
  case okNoData
  /// As many modes as there are scanouts; the rest of the sixteen is disabled.
  case okDisplayInfo([DisplayMode])
  /// Blocks of 128 bytes, at most ``maximumEDIDByteCount``.
  case okEDID([UInt8])
  case okResourceUUID(ResourceUUID)
  case okMapInfo(MapCaching)
  case okCapsetInfo(CapsetInfo)
  /// At most ``maximumCapsetByteCount``.
  case okCapset([UInt8])
  /// Any code whose `isError` is true.
  case error(ResponseCode)

  /// The code on the wire.
  public var code: ResponseCode {
    switch self {
    case .okNoData: .okNoData
    case .okDisplayInfo: .okDisplayInfo
    case .okEDID: .okEDID
    case .okResourceUUID: .okResourceUUID
    case .okMapInfo: .okMapInfo
    case .okCapsetInfo: .okCapsetInfo
    case .okCapset: .okCapset
    case .error(let code): code
    }
  }

  /// The bytes that an EDID answer has room for.
  public static let maximumEDIDByteCount = 1024

  /// The most bytes of a capability set.
  public static let maximumCapsetByteCount = 4096

  /// Bytes of the longest answer, `struct virtio_gpu_resp_capset`.
  public static let maximumByteCount = CommandHeader.byteCount + maximumCapsetByteCount

  /// Stores the whole answer to `request` and returns its length; every byte of it is set.
  ///
  /// `bytes` holds at least `maximumByteCount`.
  public func encode(answering request: CommandHeader, into bytes: UnsafeMutableRawBufferPointer) -> Int {
    request.answer(code).encode(into: bytes)
    var writer = WireWriter(bytes, at: CommandHeader.byteCount)
    switch self {
    case .okNoData, .error: break
    case .okDisplayInfo(let modes): Self.encode(modes, &writer)
    case .okEDID(let blocks): Self.encode(blocks.prefix(Self.maximumEDIDByteCount), &writer)
    case .okResourceUUID(let id):
      writer.long(id.high.byteSwapped)
      writer.long(id.low.byteSwapped)
    case .okMapInfo(let caching):
      writer.word(caching.rawValue)
      writer.word(0)
    case .okCapsetInfo(let info):
      for word in [info.id, info.maximumVersion, info.maximumByteCount, 0] { writer.word(word) }
    case .okCapset(let bytes): writer.copy(bytes.prefix(Self.maximumCapsetByteCount))
    }
    return writer.count
  }

  private static func encode(_ blocks: ArraySlice<UInt8>, _ writer: inout WireWriter) {
    writer.word(UInt32(blocks.count))
    writer.word(0)
    writer.copy(blocks)
    writer.zeros(maximumEDIDByteCount - blocks.count)
  }

  private static func encode(_ modes: [DisplayMode], _ writer: inout WireWriter) {
    for index in 0..<ScanoutID.maximumCount {
      let mode = index < modes.count ? modes[index] : .disabled
      writer.rectangle(mode.area)
      writer.word(mode.isEnabled ? 1 : 0)
      writer.word(0)
    }
  }
}
