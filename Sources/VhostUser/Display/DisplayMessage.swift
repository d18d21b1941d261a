import Buffers

/// Messages of the display socket (vhost-user-gpu.rst): the back-end asks and tells, the front-end shows.
public enum DisplayRequest: UInt32, CaseIterable, Sendable {
  case getProtocolFeatures = 1
  case setProtocolFeatures = 2
  case getDisplayInfo = 3
  case cursorPos = 4
  case cursorPosHide = 5
  case cursorUpdate = 6
  case scanout = 7
  case update = 8
  case dmabufScanout = 9
  case dmabufUpdate = 10
  case getEdid = 11
  case dmabufScanout2 = 12
}

/// Sizes and bits of the display socket's protocol.
public enum DisplayProtocol {
  /// `VHOST_USER_GPU_PROTOCOL_F_EDID`.
  public static let edid: UInt64 = 1 << 0
  /// Scanouts that a virtio-gpu device can have.
  public static let scanouts = 16
  /// The widest and highest scanout that is shown; front-ends cannot draw larger ones (pixman's coordinates).
  public static let largestSide: UInt32 = 32767
  /// Width and height of a cursor.
  public static let cursorSize = 64
  /// Bytes of a cursor's picture.
  public static let cursorBytes = 4 * cursorSize * cursorSize
  /// The largest answer: that to GET_EDID.
  public static let replyBytes = 1056

  static let headerBytes = MessageHeader.byteCount
  /// Header and VhostUserGpuUpdate without its data.
  static let updateHeadBytes = headerBytes + 20
  /// The whole CURSOR_UPDATE.
  static let cursorMessageBytes = headerBytes + 20 + cursorBytes
  /// virtio_gpu_ctrl_hdr, before each answer in virtio-gpu's form.
  static let responseHeaderBytes = 24
}

/// One scanout as the front-end would like it (virtio_gpu_display_one).
public struct DisplayMode: Equatable, Sendable {
  /// Where it lies on the desktop, and how large it is.
  public var area: Rectangle
  /// Whether there is a display at all.
  public var isEnabled: Bool

  /// A mode by its fields.
  public init(area: Rectangle, isEnabled: Bool) {
    self.area = area
    self.isEnabled = isEnabled
  }
}

/// An answer of the front-end, decoded.
enum DisplayReply: Equatable {
  case protocolFeatures(UInt64)
  case displayInfo([DisplayMode])
  case edid([UInt8])
  /// The front-end says that it cannot.
  case error

  /// Decodes an answer; nil when it is none that exists.
  init?(request: UInt32, payload: UnsafeRawBufferPointer) {
    var reader = ByteReader(payload)
    let decoded: DisplayReply? =
      switch DisplayRequest(rawValue: request) {
      case .getProtocolFeatures: payload.count == 8 ? reader.next().map(Self.protocolFeatures) : nil
      case .getDisplayInfo: payload.count == 408 ? Self.decodeInfo(&reader) : nil
      case .getEdid: payload.count == 1056 ? Self.decodeEdid(&reader) : nil
      default: nil
      }
    guard let decoded else { return nil }
    self = decoded
  }

  /// Reads virtio_gpu_ctrl_hdr; its type.
  private static func takeResponseType(_ reader: inout ByteReader) -> UInt32? {
    let type: UInt32? = reader.next()
    for _ in 0..<5 { _ = reader.next(UInt32.self) }
    return type
  }

  private static func decodeInfo(_ reader: inout ByteReader) -> DisplayReply? {
    guard let type = takeResponseType(&reader) else { return nil }
    guard type == 0x1101 else { return .error }
    var modes: [DisplayMode] = []
    for _ in 0..<DisplayProtocol.scanouts {
      guard let x: UInt32 = reader.next(), let y: UInt32 = reader.next(), let width: UInt32 = reader.next(),
        let height: UInt32 = reader.next(), let enabled: UInt32 = reader.next(), reader.next(UInt32.self) != nil
      else { return nil }
      modes.append(
        DisplayMode(area: Rectangle(x: x, y: y, width: width, height: height), isEnabled: enabled != 0))
    }
    return .displayInfo(modes)
  }

  private static func decodeEdid(_ reader: inout ByteReader) -> DisplayReply? {
    guard let type = takeResponseType(&reader), let size: UInt32 = reader.next(), reader.next(UInt32.self) != nil
    else { return nil }
    guard type == 0x1104, size <= 1024 else { return .error }
    return .edid(Array(reader.rest[..<Int(size)]))
  }
}

/// Writes integers one after the other into memory that has room for them.
struct ByteWriter {
  private let target: UnsafeMutableRawBufferPointer
  private(set) var count = 0

  init(_ target: UnsafeMutableRawBufferPointer) {
    self.target = target
  }

  mutating func put(_ words: UInt32...) {
    for word in words {
      target.storeBytes(of: word, toByteOffset: count, as: UInt32.self)
      count += 4
    }
  }

  mutating func put(_ request: DisplayRequest, size: Int) {
    put(request.rawValue, 0, UInt32(clamping: size))
  }
}
