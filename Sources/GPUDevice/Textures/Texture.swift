import Buffers
import Virtqueue

/// A resource of the renderer's: what RESOURCE_CREATE_3D makes (linux/virtio_gpu.h).
///
/// Where it is shown its pixels are read back into a picture of the host's, which all can use who are shown it: what is
/// damaged, once for each flush.
final class Texture: GuestResource {
  let description: Command.Create3D
  /// The guest's pages; nil while none are attached.
  private(set) var pages: GuestPages?
  private var attached = AttachedPages()
  /// What is shown of it; nil until it is shown.
  var shown: Resource?
  /// Whether what is shown may be older than the texture everywhere.
  var isStale = true
  /// Identity of its picture, now or later.
  private(set) lazy var uuid = BufferID.random()
  private let charge: Ledger.Charge

  init(_ description: Command.Create3D, charge: consuming Ledger.Charge) {
    self.description = description
    self.charge = charge
    super.init(description.resource)
  }

  /// The extent of its first level.
  var size: Size { description.size }

  /// PIPE_TEXTURE_2D and PIPE_TEXTURE_RECT.
  private static let flatTargets: Set<UInt32> = [2, 5]

  /// How a scanout or a cursor can show it.
  func pictureFormat() throws(GPUError) -> ResourceFormat {
    guard let format = ResourceFormat(rawValue: description.format) else { throw .unknownFormat(description.format) }
    guard Self.flatTargets.contains(description.target), description.sampleCount <= 1 else { throw .notFlat(id) }
    return format
  }

  // MARK: Backing

  /// ATTACH_BACKING.
  func attach(_ pages: GuestPages, to renderer: any Renderer) throws(GPUError) {
    guard self.pages == nil else { throw .backingExists(id) }
    self.pages = pages
    do throws(GPUError) {
      try attached.attach(pages, to: renderer, as: id)
    } catch {
      self.pages = nil
      throw error
    }
  }

  /// DETACH_BACKING.
  func detach(from renderer: any Renderer) throws(GPUError) {
    guard pages != nil else { throw .noBacking(id) }
    attached.detach(from: renderer, as: id)
    pages = nil
  }

  /// The guest's memory has changed: the renderer is given what is there now, or nothing where a part has gone.
  func memoryMoved(to memory: GuestMemory, in renderer: any Renderer) {
    guard let pages else { return }
    pages.move(to: memory)
    attached.renew(pages, in: renderer, as: id)
  }
}
