import Glibc

/// Memory for devices and processes that the kernel allocates on request: POSIX has none.
public enum DMAHeap {
  /// Where the heaps would be.
  public static let folder = "/dev/dma_heap"
  /// The heaps that there are.
  public static let names: [String] = []

  /// Whether a text can be the name of a heap.
  public static func isName(_ text: String) -> Bool { false }

  /// Whether a heap's memory is one piece for devices.
  public static func isContiguous(_ name: String) -> Bool { false }

  /// Says that there is none.
  public static func allocate(from heap: String, byteCount: Int) throws(SystemError) -> FileDescriptor {
    throw SystemError(call: "dma-heap", code: ENOSYS)
  }
}
