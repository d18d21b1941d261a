import Buffers
import Virtqueue

/// One handler for each command.
extension GPUDevice {
  func perform(_ command: Command, _ header: CommandHeader, _ chain: DescriptorChain) throws(GPUError) -> Response {
    switch command {
    case .getDisplayInfo: return .okDisplayInfo(displayModes)
    case .resourceCreate2D(let id, let format, let size): try createPicture(id, format, size)
    case .resourceUnref(let id): awaitedChange = try unref(id)
    case .setScanout(let scanout, let id, let source): try setScanout(scanout, id, source)
    case .resourceFlush(let id, let rectangle): try flush(id, rectangle, isFenced: header.isFenced)
    case .transferToHost2D(let id, let rectangle, let offset): try transfer(id, rectangle, offset)
    case .resourceAttachBacking(let id, let count): try attachBacking(id, count, chain)
    case .resourceDetachBacking(let id): awaitedChange = try detachBacking(id)
    case .getCapsetInfo(let index): return .okCapsetInfo(try capsetInfo(at: index))
    case .getCapset(let id, let version): return .okCapset(try capset(id, version: version))
    case .getEDID(let scanout): return .okEDID(try edid(of: scanout).bytes)
    case .resourceAssignUUID(let id): return .okResourceUUID(try uuid(of: id))
    case .updateCursor(let update): try updateCursor(update)
    case .moveCursor(let update): try moveCursor(update)
    case .resourceCreateBlob(let blob): try createBlob(blob, header, chain)
    case .setScanoutBlob(let scanout): try setScanoutBlob(scanout)
    case .resourceMapBlob(let id, let offset): awaitedChange = AwaitedChange(try mapBlob(id, at: offset))
    case .resourceUnmapBlob(let id): awaitedChange = try unmapBlob(id).map { AwaitedChange($0) }
    case .contextCreate, .contextDestroy, .contextAttachResource, .contextDetachResource, .submit3D, .resourceCreate3D,
      .transferToHost3D, .transferFromHost3D:
      try performInContext(command, header, chain)
    }
    return .okNoData
  }

  // MARK: Resources

  private func unref(_ id: ResourceID) throws(GPUError) -> AwaitedChange? {
    let resource = try resources.remove(id)
    retire(resource)
    return (resource as? Blob).flatMap { recall($0.pages) }
  }

  func retire(_ resource: GuestResource) {
    if let blob = resource as? Blob { return retire(blob) }
    if let texture = resource as? Texture { return retire(texture) }
    hide(resource)
    guard let resource = resource as? Resource else { return }
    if let picture = resource.picture { sink.pictureRetired(picture) }
    leaveRenderer(resource)
  }

  /// Nothing of the resource is shown any more.
  func hide(_ resource: GuestResource) {
    for scanout in scanouts where resource.scanouts & scanout.bit != 0 { turnOff(scanout.id) }
  }

  private func detachBacking(_ id: ResourceID) throws(GPUError) -> AwaitedChange? {
    let resource = try resources.findAny(id)
    if let blob = resource as? Blob { return try detachBacking(blob) }
    if let texture = resource as? Texture {
      try detachBacking(texture)
      return nil
    }
    try resources.detach(resources.find(id))
    return nil
  }

  private func attachBacking(_ id: ResourceID, _ count: UInt32, _ chain: DescriptorChain) throws(GPUError) {
    let found = try resources.findAny(id)
    if let blob = found as? Blob { return try attachBacking(blob, count, chain) }
    if let texture = found as? Texture { return try attachBacking(texture, count, chain) }
    let resource = try resources.find(id)
    guard (1...ScatterList.maximumEntryCount).contains(count) else { throw .invalidEntryCount(count) }
    let entries = try readEntries(count, of: chain, at: CommandCode.resourceAttachBacking.byteCount)
    guard let memory else { throw .entryUnmapped(entries[0].address, byteCount: entries[0].length) }
    try resources.attach(entries, to: resource, in: memory)
    allowance -= entries.count / 64
  }

