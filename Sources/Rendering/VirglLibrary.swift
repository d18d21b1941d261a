import CVirglRenderer
import Glibc
import Platform

/// libvirglrenderer as it is on this machine: loaded, not started.
public struct VirglLibrary {
  let functions: muntin_virgl_library

  /// Loads the library, and nothing that it draws with.
  public init() throws(RenderingError) {
    guard let table = muntin_virgl_load() else {
      throw .libraryMissing(String(cString: muntin_virgl_problem()))
    }
    functions = table.pointee
  }

  /// The library's file, whose name ends with its version.
  public var path: String { String(cString: muntin_virgl_path()) }

  /// The program that Vulkan needs besides; nil where it is not installed.
  public static var renderServer: String? { RenderServer.program.flatMap { access($0, X_OK) == 0 ? $0 : nil } }

  /// Whether it was built with the capability set of Vulkan.
  public var hasVenus: Bool {
    var version: UInt32 = 0
    var byteCount: UInt32 = 0
    functions.get_cap_set(VirglCapset.venus.rawValue, &version, &byteCount)
    return byteCount > 0
  }
}

/// The driver that draws, as EGL names it on the thread that started the library.
public struct VirglDriver: Equatable, Sendable {
  /// Its name, such as "llvmpipe (LLVM 15.0.6, 256 bits)".
  public let name: String
  /// Whether what it draws can be handed over as dma-bufs. A software driver is not asked: Mesa's says that it can, and
  /// ends the process when it is told to.
  public let exportsDMABufs: Bool

  /// A driver by its name and the extensions of its display.
  init(name: String, extensions: String) {
    self.name = name
    let names = extensions.split(separator: " ")
    exportsDMABufs = !Self.isSoftware(name) && names.contains("EGL_MESA_image_dma_buf_export")
  }

  /// The driver of this thread's current context.
  static func current() -> VirglDriver {
    VirglDriver(name: String(cString: muntin_egl_renderer()), extensions: String(cString: muntin_egl_extensions()))
  }

  private static func isSoftware(_ name: String) -> Bool {
    name.isEmpty || ["llvmpipe", "softpipe", "swrast", "Software"].contains { name.contains($0) }
  }
}

/// What the library has printed lately: it says why it fails nowhere else.
enum VirglMessages {
  nonisolated(unsafe) private static var pending = ""
  nonisolated(unsafe) private static var receive: ((String) -> Void)?
  nonisolated(unsafe) private(set) static var last = ""

  /// Lines go there from now on. The library may speak on threads of its own only to say what is wrong with them.
  static func route(to receive: @escaping (String) -> Void) {
    Self.receive = receive
    muntin_virgl_set_sink { text in
      if let text { VirglMessages.take(String(cString: text)) }
    }
  }

  private static func take(_ text: String) {
    pending += text
    while let end = pending.firstIndex(of: "\n") {
      let line = String(pending[..<end])
      pending.removeSubrange(...end)
      guard !line.isEmpty else { continue }
      last = line
      receive?(line)
    }
    if pending.utf8.count > 4096 { pending = "" }
  }
}
