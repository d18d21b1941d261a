import Buffers
import Virtqueue

/// Blobs and what is shown of them (virtio 1.3, 5.7.6.8).
extension GPUDevice {
  func createBlob(_ blob: Command.CreateBlob, _ header: CommandHeader, _ chain: DescriptorChain) throws(GPUError) {
    try requireFeature(Self.resourceBlobFeature, for: .resourceCreateBlob)
    try resources.checkNew(blob.resource)
    guard BlobFlags.all.isSuperset(of: BlobFlags(rawValue: blob.flags)) else { throw .unknownBlobFlags(blob.flags) }
    guard blob.byteCount > 0, blob.byteCount <= UInt64(Int.max) else { throw .invalidBlobSize(blob.byteCount) }
    try checkAlignment(of: blob.byteCount)
    switch BlobMemory(rawValue: blob.memory) {
    case .guest: try createGuestBlob(blob, chain)
    case .host3D, .host3DGuest: try createHostBlob(blob, header.context, chain)
    case nil: throw .unknownBlobMemory(blob.memory)
    }
  }

  /// VIRTIO_GPU_F_BLOB_ALIGNMENT: sizes and places are multiples of `blob_alignment`.
  private func checkAlignment(of number: UInt64) throws(GPUError) {
    guard hasAccepted(Self.blobAlignmentFeature) else { return }
    guard number % UInt64(configuration.blobAlignment.rawValue) == 0 else { throw .unaligned(number) }
  }

  private func createGuestBlob(_ blob: Command.CreateBlob, _ chain: DescriptorChain) throws(GPUError) {
    guard blob.blob == 0 else { throw .unknownBlob(blob.blob) }
    let pages = try pages(blob.entryCount, of: chain, at: CommandCode.resourceCreateBlob.byteCount)
    guard UInt64(pages.byteCount) >= blob.byteCount else {
      throw .blobBeyondBacking(byteCount: blob.byteCount, backing: UInt64(pages.byteCount))
    }
    try resources.charge(pages)
    resources.add(
      Blob(blob.resource, byteCount: blob.byteCount, flags: BlobFlags(rawValue: blob.flags), pages: pages))
  }

  private func createHostBlob(
    _ blob: Command.CreateBlob, _ context: ContextID, _ chain: DescriptorChain
  ) throws(GPUError) {
    guard hostVisible.byteCount > 0 else { throw .notOffered(.resourceCreateBlob) }
    let found = context == .none ? nil : try contexts.find(context)
    let isWithPages = blob.memory == BlobMemory.host3DGuest.rawValue
    guard isWithPages || blob.entryCount == 0 else { throw .invalidEntryCount(blob.entryCount) }
    if let found, let renderer, found.rendersBlob(blob.blob) {
      return try createRenderedBlob(blob, found, renderer, isWithPages ? chain : nil)
    }
    guard !isWithPages else { throw .notOffered(.resourceCreateBlob) }
    let memory = try hostMemory(blob, found)
    resources.add(
      Blob(blob.resource, byteCount: blob.byteCount, flags: BlobFlags(rawValue: blob.flags), host: memory))
  }

  /// A blob that the renderer makes, in a context of its own.
  ///
  /// - Parameter chain: where the entries of the guest's pages are; nil where there are to be none.
  private func createRenderedBlob(
    _ blob: Command.CreateBlob, _ context: any GuestContext, _ renderer: any Renderer, _ chain: DescriptorChain?
  ) throws(GPUError) {
    var pages: GuestPages?
    if let chain {
      pages = try self.pages(blob.entryCount, of: chain, at: CommandCode.resourceCreateBlob.byteCount)
    }
    if let pages, UInt64(pages.byteCount) < blob.byteCount {
      throw .blobBeyondBacking(byteCount: blob.byteCount, backing: UInt64(pages.byteCount))
    }
    guard let byteCount = HostMemory.wholePages(Int(clamping: blob.byteCount)) else {
      throw .invalidBlobSize(blob.byteCount)
    }
    do throws(Ledger.OverLimit) { try ledger.checkRendering() } catch { throw .overLimit(error) }
    let charge = try resources.charge(Ledger.Demand(byteCount, as: .hostAllocated, isBuffer: true, descriptors: 1))
    if let pages { try resources.charge(pages, isBuffer: false) }
    let made = try context.makeBlob(blob, over: pages?.segments ?? [])
    let flags = BlobFlags(rawValue: blob.flags)
    let resource = Blob(
      blob.resource, byteCount: blob.byteCount, flags: flags, rendered: made, pages: pages, charge: charge)
    guard made.memory != nil || !flags.contains(.mappable) else {
      resource.leave(renderer)
      throw .noDescriptor(blob.resource)
    }
    resources.add(resource)
  }

