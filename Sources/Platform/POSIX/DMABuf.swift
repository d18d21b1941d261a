import Glibc

/// Memory that devices and processes share: a thing of Linux. Nothing is one here.
public enum DMABuf {
  /// Whether the descriptor is a dma-buf.
  public static func isDMABuf(_ raw: Int32) -> Bool { false }

  /// Its size in bytes.
  public static func size(of raw: Int32) throws(SystemError) -> UInt64 {
    throw SystemError(call: "dma-buf", code: ENOTSUP)
  }

  /// Whether this system has such memory at all.
  public static let isAvailable = false

  /// Before the processor reads.
  public static func beginReading(_ raw: Int32) {}

  /// After the processor has read.
  public static func endReading(_ raw: Int32) {}

  /// Before the processor writes.
  public static func beginWriting(_ raw: Int32) {}

  /// After the processor has written.
  public static func endWriting(_ raw: Int32) {}
}