  /// Copies the entries behind a command out of guest memory, once.
  func readEntries(
    _ count: UInt32, of chain: DescriptorChain, at offset: Int
  ) throws(GPUError) -> [MemoryEntry] {
    let byteCount = Int(count) * MemoryEntry.byteCount
    guard chain.readableCount - offset >= byteCount else {
      throw .entriesTruncated(count: count, byteCount: max(0, chain.readableCount - offset))
    }
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 8)
    defer { bytes.deallocate() }
    let got = chain.read(into: bytes, at: offset)
    guard got == byteCount else { throw .entriesTruncated(count: count, byteCount: got) }
    return MemoryEntry.decode(UnsafeRawBufferPointer(bytes))
  }

  private func transfer(_ id: ResourceID, _ rectangle: Rectangle, _ offset: UInt64) throws(GPUError) {
    if let blob = try resources.findAny(id) as? Blob { return try transfer(to: blob) }
    let resource = try resources.find(id)
    guard let rows = try resource.rows(of: rectangle, at: offset, in: memory) else { return }
    let target: HostBuffer
    if let storage = resource.storage { target = storage } else { target = try allocate(resource, for: []) }
    let copied = try resource.transfer(rows, to: rectangle, of: target)
    try update(resource, rectangle)
    statistics.bytesTransferred += UInt64(copied)
    allowance -= copied >> 14
  }

  private func uuid(of id: ResourceID) throws(GPUError) -> ResourceUUID {
    try requireFeature(Self.resourceUUIDFeature, for: .resourceAssignUUID)
    let id = try bufferID(of: resources.findAny(id))
    return ResourceUUID(high: id.high, low: id.low)
  }

  private func bufferID(of resource: GuestResource) throws(GPUError) -> BufferID {
    if let blob = resource as? Blob { return blob.uuid }
    if let texture = resource as? Texture { return texture.uuid }
    return try resources.find(resource.id).uuid
  }

  // MARK: Scanouts

  func checkScanout(_ id: ScanoutID) throws(GPUError) -> Int {
    guard id.rawValue < UInt32(scanoutCount) else { throw .invalidScanout(id) }
    return Int(id.rawValue)
  }

  private func setScanout(_ id: ScanoutID, _ resourceID: ResourceID, _ source: Rectangle) throws(GPUError) {
    let index = try checkScanout(id)
    guard resourceID != .none else { return turnOff(id) }
    let texture = try resources.findAny(resourceID) as? Texture
    let resource = if let texture { try shownResource(of: texture) } else { try resources.find(resourceID) }
    guard !source.isEmpty, source.fits(in: resource.size) else {
      throw .rectangleOutside(source, of: resource.size)
    }
    try makeUsable(resource, for: scanouts[index].mask)
    let former = scanouts[index].resource
    guard let picture = resource.picture, scanouts[index].show(resource, picture, source) else { return }
    texture?.isStale = true
    sink.scanoutChanged(id, to: ScanoutContent(picture: picture, source: source))
    retireOtherImages(of: former)
  }

  func turnOff(_ id: ScanoutID) {
    let former = scanouts[Int(id.rawValue)].resource
    guard scanouts[Int(id.rawValue)].show(nil, nil, .empty) else { return }
    sink.scanoutChanged(id, to: nil)
    retireOtherImages(of: former)
  }

  private func flush(_ id: ResourceID, _ rectangle: Rectangle, isFenced: Bool) throws(GPUError) {
    let found = try resources.findAny(id)
    if let texture = found as? Texture { return try flush(texture, rectangle, isFenced: isFenced) }
    guard let resource = found as? Resource else {
      return try flush(resources.findBlob(id), rectangle, isFenced: isFenced)
    }
    guard rectangle.fits(in: resource.size) else { throw .rectangleOutside(rectangle, of: resource.size) }
    guard resource.scanouts != 0 else { return }
    try readBack(resource, rectangle)
    try tellFlush(of: resource, rectangle, isFenced: isFenced)
  }

  func tellFlush(of resource: GuestResource, _ rectangle: Rectangle, isFenced: Bool) throws(GPUError) {
    try checkWaiting()
    flushSerial += 1
    earlyTokens = 0
    var pending: UInt16 = 0
    for index in scanouts.indices where resource.scanouts & scanouts[index].bit != 0 {
      let damage = rectangle.intersection(scanouts[index].source)
      guard !damage.isEmpty, let picture = scanouts[index].picture else { continue }
      statistics.flushes += 1
      let token = FlushToken(serial: flushSerial, scanout: scanouts[index].id, isFenced: isFenced)
      let result = sink.flush(token.scanout, picture: picture, damage: damage, token: token)
      if result == .pending { pending |= scanouts[index].bit }
    }
    flushWait = RequestQueue.FlushWait(serial: flushSerial, scanouts: pending & ~earlyTokens)
  }

  private func edid(of id: ScanoutID) throws(GPUError) -> EDID {
    try requireFeature(Self.edidFeature, for: .getEDID)
    return scanouts[try checkScanout(id)].edid
  }

  // MARK: Cursor

  private func updateCursor(_ update: Command.CursorUpdate) throws(GPUError) {
    let index = try checkScanout(update.scanout)
    let pixels = update.resource == .none ? nil : try cursorPixels(of: update.resource)
    if cursors[index].update(update, pixels) {
      sink.cursorChanged(cursors[index].state)
    } else if cursors[index].isVisible {
      reportPlace(of: cursors[index])
    }
  }

  /// A cursor's pixels, valid until the next command. A blob has no shape: its first bytes are the picture, as Linux has
  /// it.
  private func cursorPixels(of id: ResourceID) throws(GPUError) -> CursorPixels {
    let found = try resources.findAny(id)
    if let blob = found as? Blob {
      return CursorPixels(
        bytes: blob.copyFirstBytes(into: scratch) ? UnsafeRawBufferPointer(scratch) : nil, format: .b8g8r8a8)
    }
    if let texture = found as? Texture { return try cursorPixels(of: texture) }
    let resource = try resources.find(id)
    guard resource.size == Size(width: CursorImage.extent, height: CursorImage.extent) else {
      throw .invalidCursorSize(resource.size)
    }
    guard let storage = resource.storage else { return CursorPixels(bytes: nil, format: resource.format) }
    return CursorPixels(
      bytes: UnsafeRawBufferPointer(rebasing: storage.bytes[Int(storage.layout.offset)...]), format: resource.format,
      stride: Int(storage.layout.stride))
  }

  private func moveCursor(_ update: Command.CursorUpdate) throws(GPUError) {
    let index = try checkScanout(update.scanout)
    cursors[index].move(update)
    reportPlace(of: cursors[index])
  }

  private func reportPlace(of cursor: CursorPlane) {
    let state = cursor.state
    sink.cursorMoved(state.scanout, x: state.x, y: state.y)
  }
}
