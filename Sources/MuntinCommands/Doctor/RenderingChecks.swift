import Glibc
import Platform
import Rendering

/// Whether guests can have 3D, and who would draw it.
enum RenderingChecks {
  static var all: [Finding] { [openGL, vulkan] }

  private static let none = "Guests have no OpenGL from here: they draw by software, as without --virgl. 2D needs none."

  private static var openGL: Finding {
    do throws(RenderingError) {
      let library = try VirglLibrary()
      let renderer = try VirglRenderer(VirglOptions())
      return Finding(
        "opengl", .ok, "\(fileName(library.path)) draws by \(renderer.driver.name)",
        means: "Guests have OpenGL (--virgl); --render-node names a GPU to draw with.")
    } catch {
      guard case .libraryMissing = error else {
        return Finding(
          "opengl", .limited, "\(error)", means: none, remedy: "apt install libegl1 libegl-mesa0 libgl1-mesa-dri")
      }
      return Finding("opengl", .limited, "\(error)", means: none, remedy: "apt install libvirglrenderer1 libegl1")
    }
  }

  private static func fileName(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

  // MARK: Vulkan

  /// The Vulkan drivers that programs find: those of VK_DRIVER_FILES, or those that are installed.
  private static var drivers: [String] {
    if let named = getenv("VK_DRIVER_FILES") {
      return String(cString: named).split(separator: ":").map { fileName(String($0)) }
    }
    let folders = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"]
    return folders.flatMap(Folder.names).filter { $0.hasSuffix(".json") }.sorted()
  }

  private static var vulkan: Finding {
    var missing: [String] = []
    let hasSet = ((try? VirglLibrary())?.hasVenus) ?? false
    if !hasSet { missing.append("a libvirglrenderer with Venus") }
    let server = VirglLibrary.renderServer
    if server == nil { missing.append("virgl_render_server") }
    let drivers = Self.drivers
    if drivers.isEmpty { missing.append("a Vulkan driver") }
    guard missing.isEmpty else {
      return Finding(
        "vulkan", .limited, "missing: \(missing.joined(separator: ", "))", means: "Guests have no Vulkan from here.",
        remedy: "apt install virgl-server mesa-vulkan-drivers")
    }
    return Finding(
      "vulkan", .ok, "\(server ?? ""), drivers \(drivers.joined(separator: " "))",
      means: "Guests can have Vulkan (--venus), where the driver shares its memory as dma-bufs or is Mesa's lavapipe.")
  }
}
