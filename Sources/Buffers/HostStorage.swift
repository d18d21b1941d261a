import Glibc
import Platform

/// Memory of the host's behind one descriptor, which can be written here.
enum HostStorage: ~Copyable {
  case file(SharedMemoryFile)
  case dmaBuf(FileDescriptor)

  /// Zeroed memory.
  static func allocate(_ byteCount: Int, from source: HostSource, name: String) throws(SystemError) -> HostStorage {
    switch source {
    case .memoryFile: .file(try SharedMemoryFile(name: name, count: byteCount))
    case .heap(let heap): .dmaBuf(try DMAHeap.allocate(from: heap, byteCount: byteCount))
    }
  }

  /// The descriptor.
  var raw: Int32 {
    switch self {
    case .file(let file): file.writable.raw
    case .dmaBuf(let descriptor): descriptor.raw
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
