import CLinux
import Glibc

/// Memory that devices and processes share, as a descriptor that a driver made (Documentation/driver-api/dma-buf.rst of
/// Linux).
public enum DMABuf {
  /// Whether the descriptor is a dma-buf.
  public static func isDMABuf(_ raw: Int32) -> Bool { muntin_is_dma_buf(raw) != 0 }

  /// Its size in bytes.
  public static func size(of raw: Int32) throws(SystemError) -> UInt64 {
    let end = lseek(raw, 0, SEEK_END)
    guard end >= 0 else { throw .last("lseek") }
    return UInt64(end)
  }
}
