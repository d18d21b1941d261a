import CLinux
import Glibc

/// Memory for devices and processes that the kernel allocates on request (linux/dma-heap.h).
public enum DMAHeap {
  /// Where the heaps are.
  public static let folder = "/dev/dma_heap"

  /// The heaps that there are, in order; those of no use to this user included.
  public static var names: [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted()
  }

  /// Whether a text can be the name of a heap: of a file in ``folder``.
  public static func isName(_ text: String) -> Bool {
    (1...63).contains(text.utf8.count) && !text.utf8.contains(UInt8(ascii: "/")) && !text.utf8.contains(0)
      && text != "." && text != ".."
  }

  /// Whether a heap's memory is one piece for devices, as far as its name says: CMA areas have always been called so.
  public static func isContiguous(_ name: String) -> Bool { name == "reserved" || name.contains("cma") }

  /// A new dma-buf of zeroed memory, which its holder can write. The heap stays open from the first one on.
  public static func allocate(from heap: String, byteCount: Int) throws(SystemError) -> FileDescriptor {
    guard isName(heap) else { throw SystemError(call: "a heap called \(heap)", code: EINVAL) }
    let device = try KeptDevices.open("\(folder)/\(heap)")
    let buffer = muntin_dma_heap_allocate(device.raw, UInt64(byteCount))
    guard buffer >= 0 else { throw .last("DMA_HEAP_IOCTL_ALLOC") }
    return FileDescriptor(adopting: buffer)
  }
}
