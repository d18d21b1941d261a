import Glibc
import Platform

/// Memory of the host's behind one descriptor, which can be written here.
enum HostStorage: ~Copyable {
  case file(SharedMemoryFile)
  case dmaBuf(FileDescriptor)

  /// Zeroed memory.
  static func allocate(_ plan: HostPlan, name: String) throws(SystemError) -> HostStorage {
    switch plan.source {
    case .memoryFile: .file(try SharedMemoryFile(name: name, count: plan.byteCount))
    case .heap(let heap): .dmaBuf(try DMAHeap.allocate(from: heap, byteCount: plan.byteCount))
    case .driver(let node, _): .dmaBuf(try allocate(plan, on: node))
    }
  }

  /// As many rows as fill the memory, each as wide as its bytes are.
  private static func allocate(_ plan: HostPlan, on node: String) throws(SystemError) -> FileDescriptor {
    let stride = plan.layout.stride
    let rows = (plan.byteCount + Int(stride) - 1) / Int(stride)
    let picture = try GBM.allocate(on: node, width: (stride + 3) / 4, height: UInt32(clamping: rows))
    guard picture.stride == stride, picture.byteCount >= UInt64(plan.byteCount) else {
      throw SystemError(call: "rows of \(picture.stride) bytes on \(node)", code: EINVAL)
    }
    return try picture.descriptor.duplicate()
  }

  /// The descriptor.
  var raw: Int32 {
    switch self {
    case .file(let file): file.writable.raw
    case .dmaBuf(let descriptor): descriptor.raw
    }
  }

  /// How many bytes it has: a driver may have rounded up what was planned.
  func byteCount(planned: Int) -> Int {
    switch self {
    case .file: planned
    case .dmaBuf(let descriptor): max(planned, (try? DMABuf.size(of: descriptor.raw)).map { Int(clamping: $0) } ?? 0)
    }
  }

  /// A descriptor for those who read: of a file, one that cannot write. A dma-buf cannot be opened again.
  func reader() throws(SystemError) -> FileDescriptor {
    switch self {
    case .file(let file): try file.readOnly()
    case .dmaBuf(let descriptor): try descriptor.duplicate()
    }
  }

  /// Takes the pages out of a file. A dma-buf keeps its own.
  func punch(count: Int) throws(SystemError) {
    switch self {
    case .file(let file): try SharedMemory.punch(file.writable.raw, count: count)
    case .dmaBuf: throw SystemError(call: "punch a dma-buf", code: ENOTSUP)
    }
  }

  func beginWriting() {
    switch self {
    case .file: break
    case .dmaBuf(let descriptor): DMABuf.beginWriting(descriptor.raw)
    }
  }

  func endWriting() {
    switch self {
    case .file: break
    case .dmaBuf(let descriptor): DMABuf.endWriting(descriptor.raw)
    }
  }
}
