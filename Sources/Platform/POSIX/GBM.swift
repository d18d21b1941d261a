import Glibc

/// Pictures that a graphics driver allocates: a thing of Linux.
public enum GBM {
  /// A picture.
  public struct Picture: ~Copyable {
    /// A dma-buf.
    public let descriptor: FileDescriptor
    /// Bytes from one row to the next.
    public let stride: UInt32
    /// The memory's size.
    public let byteCount: UInt64
  }

  /// Where the drivers' nodes would be.
  public static let folder = "/dev/dri"

  /// Whether a text can name a node.
  public static func isNode(_ text: String) -> Bool { false }

  /// Says that there is none.
  public static func allocate(on node: String, width: UInt32, height: UInt32) throws(SystemError) -> Picture {
    throw SystemError(call: "gbm", code: ENOSYS)
  }
}
