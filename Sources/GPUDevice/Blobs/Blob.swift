import Buffers
import GPUProtocol
import Virtqueue

/// Where a blob's bytes live: `blob_mem` (virtio 1.3, 5.7.6.8).
enum BlobMemory: UInt32 {
  case guest = 1
  case host3D = 2
  case host3DGuest = 3
}

/// `blob_flags`.
struct BlobFlags: OptionSet {
  let rawValue: UInt32

  /// The guest maps it through the host-visible region.
  static let mappable = BlobFlags(rawValue: 1)
  static let shareable = BlobFlags(rawValue: 2)
  static let crossDevice = BlobFlags(rawValue: 4)
  static let all: BlobFlags = [.mappable, .shareable, .crossDevice]
}

/// Bytes without a picture's shape: what RESOURCE_CREATE_BLOB makes. SET_SCANOUT_BLOB says how they are pixels.
final class Blob: GuestResource {
  let byteCount: UInt64
  let flags: BlobFlags
  /// Identity of its first picture's memory, towards the hub and the guest (RESOURCE_ASSIGN_UUID).
  private(set) lazy var uuid = BufferID.random()
  /// The host's memory; nil for a blob in the guest's, and for one whose memory was taken away.
  private(set) var host: HostMemory?
  /// How the guest is to map the host's memory.
  let caching: MapCaching
  private let kind: BlobMemory
  /// Whether the renderer has the resource, too.
  private(set) var isRendered = false
  private var attached = AttachedPages()
  /// What a blob is charged whose memory cannot keep the charge.
  private var charge: Ledger.Charge?
  /// The guest's pages; nil while none are attached, and for a blob in the host's memory alone.
  private(set) var pages: GuestPages?
  /// Where the guest sees it in the host-visible region.
  var mapping: BlobMapping?
  /// What scanouts show of it, and the picture that one showed last.
  private(set) var pictures: [Picture] = []
  private var hasUsedUUID = false

  init(_ id: ResourceID, byteCount: UInt64, flags: BlobFlags, host: HostMemory) {
    self.byteCount = byteCount
    self.flags = flags
    self.host = host
    caching = .cached
    kind = .host3D
    super.init(id)
  }

  /// What a renderer has made; of HOST3D_GUEST with the guest's pages, which it has as well.
  init(
    _ id: ResourceID, byteCount: UInt64, flags: BlobFlags, rendered: RenderedBlob, pages: GuestPages?,
    charge: consuming Ledger.Charge
  ) {
    self.byteCount = byteCount
    self.flags = flags
    self.pages = pages
    host = rendered.memory
    caching = rendered.caching
    kind = pages == nil ? .host3D : .host3DGuest
    isRendered = true
    attached = AttachedPages(pages?.segments)
    super.init(id)
    if let host { host.keep(charge) } else { self.charge = consume charge }
  }

  init(_ id: ResourceID, byteCount: UInt64, flags: BlobFlags, pages: GuestPages) {
    self.byteCount = byteCount
    self.flags = flags
    self.pages = pages
    caching = .cached
    kind = .guest
    super.init(id)
  }

  /// The picture that SET_SCANOUT_BLOB describes; the same one for the same layout.
  func picture(of layout: PixelLayout) throws(GPUError) -> Picture {
    for index in pictures.indices where pictures[index].layout == layout { return pictures[index] }
    let fresh = Picture(id: hasUsedUUID ? .random() : uuid, layout: layout, memory: try memory())
    hasUsedUUID = true
    pictures.append(fresh)
    return fresh
  }

  private func memory() throws(GPUError) -> Picture.Memory {
    if let host { return .hostBlob(host) }
    guard kind == .guest else { throw .noDescriptor(id) }
    guard let pages else { throw .noBacking(id) }
    return .guest(pages)
  }

  /// Nobody shows the picture of that number any more.
  func removePicture(at index: Int) { pictures.remove(at: index) }

  /// ATTACH_BACKING: the guest's pages are these from now on.
  func attach(_ pages: GuestPages) throws(GPUError) {
    guard kind != .host3D else { throw .notGuestMemory(id) }
    guard self.pages == nil else { throw .backingExists(id) }
    guard UInt64(pages.byteCount) >= byteCount else {
      throw .blobBeyondBacking(byteCount: byteCount, backing: UInt64(pages.byteCount))
    }
    self.pages = pages
  }

  /// Its memory is not to be used any more.
  func loseMemory() { host = nil }

  /// DETACH_BACKING: nothing that was shown of the pages can be shown any more.
  func detach() throws(GPUError) {
    guard kind != .host3D else { throw .notGuestMemory(id) }
    guard pages != nil else { throw .noBacking(id) }
    pages = nil
  }

  /// Whether pictures of it are in the guest's pages.
  var isShownFromPages: Bool { kind == .guest }

  // MARK: The renderer

  /// ATTACH_BACKING: the renderer is given the pages.
  func attachPages(to renderer: any Renderer) throws(GPUError) {
    if let pages, isRendered { try attached.attach(pages, to: renderer, as: id) }
  }

  /// DETACH_BACKING: it gives them back, while they are there for the last time.
  func detachPages(from renderer: any Renderer) { attached.detach(from: renderer, as: id) }

  /// The guest's memory has changed.
  func renewPages(in renderer: any Renderer) {
    if let pages, isRendered { attached.renew(pages, in: renderer, as: id) }
  }

  /// UNREF: the renderer has it no more.
  func leave(_ renderer: any Renderer) {
    guard isRendered else { return }
    detachPages(from: renderer)
    renderer.remove(id)
    isRendered = false
    charge = nil
  }

  /// Copies as many bytes out as `target` has room for; false when the blob has fewer, or they are not there.
  func copyFirstBytes(into target: UnsafeMutableRawBufferPointer) -> Bool {
    guard byteCount >= UInt64(target.count), let base = target.baseAddress else { return false }
    if let host {
      guard let bytes = try? host.bytes() else { return false }
      target.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<target.count]))
      return true
    }
    let row = ScatterList.Rows(offset: 0, byteCount: target.count, count: 1, stride: target.count)
    return pages?.copy(row, to: base, stride: row.stride) ?? false
  }
}
