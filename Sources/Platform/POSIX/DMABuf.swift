import Glibc

/// Memory that devices and processes share: a thing of Linux. Nothing is one here.
public enum DMABuf {
  /// Whether the descriptor is a dma-buf.
  public static func isDMABuf(_ raw: Int32) -> Bool { false }

  /// Its size in bytes.
  public static func size(of raw: Int32) throws(SystemError) -> UInt64 {
    throw SystemError(call: "dma-buf", code: ENOTSUP)
  }
}
