/// How much of a memory file one dma-buf can hold.
public struct UDMABufLimits: Equatable, Sendable {
  /// The most pieces.
  public var pieces: Int
  /// The most bytes.
  public var byteCount: UInt64

  /// Limits.
  public init(pieces: Int, byteCount: UInt64) {
    self.pieces = pieces
    self.byteCount = byteCount
  }
}

/// Why pages of memory files did not become a dma-buf.
public enum UDMABufFailure: Error, Equatable, Sendable, CustomStringConvertible {
  /// The system has no /dev/udmabuf, or this process may not open it.
  case notAvailable(SystemError)
  /// No pieces, or pieces that are not whole pages.
  case unaligned
  /// More pieces than the limit.
  case tooManyPieces(Int, limit: Int)
  /// More bytes than the limit.
  case tooLarge(UInt64, limit: UInt64)
  /// A file that can shrink, cannot be sealed at all, or may not be written.
  case notSealed
  /// The system refused for another reason.
  case refused(SystemError)

  /// For people.
  public var description: String {
    switch self {
    case .notAvailable(let error): "\(error)"
    case .unaligned: "pieces that are not whole pages"
    case .tooManyPieces(let count, let limit): "\(count) pieces, more than the limit of \(limit) (list_limit)"
    case .tooLarge(let count, let limit): "\(count) bytes, more than the limit of \(limit) (size_limit_mb)"
    case .notSealed: "a file that is not sealed against shrinking"
    case .refused(let error): "\(error)"
    }
  }
}
