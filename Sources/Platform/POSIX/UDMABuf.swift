import Glibc

/// Makes dma-bufs of pages of memory files: POSIX has neither.
public struct UDMABuf: ~Copyable {
  /// What one dma-buf can hold: nothing.
  public let limits = Self.limits
  /// What one dma-buf can hold: nothing.
  public static let limits = UDMABufLimits(pieces: 0, byteCount: 0)

  /// Says that there is none.
  public init() throws(UDMABufFailure) {
    throw .notAvailable(SystemError(call: "udmabuf", code: ENOSYS))
  }

  /// Never called, for want of a device.
  public func create(_ pieces: some Collection<MappingPiece>) throws(UDMABufFailure) -> FileDescriptor {
    throw .notAvailable(SystemError(call: "udmabuf", code: ENOSYS))
  }

  /// Whether the device takes pages of a file.
  public static func takes(_ file: Int32) -> Bool { false }
}