  /// Fresh memory for number 0, else what the context knows by the number.
  private func hostMemory(_ blob: Command.CreateBlob, _ found: (any GuestContext)?) throws(GPUError) -> HostMemory {
    guard blob.blob != 0 else { return try resources.allocate(Int(blob.byteCount), name: configuration.name) }
    guard let found else { throw .unknownBlob(blob.blob) }
    return try found.memory(ofBlob: blob.blob, byteCount: blob.byteCount)
  }

  /// The guest memory that entries behind a command name.
  func pages(_ count: UInt32, of chain: DescriptorChain, at offset: Int) throws(GPUError) -> GuestPages {
    guard (1...ScatterList.maximumEntryCount).contains(count) else { throw .invalidEntryCount(count) }
    let entries = try readEntries(count, of: chain, at: offset)
    guard let memory else { throw .entryUnmapped(entries[0].address, byteCount: entries[0].length) }
    allowance -= entries.count / 64
    return try GuestPages(entries, in: memory)
  }

  func attachBacking(_ blob: Blob, _ count: UInt32, _ chain: DescriptorChain) throws(GPUError) {
    let pages = try pages(count, of: chain, at: CommandCode.resourceAttachBacking.byteCount)
    try blob.attach(pages)
    do throws(GPUError) {
      try resources.charge(pages, isBuffer: !blob.isRendered)
      if let renderer { try blob.attachPages(to: renderer) }
    } catch {
      try blob.detach()
      throw error
    }
  }

  /// - Returns: what to wait for; nil when nobody else uses the pages.
  func detachBacking(_ blob: Blob) throws(GPUError) -> AwaitedChange? {
    let pages = blob.pages
    if let renderer, pages != nil { blob.detachPages(from: renderer) }
    try blob.detach()
    if blob.isShownFromPages {
      hide(blob)
      retirePictures(of: blob, but: nil)
    }
    return recall(pages)
  }

  /// The guest takes pages back: those who use them are told, and let go of them before the guest has its answer.
  func recall(_ pages: GuestPages?) -> AwaitedChange? {
    let ticket = hostVisible.nextTicket()
    let isLent = pages?.recall { [weak self] in self?.finish(ticket, .okNoData) } ?? false
    return isLent ? AwaitedChange(ticket, isAside: true) : nil
  }

  /// TRANSFER_TO_HOST_2D. Linux asks for it at each update of a dumb framebuffer, a blob (which it makes shareable) or not:
  /// an error would stand in its log 60 times a second. There is nothing to copy.
  func transfer(to blob: Blob) throws(GPUError) {
    guard blob.flags.contains(.shareable) else { throw .isBlob(blob.id) }
  }

  // MARK: Scanouts

  func setScanoutBlob(_ command: Command.SetScanoutBlob) throws(GPUError) {
    try requireFeature(Self.resourceBlobFeature, for: .setScanoutBlob)
    let index = try checkScanout(command.scanout)
    guard command.resource != .none else { return turnOff(command.scanout) }
    let blob = try resources.findBlob(command.resource)
    let layout = try layout(of: command, in: blob)
    guard !command.source.isEmpty, command.source.fits(in: layout.size) else {
      throw .rectangleOutside(command.source, of: layout.size)
    }
    let picture = try blob.picture(of: layout)
    let former = scanouts[index].resource
    if scanouts[index].show(blob, picture, command.source) {
      sink.scanoutChanged(command.scanout, to: ScanoutContent(picture: picture, source: command.source))
    }
    retirePictures(of: blob, but: picture)
    if former !== blob { retireOtherImages(of: former) }
  }

