import CLinux
import Glibc

/// Makes dma-bufs of pages of memory files (/dev/udmabuf, linux/udmabuf.h).
public struct UDMABuf: ~Copyable {
  private static let path = "/dev/udmabuf"
  private let device: SharedDescriptor
  /// What one dma-buf can hold, as the system said when this was opened.
  public let limits: UDMABufLimits

  /// Opens the device, which this process keeps open from then on.
  public init() throws(UDMABufFailure) {
    do throws(SystemError) {
      device = try KeptDevices.open(Self.path)
    } catch {
      throw .notAvailable(error)
    }
    limits = Self.limits
  }

  /// What one dma-buf can hold, as the kernel said when it was first asked; its defaults where it does not say.
  public static let limits = UDMABufLimits(
    pieces: Int(clamping: parameter("list_limit") ?? 1024),
    byteCount: (parameter("size_limit_mb") ?? 64).multipliedReportingOverflow(by: 1 << 20).partialValue)

  /// Makes these pages, in this order, one dma-buf: the same memory, not a copy. It keeps the files.
  public func create(_ pieces: some Collection<MappingPiece>) throws(UDMABufFailure) -> FileDescriptor {
    try check(pieces)
    let items = pieces.map {
      muntin_udmabuf_item(
        memfd: UInt32(bitPattern: $0.descriptor), padding: 0, offset: $0.offset, size: UInt64($0.count))
    }
    let raw = muntin_udmabuf_create(device.raw, items, UInt32(items.count))
    guard raw >= 0 else { throw .refused(.last("UDMABUF_CREATE_LIST")) }
    return FileDescriptor(adopting: raw)
  }

  private func check(_ pieces: some Collection<MappingPiece>) throws(UDMABufFailure) {
    guard pieces.count <= limits.pieces else { throw .tooManyPieces(pieces.count, limit: limits.pieces) }
    let page = SharedMemory.pageSize
    var total: UInt64 = 0
    for piece in pieces {
      guard piece.count > 0, piece.count % page == 0, piece.offset % UInt64(page) == 0 else { throw .unaligned }
      total = total.addingReportingOverflow(UInt64(piece.count)).partialValue
    }
    guard total > 0 else { throw .unaligned }
    guard total <= limits.byteCount else { throw .tooLarge(total, limit: limits.byteCount) }
    for file in Set(pieces.map(\.descriptor)) where !Self.takes(file) { throw .notSealed }
  }

  /// Whether the device takes pages of a file: it must not shrink, and must be writable.
  public static func takes(_ file: Int32) -> Bool {
    let seals = muntin_get_seals(file)
    return seals >= 0 && seals & Int32(MUNTIN_SEAL_SHRINK) != 0 && seals & Int32(MUNTIN_SEAL_WRITE) == 0
  }

  private static func parameter(_ name: String) -> UInt64? {
    let raw = open("/sys/module/udmabuf/parameters/\(name)", O_RDONLY | O_CLOEXEC)
    guard raw >= 0 else { return nil }
    let file = FileDescriptor(adopting: raw)
    return SystemFile.number(in: file).flatMap { UInt64(exactly: $0) }
  }
}
