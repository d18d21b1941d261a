import Buffers
import Virtqueue

/// Resources of the renderer's, and what is shown of them.
extension GPUDevice {
  /// The renderer that a command needs.
  private func renderer(for code: CommandCode) throws(GPUError) -> any Renderer {
    guard let renderer else { throw .notOffered(code) }
    return renderer
  }

  /// RESOURCE_CREATE_3D.
  func createTexture(_ description: Command.Create3D) throws(GPUError) {
    let renderer = try renderer(for: .resourceCreate3D)
    try resources.checkNew(description.resource)
    guard let byteCount = renderer.byteCount(of: description) else { throw .invalidSize(description.size) }
    do throws(Ledger.OverLimit) { try ledger.checkRendering() } catch { throw .overLimit(error) }
    let charge = try resources.charge(Ledger.Demand(byteCount, as: .hostAllocated, isBuffer: true))
    try renderer.create(description)
    resources.add(Texture(description, charge: charge))
  }

  func attachBacking(_ texture: Texture, _ count: UInt32, _ chain: DescriptorChain) throws(GPUError) {
    let renderer = try renderer(for: .resourceAttachBacking)
    let pages = try pages(count, of: chain, at: CommandCode.resourceAttachBacking.byteCount)
    try resources.charge(pages, isBuffer: false)
    try texture.attach(pages, to: renderer)
  }

  func detachBacking(_ texture: Texture) throws(GPUError) {
    try texture.detach(from: renderer(for: .resourceDetachBacking))
  }

  /// TRANSFER_TO_HOST_3D and TRANSFER_FROM_HOST_3D.
  func transfer(_ transfer: Command.Transfer3D, toHost: Bool, in context: ContextID) throws(GPUError) {
    let renderer = try renderer(for: toHost ? .transferToHost3D : .transferFromHost3D)
    guard try renderedPages(of: transfer.resource) != nil else { throw .noBacking(transfer.resource) }
    if context != .none { try contexts.check(context) }
    if toHost {
      try renderer.transferToHost(transfer, in: context)
    } else {
      try renderer.transferFromHost(transfer, in: context)
    }
    allowance -= Int(clamping: UInt64(transfer.width).multipliedReportingOverflow(by: UInt64(transfer.height)).0 >> 12)
  }

  /// The guest's pages behind a resource that the renderer has.
  private func renderedPages(of id: ResourceID) throws(GPUError) -> GuestPages? {
    if let blob = try resources.findAny(id) as? Blob, blob.isRendered { return blob.pages }
    return try resources.findTexture(id).pages
  }

  /// UNREF, or the device's reset.
  func retire(_ texture: Texture) {
    if let shown = texture.shown { retire(shown) }
    texture.shown = nil
    guard let renderer else { return }
    try? texture.detach(from: renderer)
    renderer.remove(texture.id)
  }

  /// What the renderer has of guest memory is found again.
  func texturesMoved() {
    guard let renderer, let memory else { return }
    for texture in resources.textures { texture.memoryMoved(to: memory, in: renderer) }
    for blob in resources.blobs where blob.isRendered {
      blob.pages?.move(to: memory)
      blob.renewPages(in: renderer)
    }
  }

  // MARK: Showing

  /// The picture that a scanout shows of a texture.
  func shownResource(of texture: Texture) throws(GPUError) -> Resource {
    if let shown = texture.shown { return shown }
    let format = try texture.pictureFormat()
    let extents: ClosedRange<UInt32> = 1...Resource.maximumExtent
    guard extents.contains(texture.size.width), extents.contains(texture.size.height) else {
      throw .invalidSize(texture.size)
    }
    let plan = try plan(texture.size, format.pixelFormat, for: [])
    let shown = try Resource(texture.id, format: format, plan: plan, ledger: ledger, uuid: texture.uuid)
    texture.shown = shown
    return shown
  }

  /// A flush shows what has been drawn: it is read back where it is damaged, and everywhere after a scanout has turned
  /// to the texture.
  func flush(_ texture: Texture, _ rectangle: Rectangle, isFenced: Bool) throws(GPUError) {
    guard rectangle.fits(in: texture.size) else { throw .rectangleOutside(rectangle, of: texture.size) }
    guard let shown = texture.shown, shown.scanouts != 0 else { return }
    try readBack(texture.id, texture.isStale ? Rectangle(texture.size) : rectangle, to: shown)
    texture.isStale = false
    try tellFlush(of: shown, rectangle, isFenced: isFenced)
  }

  /// Reads as much of a rectangle back as scanouts show.
  func readBack(_ id: ResourceID, _ rectangle: Rectangle, to shown: Resource) throws(GPUError) {
    var area = Rectangle.empty
    for index in scanouts.indices where shown.scanouts & scanouts[index].bit != 0 {
      area = area.union(rectangle.intersection(scanouts[index].source))
    }
    guard !area.isEmpty, let renderer, let target = shown.storage else { return }
    let start = target.layout.byteOffset(x: area.x, y: area.y)
    target.beginWriting()
    defer { target.endWriting() }
    try renderer.readPixels(
      of: id, area, into: UnsafeMutableRawBufferPointer(rebasing: target.bytes[start...]),
      stride: Int(target.layout.stride))
    statistics.pixelsRead &+= UInt64(area.width) * UInt64(area.height)
  }

  /// A cursor's pixels, valid until the next command.
  func cursorPixels(of texture: Texture) throws(GPUError) -> CursorPixels {
    let format = try texture.pictureFormat()
    let extent = Size(width: CursorImage.extent, height: CursorImage.extent)
    guard texture.size == extent else { throw .invalidCursorSize(texture.size) }
    try renderer(for: .updateCursor).readPixels(
      of: texture.id, Rectangle(extent), into: scratch, stride: 4 * Int(extent.width))
    return CursorPixels(bytes: UnsafeRawBufferPointer(scratch), format: format)
  }
}
