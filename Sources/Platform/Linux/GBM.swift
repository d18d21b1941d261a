import CLinux
import Glibc
import Synchronization

/// Pictures that a graphics driver allocates (libgbm, which is loaded at run time: nothing here needs it).
public enum GBM {
  /// Where the drivers' nodes are.
  public static let folder = "/dev/dri"

  /// A linear picture of four bytes a pixel.
  public struct Picture: ~Copyable {
    /// A dma-buf, which keeps the memory, and can be written.
    public let descriptor: FileDescriptor
    /// Bytes from one row to the next, as the driver chose it; the first pixel is at the begin.
    public let stride: UInt32
    /// The memory's size.
    public let byteCount: UInt64
  }

  /// Whether a text can name a node: a file in ``folder``.
  public static func isNode(_ text: String) -> Bool {
    text.hasPrefix(folder + "/") && DMAHeap.isName(String(text.dropFirst(folder.utf8.count + 1)))
  }

  /// The library, if it is there and whole.
  public static let library: Library? = Library()

  private static let devices = Mutex<[String: Device]>([:])

  /// A new picture, of pixels that the driver does not have to understand.
  public static func allocate(on node: String, width: UInt32, height: UInt32) throws(SystemError) -> Picture {
    let device = try device(node)
    guard let buffer = device.library.createBuffer(device.handle, width, height, Library.xrgb8888, Library.linear)
    else {
      throw .last("gbm_bo_create on \(node)")
    }
    defer { device.library.destroyBuffer(buffer) }
    guard device.library.offset(buffer, 0) == 0 else { throw SystemError(call: "gbm_bo_get_offset", code: ENOTSUP) }
    // gbm_bo_get_fd gives a descriptor that cannot write with some drivers.
    let raw = muntin_prime_export(device.node.raw, UInt32(truncatingIfNeeded: device.library.handle(buffer)))
    guard raw >= 0 else { throw .last("DRM_IOCTL_PRIME_HANDLE_TO_FD on \(node)") }
    let descriptor = FileDescriptor(adopting: raw)
    let byteCount = try DMABuf.size(of: raw)
    return Picture(descriptor: descriptor, stride: device.library.stride(buffer), byteCount: byteCount)
  }

  /// A node is opened once: drivers take their time.
  private static func device(_ node: String) throws(SystemError) -> Device {
    if let known = devices.withLock({ $0[node] }) { return known }
    let fresh = try Device(node)
    devices.withLock { $0[node] = fresh }
    return fresh
  }
}

extension GBM {
  /// The functions of libgbm that are used (gbm.h).
  public struct Library: @unchecked Sendable {
    /// GBM_FORMAT_XRGB8888.
    static let xrgb8888: UInt32 = 0x3432_5258
    /// GBM_BO_USE_LINEAR.
    static let linear: UInt32 = 1 << 4

    let createDevice: @convention(c) (Int32) -> OpaquePointer?
    let destroyDevice: @convention(c) (OpaquePointer) -> Void
    let createBuffer: @convention(c) (OpaquePointer, UInt32, UInt32, UInt32, UInt32) -> OpaquePointer?
    let destroyBuffer: @convention(c) (OpaquePointer) -> Void
    let handle: @convention(c) (OpaquePointer) -> UInt64
    let stride: @convention(c) (OpaquePointer) -> UInt32
    let offset: @convention(c) (OpaquePointer, Int32) -> UInt32

    fileprivate init?() {
      guard let library = dlopen("libgbm.so.1", RTLD_NOW), let createDevice = dlsym(library, "gbm_create_device"),
        let destroyDevice = dlsym(library, "gbm_device_destroy"), let createBuffer = dlsym(library, "gbm_bo_create"),
        let destroyBuffer = dlsym(library, "gbm_bo_destroy"), let handle = dlsym(library, "gbm_bo_get_handle"),
        let stride = dlsym(library, "gbm_bo_get_stride"), let offset = dlsym(library, "gbm_bo_get_offset")
      else { return nil }
      self.createDevice = unsafeBitCast(createDevice, to: (@convention(c) (Int32) -> OpaquePointer?).self)
      self.destroyDevice = unsafeBitCast(destroyDevice, to: (@convention(c) (OpaquePointer) -> Void).self)
      self.createBuffer = unsafeBitCast(
        createBuffer, to: (@convention(c) (OpaquePointer, UInt32, UInt32, UInt32, UInt32) -> OpaquePointer?).self)
      self.destroyBuffer = unsafeBitCast(destroyBuffer, to: (@convention(c) (OpaquePointer) -> Void).self)
      self.handle = unsafeBitCast(handle, to: (@convention(c) (OpaquePointer) -> UInt64).self)
      self.stride = unsafeBitCast(stride, to: (@convention(c) (OpaquePointer) -> UInt32).self)
      self.offset = unsafeBitCast(offset, to: (@convention(c) (OpaquePointer, Int32) -> UInt32).self)
    }
  }

  /// A driver, used by one thread at a time.
  private final class Device: @unchecked Sendable {
    let library: Library
    let handle: OpaquePointer
    let node: FileDescriptor

    init(_ path: String) throws(SystemError) {
      guard GBM.isNode(path) else { throw SystemError(call: "a node called \(path)", code: EINVAL) }
      guard let library = GBM.library else { throw SystemError(call: "libgbm.so.1", code: ENOENT) }
      let raw = open(path, O_RDWR | O_CLOEXEC)
      guard raw >= 0 else { throw .last("open \(path)") }
      node = FileDescriptor(adopting: raw)
      guard let handle = library.createDevice(raw) else { throw .last("gbm_create_device on \(path)") }
      self.library = library
      self.handle = handle
    }

    deinit { library.destroyDevice(handle) }
  }
}
