import CLinux
import Glibc

/// Memory that devices and processes share, as a descriptor that a driver made (Documentation/driver-api/dma-buf.rst of
/// Linux).
public enum DMABuf {
  /// Whether this system has such memory at all.
  public static let isAvailable = true

  /// Whether the descriptor is a dma-buf.
  public static func isDMABuf(_ raw: Int32) -> Bool { muntin_is_dma_buf(raw) != 0 }

  /// Its size in bytes.
  public static func size(of raw: Int32) throws(SystemError) -> UInt64 {
    let end = lseek(raw, 0, SEEK_END)
    guard end >= 0 else { throw .last("lseek") }
    return UInt64(end)
  }

  /// Before the processor reads: what a device wrote is seen. To be followed by ``endReading(_:)``.
  public static func beginReading(_ raw: Int32) { _ = muntin_dma_buf_sync(raw, 1, 0) }

  /// After the processor has read.
  public static func endReading(_ raw: Int32) { _ = muntin_dma_buf_sync(raw, 0, 0) }

  /// Before the processor writes. To be followed by ``endWriting(_:)``.
  public static func beginWriting(_ raw: Int32) { _ = muntin_dma_buf_sync(raw, 1, 1) }

  /// After the processor has written: devices see it.
  public static func endWriting(_ raw: Int32) { _ = muntin_dma_buf_sync(raw, 0, 1) }
}
