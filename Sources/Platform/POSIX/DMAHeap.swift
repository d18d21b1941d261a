import Glibc

/// Memory for devices and processes that the kernel allocates on request: POSIX has none.
public enum DMAHeap {
  /// Where the heaps would be.
  public static let folder = "/dev/dma_heap"
  /// The heaps that there are.
  public static let names: [String] = []

  /// Says that there is none.
  public static func allocate(from heap: String, byteCount: Int) throws(SystemError) -> FileDescriptor {
    throw SystemError(call: "dma-heap", code: ENOSYS)
  }
}
