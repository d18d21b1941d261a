/// What a request asks for: `type` of its header (virtio 1.3, 5.7.6.7; 3D commands: linux/virtio_gpu.h).
public enum CommandCode: UInt32, CaseIterable, Sendable {
  case getDisplayInfo = 0x0100
  case resourceCreate2D = 0x0101
  case resourceUnref = 0x0102
  case setScanout = 0x0103
  case resourceFlush = 0x0104
  case transferToHost2D = 0x0105
  case resourceAttachBacking = 0x0106
  case resourceDetachBacking = 0x0107
  case getCapsetInfo = 0x0108
  case getCapset = 0x0109
  case getEDID = 0x010a
  case resourceAssignUUID = 0x010b
  case resourceCreateBlob = 0x010c
  case setScanoutBlob = 0x010d
  case contextCreate = 0x0200
  case contextDestroy = 0x0201
  case contextAttachResource = 0x0202
  case contextDetachResource = 0x0203
  case resourceCreate3D = 0x0204
  case transferToHost3D = 0x0205
  case transferFromHost3D = 0x0206
  case submit3D = 0x0207
  case resourceMapBlob = 0x0208
  case resourceUnmapBlob = 0x0209
  case updateCursor = 0x0300
  case moveCursor = 0x0301

  /// Bytes of the request with its header, without the entries or command words that may follow.
  public var byteCount: Int {
    switch self {
    case .getDisplayInfo, .contextDestroy: 24
    case .resourceUnref, .resourceAttachBacking, .resourceDetachBacking, .getCapsetInfo, .getCapset, .getEDID,
      .resourceAssignUUID, .contextAttachResource, .contextDetachResource, .submit3D, .resourceUnmapBlob:
      32
    case .resourceCreate2D, .resourceMapBlob: 40
    case .setScanout, .resourceFlush: 48
    case .transferToHost2D, .resourceCreateBlob, .updateCursor, .moveCursor: 56
    case .resourceCreate3D, .transferToHost3D, .transferFromHost3D: 72
    case .setScanoutBlob, .contextCreate: 96
    }
  }

  /// The longest `byteCount`.
  public static let maximumByteCount = 96

  /// Whether the command belongs on the cursor queue; all others belong on the control queue.
  public var isCursorCommand: Bool { self == .updateCursor || self == .moveCursor }
}

/// `type` of an answer's header (virtio 1.3, 5.7.6.7).
public enum ResponseCode: UInt32, Sendable {
  case okNoData = 0x1100
  case okDisplayInfo = 0x1101
  case okCapsetInfo = 0x1102
  case okCapset = 0x1103
  case okEDID = 0x1104
  case okResourceUUID = 0x1105
  case okMapInfo = 0x1106
  case unspecified = 0x1200
  case outOfMemory = 0x1201
  case invalidScanoutID = 0x1202
  case invalidResourceID = 0x1203
  case invalidContextID = 0x1204
  case invalidParameter = 0x1205

  /// Whether the command was refused.
  public var isError: Bool { rawValue >= 0x1200 }
}
