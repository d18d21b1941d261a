import Geometry

/// Why bytes are no answer.
public enum ResponseError: Error, Equatable, Sendable {
  /// Fewer bytes than a header has.
  case headerTruncated(byteCount: Int)
  /// A type that ``Response`` has no case for.
  case unknown(UInt32)
  /// Fewer bytes than the answer has, or an answer that claims more than there is room for.
  case truncated(ResponseCode, byteCount: Int)
}

extension Response {
  /// Reads an answer, its header included, from a private copy: what a driver does.
  ///
  /// - Throws: where the bytes are none; every input gives an answer or an error.
  public static func decode(_ bytes: UnsafeRawBufferPointer) throws(ResponseError) -> Response {
    guard let header = CommandHeader(decoding: bytes) else { throw .headerTruncated(byteCount: bytes.count) }
    guard let code = ResponseCode(rawValue: header.type) else { throw .unknown(header.type) }
    guard !code.isError else { return .error(code) }
    var reader = WireReader(bytes, at: CommandHeader.byteCount)
    switch code {
    case .okNoData: return .okNoData
    case .okDisplayInfo:
      try check(bytes, code, 24 * ScanoutID.maximumCount)
      return .okDisplayInfo((0..<ScanoutID.maximumCount).map { _ in reader.displayMode() })
    case .okEDID:
      try check(bytes, code, 8 + maximumEDIDByteCount)
      let count = Int(reader.word())
      guard count <= maximumEDIDByteCount else { throw .truncated(code, byteCount: bytes.count) }
      _ = reader.word()
      return .okEDID(reader.copy(count))
    case .okResourceUUID:
      try check(bytes, code, 16)
      return .okResourceUUID(ResourceUUID(high: reader.long().byteSwapped, low: reader.long().byteSwapped))
    case .okMapInfo:
      try check(bytes, code, 8)
      guard let caching = MapCaching(rawValue: reader.word()) else { throw .unknown(header.type) }
      return .okMapInfo(caching)
    case .okCapsetInfo:
      try check(bytes, code, 16)
      return .okCapsetInfo(
        CapsetInfo(id: reader.word(), maximumVersion: reader.word(), maximumByteCount: reader.word()))
    case .okCapset: return .okCapset(reader.copy(bytes.count - CommandHeader.byteCount))
    default: throw .unknown(header.type)
    }
  }

  private static func check(
    _ bytes: UnsafeRawBufferPointer, _ code: ResponseCode, _ bodyCount: Int
  ) throws(ResponseError) {
    guard bytes.count - CommandHeader.byteCount >= bodyCount else {
      throw .truncated(code, byteCount: bytes.count)
    }
  }
}

extension WireReader {
  /// `struct virtio_gpu_display_one`.
  fileprivate mutating func displayMode() -> DisplayMode {
    let area = rectangle()
    let isEnabled = word() != 0
    _ = word()
    return DisplayMode(area: area, isEnabled: isEnabled)
  }
}
