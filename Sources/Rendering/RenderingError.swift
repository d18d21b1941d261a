/// Why there is no 3D.
public enum RenderingError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The library, or a function that it should have.
  case libraryMissing(String)
  /// The library found no driver that it can use, or refuses for another reason: its number, and what it said.
  case notStarted(code: Int32, said: String)
  /// The library cannot say by itself when drawing is done.
  case noFences
  /// The render node cannot be opened; the value of `errno`.
  case noNode(String, code: Int32)
  /// Vulkan is wanted, and there is no render server to be started: why.
  case noRenderServer(String)
  /// Vulkan is wanted, and the library does not have it.
  case noVulkan(said: String)
  /// It is one to a process.
  case inUse

  /// What is wrong and what to do.
  public var description: String {
    switch self {
    case .libraryMissing(let name): "\(name) is missing: install libvirglrenderer1 (0.10.4 or newer)"
    case .notStarted(let code, let said):
      "virglrenderer does not start (\(code))\(said.isEmpty ? "" : ": \(said)"): is there an EGL driver (libegl-mesa0)?"
    case .noFences: "virglrenderer has no fences that can be waited for: it needs eventfd and a second EGL context"
    case .noNode(let path, let code): "render node \(path) cannot be opened (errno \(code))"
    case .noRenderServer(let reason):
      "Vulkan needs virglrenderer's render server, which \(reason): install virgl-server, or leave out --venus"
    case .noVulkan(let said):
      "this libvirglrenderer has no Vulkan (Venus)\(said.isEmpty ? "" : ": \(said)"): install a newer one, or leave out "
        + "--venus"
    case .inUse: "virglrenderer is in use: a process has one"
    }
  }
}
