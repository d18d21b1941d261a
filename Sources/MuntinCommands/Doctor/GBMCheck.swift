import Glibc
import Platform

/// Whether a GPU's own memory can be allocated (libgbm, loaded only here: Muntin runs without it).
enum GBMCheck {
  static var finding: Finding {
    guard let library = dlopen("libgbm.so.1", RTLD_NOW) else {
      return limited("no libgbm.so.1", remedy: "apt install libgbm1")
    }
    defer { dlclose(library) }
    guard let functions = Functions(library) else {
      return limited("libgbm.so.1 lacks functions", remedy: "apt install --reinstall libgbm1")
    }
    let nodes = Folder.names("/dev/dri").filter { $0.hasPrefix("renderD") }.sorted().map { "/dev/dri/\($0)" }
    guard !nodes.isEmpty else {
      return limited("libgbm.so.1, but no /dev/dri/renderD*", remedy: "load the driver of the machine's GPU")
    }
    let usable = nodes.filter { tryNode($0, functions) }
    guard !usable.isEmpty else {
      return limited(
        "\(nodes.joined(separator: " ")): no buffer could be made",
        remedy: "add this user to the group render: usermod -aG render USER, then log in again")
    }
    return Finding(
      "gbm", .ok, "buffers on \(usable.joined(separator: " "))",
      means: "The host can allocate pictures in a GPU's memory.")
  }

  private static func limited(_ found: String, remedy: String) -> Finding {
    Finding(
      "gbm", .limited, found, means: "Pictures that the host allocates are in memory files, not in a GPU's memory.",
      remedy: remedy)
  }

  /// Whether a small linear picture can be made on a node.
  private static func tryNode(_ path: String, _ gbm: Functions) -> Bool {
    let raw = open(path, O_RDWR | O_CLOEXEC)
    guard raw >= 0 else { return false }
    let node = FileDescriptor(adopting: raw)
    guard let device = gbm.createDevice(node.raw) else { return false }
    defer { gbm.destroyDevice(device) }
    guard let buffer = gbm.createBuffer(device, 64, 64, Functions.xrgb8888, Functions.linear) else { return false }
    gbm.destroyBuffer(buffer)
    return true
  }

  /// The functions of libgbm that are tried.
  private struct Functions {
    /// GBM_FORMAT_XRGB8888.
    static let xrgb8888: UInt32 = 0x3432_5258
    /// GBM_BO_USE_LINEAR.
    static let linear: UInt32 = 1 << 4

    let createDevice: @convention(c) (Int32) -> OpaquePointer?
    let destroyDevice: @convention(c) (OpaquePointer) -> Void
    let createBuffer: @convention(c) (OpaquePointer, UInt32, UInt32, UInt32, UInt32) -> OpaquePointer?
    let destroyBuffer: @convention(c) (OpaquePointer) -> Void

    init?(_ library: UnsafeMutableRawPointer) {
      guard let createDevice = dlsym(library, "gbm_create_device"),
        let destroyDevice = dlsym(library, "gbm_device_destroy"),
        let createBuffer = dlsym(library, "gbm_bo_create"), let destroyBuffer = dlsym(library, "gbm_bo_destroy")
      else { return nil }
      self.createDevice = unsafeBitCast(createDevice, to: (@convention(c) (Int32) -> OpaquePointer?).self)
      self.destroyDevice = unsafeBitCast(destroyDevice, to: (@convention(c) (OpaquePointer) -> Void).self)
      self.createBuffer = unsafeBitCast(
        createBuffer, to: (@convention(c) (OpaquePointer, UInt32, UInt32, UInt32, UInt32) -> OpaquePointer?).self)
      self.destroyBuffer = unsafeBitCast(destroyBuffer, to: (@convention(c) (OpaquePointer) -> Void).self)
    }
  }
}
