import Geometry

extension Command {
  /// Stores the request as a driver writes it, padding zero, and returns its length, `code.byteCount`.
  ///
  /// `bytes` holds at least so many: `CommandCode.maximumByteCount` is enough for each command.
  @discardableResult
  public func encode(
    into bytes: UnsafeMutableRawBufferPointer, flags: CommandFlags = [], fence: FenceID = FenceID(rawValue: 0),
    context: ContextID = ContextID(rawValue: 0), ring: UInt8 = 0
  ) -> Int {
    let bytes = UnsafeMutableRawBufferPointer(rebasing: bytes[..<code.byteCount])
    bytes.initializeMemory(as: UInt8.self, repeating: 0)
    CommandHeader(code, flags: flags, fence: fence, context: context, ring: ring).encode(into: bytes)
    var writer = WireWriter(bytes, at: CommandHeader.byteCount)
    encodeBody(&writer)
    return bytes.count
  }

  /// The request as ``encode(into:flags:fence:context:ring:)`` stores it.
  public func encoded(
    flags: CommandFlags = [], fence: FenceID = FenceID(rawValue: 0), context: ContextID = ContextID(rawValue: 0),
    ring: UInt8 = 0
  ) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: code.byteCount)
    bytes.withUnsafeMutableBytes { bytes in
      _ = encode(into: bytes, flags: flags, fence: fence, context: context, ring: ring)
    }
    return bytes
  }

  private func encodeBody(_ writer: inout WireWriter) {
    switch self {
    case .getDisplayInfo, .contextDestroy: break
    case .resourceCreate2D(let id, let format, let size):
      writer.words(id.rawValue, format, size.width, size.height)
    case .resourceUnref(let id), .resourceDetachBacking(let id), .resourceAssignUUID(let id),
      .contextAttachResource(let id), .contextDetachResource(let id), .resourceUnmapBlob(let id):
      writer.word(id.rawValue)
    case .setScanout(let scanout, let id, let source):
      writer.rectangle(source)
      writer.words(scanout.rawValue, id.rawValue)
    case .resourceFlush(let id, let rectangle):
      writer.rectangle(rectangle)
      writer.word(id.rawValue)
    case .transferToHost2D(let id, let rectangle, let offset):
      writer.rectangle(rectangle)
      writer.long(offset)
      writer.word(id.rawValue)
    case .resourceAttachBacking(let id, let count): writer.words(id.rawValue, count)
    case .getCapsetInfo(let index): writer.word(index)
    case .getCapset(let id, let version): writer.words(id, version)
    case .getEDID(let scanout): writer.word(scanout.rawValue)
    case .resourceCreateBlob(let blob): writer.createBlob(blob)
    case .setScanoutBlob(let scanout): writer.setScanoutBlob(scanout)
    case .contextCreate(let length, let kind): writer.words(length, kind)
    case .resourceCreate3D(let resource): writer.create3D(resource)
    case .transferToHost3D(let transfer), .transferFromHost3D(let transfer): writer.transfer3D(transfer)
    case .submit3D(let count, let fences): writer.words(count, fences)
    case .resourceMapBlob(let id, let offset):
      writer.words(id.rawValue, 0)
      writer.long(offset)
    case .updateCursor(let cursor), .moveCursor(let cursor): writer.cursorUpdate(cursor)
    }
  }
}

extension WireWriter {
  fileprivate mutating func words(_ values: UInt32...) {
    for value in values { word(value) }
  }

  fileprivate mutating func createBlob(_ blob: Command.CreateBlob) {
    words(blob.resource.rawValue, blob.memory, blob.flags, blob.entryCount)
    long(blob.blob)
    long(blob.byteCount)
  }

  fileprivate mutating func setScanoutBlob(_ scanout: Command.SetScanoutBlob) {
    rectangle(scanout.source)
    words(scanout.scanout.rawValue, scanout.resource.rawValue, scanout.size.width, scanout.size.height)
    words(scanout.format, 0, scanout.stride, 0, 0, 0, scanout.offset, 0, 0, 0)
  }

  fileprivate mutating func create3D(_ resource: Command.Create3D) {
    words(resource.resource.rawValue, resource.target, resource.format, resource.bind)
    words(resource.size.width, resource.size.height, resource.depth, resource.arraySize)
    words(resource.lastLevel, resource.sampleCount, resource.flags)
  }

  fileprivate mutating func transfer3D(_ transfer: Command.Transfer3D) {
    words(transfer.x, transfer.y, transfer.z, transfer.width, transfer.height, transfer.depth)
    long(transfer.offset)
    words(transfer.resource.rawValue, transfer.level, transfer.stride, transfer.layerStride)
  }

  fileprivate mutating func cursorUpdate(_ cursor: Command.CursorUpdate) {
    words(cursor.scanout.rawValue, cursor.x, cursor.y, 0, cursor.resource.rawValue, cursor.hotX, cursor.hotY)
  }
}

extension WireWriter {
  /// `struct virtio_gpu_rect`.
  mutating func rectangle(_ rectangle: Rectangle) {
    word(rectangle.x)
    word(rectangle.y)
    word(rectangle.width)
    word(rectangle.height)
  }
}
