/// What is asked of virglrenderer.
public struct VirglOptions: Equatable, Sendable {
  /// OpenGL: the capability sets VIRGL and VIRGL2.
  public var openGL = true
  /// Vulkan: the capability set VENUS, by the library's render server.
  public var venus = false
  /// The node of the GPU to draw with; nil: the driver of no display, which without a GPU is Mesa's software driver.
  public var renderNode: String?

  /// OpenGL alone, without a GPU's node.
  public init() {}
}