  /// A scanout has turned away from a resource: one picture of it is enough from now on.
  func retireOtherImages(of former: GuestResource?) {
    guard let blob = former as? Blob, blob.pictures.count > 1 else { return }
    retirePictures(of: blob, but: blob.pictures[blob.pictures.count - 1])
  }

  private func layout(of command: Command.SetScanoutBlob, in blob: Blob) throws(GPUError) -> PixelLayout {
    guard let format = ResourceFormat(rawValue: command.format) else { throw .unknownFormat(command.format) }
    let extents: ClosedRange<UInt32> = 1...Resource.maximumExtent
    guard extents.contains(command.size.width), extents.contains(command.size.height) else {
      throw .invalidSize(command.size)
    }
    let layout = PixelLayout(
      size: command.size, format: format.pixelFormat, stride: command.stride, offset: UInt64(command.offset))
    guard let layout, UInt64(layout.byteCount) <= blob.byteCount else {
      throw .pictureBeyondBlob(command.size, stride: command.stride, offset: command.offset)
    }
    return layout
  }

  func flush(_ blob: Blob, _ rectangle: Rectangle, isFenced: Bool) throws(GPUError) {
    guard blob.scanouts != 0 else { return }
    var largest = Size(width: 0, height: 0)
    for index in scanouts.indices where blob.scanouts & scanouts[index].bit != 0 {
      guard let size = scanouts[index].picture?.layout.size else { continue }
      largest = Size(width: max(largest.width, size.width), height: max(largest.height, size.height))
    }
    guard rectangle.fits(in: largest) else { throw .rectangleOutside(rectangle, of: largest) }
    try tellFlush(of: blob, rectangle, isFenced: isFenced)
  }

  // MARK: Life

  /// UNREF, or the device's reset.
  func retire(_ blob: Blob) {
    hide(blob)
    if let mapping = blob.mapping {
      blob.mapping = nil
      _ = hostVisible.unmap(mapping)
    }
    retirePictures(of: blob, but: nil)
    if let renderer { blob.leave(renderer) }
  }

  /// Nobody in the guest sees a memory any more: its blobs are left without one, mappings end, scanouts go dark.
  func takeAway(_ memory: HostMemory) {
    for blob in resources.blobs where blob.host === memory {
      retire(blob)
      blob.loseMemory()
    }
  }

  /// Gives those pictures of a blob up that no scanout shows, but for the newest and, while the blob is shown, its other
  /// images: what a page flip turns to next. By index, since a page flip must not allocate, whatever the optimiser makes of
  /// a closure or an iterator.
  private func retirePictures(of blob: Blob, but newest: Picture?) {
    var index = blob.pictures.count
    var spared = blob.scanouts == 0 ? 0 : ImageChain.maximumCount - 1
    while index > 0 {
      index -= 1
      let picture = blob.pictures[index]
      if picture === newest || isShown(picture) { continue }
      if spared > 0, let newest, picture.isOtherImage(than: newest) {
        spared -= 1
        continue
      }
      blob.removePicture(at: index)
      sink.pictureRetired(picture)
    }
  }

  private func isShown(_ picture: Picture) -> Bool {
    for index in scanouts.indices where scanouts[index].picture === picture { return true }
    return false
  }

  /// Memory that shown pictures may be in has changed: the sink looks at them again.
  func guestMemoryMoved() {
    guard let memory else { return }
    for blob in resources.blobs { blob.pages?.recallMoved(to: memory) }
    for index in scanouts.indices {
      guard let picture = scanouts[index].picture, case .guest(let pages) = picture.memory else { continue }
      pages.move(to: memory)
      sink.memoryMoved(scanouts[index].id, picture)
    }
  }
}
