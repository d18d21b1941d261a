import Buffers
import CVirglRenderer
import GPUDevice
import Glibc
import Platform

/// Blobs of contexts: memory that a driver has allocated, for the guest's window, for scanouts, and for other contexts.
extension VirglRenderer {
  /// RESOURCE_CREATE_BLOB in a context of the library's.
  func makeBlob(
    _ blob: Command.CreateBlob, in context: ContextID, over segments: [UnsafeMutableRawBufferPointer]
  ) throws(GPUError) -> RenderedBlob {
    let vector = segments.isEmpty ? nil : Self.vector(of: segments)
    var arguments = virgl_renderer_resource_create_blob_args()
    arguments.res_handle = blob.resource.rawValue
    arguments.ctx_id = context.rawValue
    arguments.blob_mem = blob.memory
    arguments.blob_flags = blob.flags
    arguments.blob_id = blob.blob
    arguments.size = blob.byteCount
    arguments.iovecs = vector.flatMap { UnsafePointer($0.baseAddress) }
    arguments.num_iovs = UInt32(segments.count)
    let code = library.resource_create_blob(&arguments)
    noteWork()
    guard code == 0 else {
      vector?.deallocate()
      throw .renderer("a blob of number \(blob.blob) in context \(context.rawValue) (\(code))")
    }
    backings[blob.resource] = vector
    blobs[blob.resource] = .absent
    do throws(GPUError) {
      return RenderedBlob(memory: try memory(of: blob, in: context), caching: caching(of: blob.resource))
    } catch {
      remove(blob.resource)
      throw error
    }
  }

  private func memory(of blob: Command.CreateBlob, in context: ContextID) throws(GPUError) -> HostMemory? {
    guard canExport(from: context), let file = exported(blob.resource) else { return nil }
    blobs[blob.resource] = file.kind
    let start = try file.start(of: blob)
    let byteCount = HostMemory.wholePages(Int(clamping: blob.byteCount)) ?? 0
    return HostMemory(foreign: file.descriptor, byteCount: byteCount, from: start) {}
  }

  /// A software driver of OpenGL is not asked: see ``VirglDriver/exportsDMABufs``.
  private func canExport(from context: ContextID) -> Bool {
    driver.exportsDMABufs || venus.contains { $0.access.id == context }
  }

  private func exported(_ id: ResourceID) -> BlobFile? {
    var type: UInt32 = 0
    var descriptor: Int32 = -1
    guard library.resource_export_blob(id.rawValue, &type, &descriptor) == 0, descriptor >= 0 else { return nil }
    let file = SharedDescriptor(FileDescriptor(adopting: descriptor))
    return BlobFile.Kind(libraryType: type).map { BlobFile(kind: $0, descriptor: file) }
  }

  private func caching(of id: ResourceID) -> MapCaching {
    var info: UInt32 = 0
    guard library.resource_get_map_info(id.rawValue, &info) == 0 else { return .cached }
    return MapCaching(rawValue: info & UInt32(VIRGL_RENDERER_MAP_CACHE_MASK)) ?? .cached
  }

  /// Whether the library can give a resource to a context of Vulkan that did not make it: dma-bufs, and what can be made
  /// one.
  func isImportable(_ id: ResourceID) -> Bool {
    switch blobs[id] {
    case .dmaBuf: true
    case .opaque, .sharedMemory: false
    case .absent, nil: driver.exportsDMABufs
    }
  }
}

/// The file that a blob's bytes are in.
struct BlobFile {
  /// What the library says that it is.
  enum Kind {
    /// There is none.
    case absent
    case dmaBuf
    /// Of a Vulkan driver, which alone knows what is in it.
    case opaque
    case sharedMemory

    init?(libraryType: UInt32) {
      switch Int32(bitPattern: libraryType) {
      case VIRGL_RENDERER_BLOB_FD_TYPE_DMABUF: self = .dmaBuf
      case VIRGL_RENDERER_BLOB_FD_TYPE_OPAQUE: self = .opaque
      case VIRGL_RENDERER_BLOB_FD_TYPE_SHM: self = .sharedMemory
      default: return nil
      }
    }
  }

  let kind: Kind
  let descriptor: SharedDescriptor

  /// Where the blob's bytes begin. They are all there, and stay: a process that parses a guest's commands has made the file.
  func start(of blob: Command.CreateBlob) throws(GPUError) -> UInt64 {
    let isDMABuf = DMABuf.isDMABuf(descriptor.raw)
    guard isDMABuf || isFixed, let size = size(isDMABuf: isDMABuf) else { throw .noDescriptor(blob.resource) }
    let start = isDMABuf || kind != .opaque ? 0 : softwareStart(size) ?? .max
    let (end, overflow) = start.addingReportingOverflow(blob.byteCount)
    guard !overflow, end <= size else { throw .noDescriptor(blob.resource) }
    return start
  }

  /// Whether it is a memory file whose size nobody can change. Drivers leave theirs open to all: no other user is to write it
  /// who is given it for reading.
  private var isFixed: Bool {
    SharedMemory.isMemoryFile(descriptor.raw) && SharedMemory.readerSafety(of: descriptor.raw) == .cannotShrink
      && fchmod(descriptor.raw, S_IRUSR | S_IWUSR) == 0 && SharedMemory.mayBeShared(descriptor.raw)
  }

  private func size(isDMABuf: Bool) -> UInt64? {
    isDMABuf ? try? DMABuf.size(of: descriptor.raw) : try? SharedMemory.size(of: descriptor.raw)
  }

  /// Mesa's software drivers begin their files with a page about themselves: the file's size, and where the memory is.
  private func softwareStart(_ size: UInt64) -> UInt64? {
    var words: (UInt64, UInt64) = (0, 0)
    withUnsafeMutableBytes(of: &words) { SharedMemory.copyContents(of: descriptor.raw, into: $0) }
    guard words.0 == size, words.1 > 0, words.1 < size, words.1 % UInt64(SharedMemory.pageSize) == 0 else { return nil }
    return words.1
  }
}
