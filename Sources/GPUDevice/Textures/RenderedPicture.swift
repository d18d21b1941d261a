import Buffers
import GPUProtocol

/// What a renderer has of a resource of RESOURCE_CREATE_2D, for the contexts that it is attached to: a texture of the same
/// id. Transfers go to both; what contexts may have drawn is read back at a flush.
///
/// Linux attaches every dumb buffer to the context of the program that made it, and next to none is ever drawn into: the
/// texture comes with the first commands in such a context.
final class RenderedPicture {
  /// Whether the host's picture may be older everywhere.
  var isStale = true
  private let charge: Ledger.Charge

  init(charge: consuming Ledger.Charge) {
    self.charge = charge
  }
}

extension Resource {
  /// The texture that stands for it.
  fileprivate var texture: Command.Create3D {
    var description = Command.Create3D(resource: id)
    (description.size, description.format) = (size, format.rawValue)
    // PIPE_TEXTURE_2D; to be drawn into and from (VIRGL_BIND_RENDER_TARGET, VIRGL_BIND_SAMPLER_VIEW).
    (description.target, description.bind) = (2, 1 << 1 | 1 << 3)
    (description.depth, description.arraySize) = (1, 1)
    return description
  }
}

extension GPUDevice {
  /// Commands are about to be done in a context: the renderer has what they may name, but for what the VM's limits do not
  /// allow.
  func prepareResources(of id: ContextID, _ context: any GuestContext) {
    guard let renderer, context.usesRenderer else { return }
    for picture in contexts.takeUnprepared(of: id) {
      guard let resource = try? resources.find(picture) else { continue }
      do throws(GPUError) {
        if resource.rendered == nil { try render(resource, renderer) }
        context.attached(picture)
      } catch {
        refused?(error, nil)
      }
    }
  }

  private func render(_ resource: Resource, _ renderer: any Renderer) throws(GPUError) {
    let description = resource.texture
    guard let byteCount = renderer.byteCount(of: description) else { throw .invalidSize(resource.size) }
    do throws(Ledger.OverLimit) { try ledger.checkRendering() } catch { throw .overLimit(error) }
    let charge = try resources.charge(Ledger.Demand(byteCount, as: .hostAllocated, isBuffer: true))
    try renderer.create(description)
    resource.rendered = RenderedPicture(charge: charge)
    try update(resource, Rectangle(resource.size))
  }

  /// The host's picture has changed there: so does the texture.
  func update(_ resource: Resource, _ rectangle: Rectangle) throws(GPUError) {
    guard resource.rendered != nil, let renderer, let storage = resource.storage, !rectangle.isEmpty else { return }
    let start = storage.layout.byteOffset(x: rectangle.x, y: rectangle.y)
    try renderer.writePixels(
      of: resource.id, rectangle, from: UnsafeRawBufferPointer(rebasing: storage.bytes[start...]),
      stride: Int(storage.layout.stride))
  }

  /// A flush shows what contexts have drawn.
  func readBack(_ resource: Resource, _ rectangle: Rectangle) throws(GPUError) {
    guard let rendered = resource.rendered else { return }
    try readBack(resource.id, rendered.isStale ? Rectangle(resource.size) : rectangle, to: resource)
    rendered.isStale = false
  }

  /// UNREF, or the device's reset.
  func leaveRenderer(_ resource: Resource) {
    guard resource.rendered != nil else { return }
    renderer?.remove(resource.id)
    resource.rendered = nil
  }
}
