import Geometry

/// Why bytes are no request.
public enum CommandError: Error, Equatable, Sendable {
  /// A type that no specification knows.
  case unknown(UInt32)
  /// Fewer bytes than the command has.
  case truncated(CommandCode, byteCount: Int)
}

extension Command {
  /// Reads a request, its header included, from a private copy.
  ///
  /// - Throws: every input gives a command or an error.
  public static func decode(_ header: CommandHeader, _ bytes: UnsafeRawBufferPointer) throws(CommandError) -> Command {
    guard let code = CommandCode(rawValue: header.type) else { throw .unknown(header.type) }
    guard bytes.count >= code.byteCount else { throw .truncated(code, byteCount: bytes.count) }
    var reader = WireReader(bytes, at: CommandHeader.byteCount)
    return switch code {
    case .getDisplayInfo: .getDisplayInfo
    case .resourceCreate2D: .resourceCreate2D(reader.resource(), format: reader.word(), size: reader.size())
    case .resourceUnref: .resourceUnref(reader.resource())
    case .setScanout: setScanout(&reader)
    case .resourceFlush: resourceFlush(&reader)
    case .transferToHost2D: transferToHost2D(&reader)
    case .resourceAttachBacking: .resourceAttachBacking(reader.resource(), entryCount: reader.word())
    case .resourceDetachBacking: .resourceDetachBacking(reader.resource())
    case .getCapsetInfo: .getCapsetInfo(index: reader.word())
    case .getCapset: .getCapset(id: reader.word(), version: reader.word())
    case .getEDID: .getEDID(reader.scanout())
    case .resourceAssignUUID: .resourceAssignUUID(reader.resource())
    case .resourceCreateBlob: .resourceCreateBlob(reader.createBlob())
    case .setScanoutBlob: .setScanoutBlob(reader.setScanoutBlob())
    case .contextCreate: .contextCreate(nameLength: reader.word(), kind: reader.word())
    case .contextDestroy: .contextDestroy
    case .contextAttachResource: .contextAttachResource(reader.resource())
    case .contextDetachResource: .contextDetachResource(reader.resource())
    case .resourceCreate3D: .resourceCreate3D(reader.create3D())
    case .transferToHost3D: .transferToHost3D(reader.transfer3D())
    case .transferFromHost3D: .transferFromHost3D(reader.transfer3D())
    case .submit3D: .submit3D(byteCount: reader.word(), fenceCount: reader.word())
    case .resourceMapBlob: resourceMapBlob(&reader)
    case .resourceUnmapBlob: .resourceUnmapBlob(reader.resource())
    case .updateCursor: .updateCursor(reader.cursorUpdate())
    case .moveCursor: .moveCursor(reader.cursorUpdate())
    }
  }

  private static func setScanout(_ reader: inout WireReader) -> Command {
    let source = reader.rectangle()
    let scanout = reader.scanout()
    return .setScanout(scanout, resource: reader.resource(), source: source)
  }

  private static func resourceFlush(_ reader: inout WireReader) -> Command {
    let rectangle = reader.rectangle()
    return .resourceFlush(reader.resource(), rectangle)
  }

  private static func transferToHost2D(_ reader: inout WireReader) -> Command {
    let rectangle = reader.rectangle()
    let offset = reader.long()
    return .transferToHost2D(reader.resource(), rectangle, offset: offset)
  }

  private static func resourceMapBlob(_ reader: inout WireReader) -> Command {
    let resource = reader.resource()
    _ = reader.word()
    return .resourceMapBlob(resource, offset: reader.long())
  }
}

extension WireReader {
  /// `struct virtio_gpu_rect`.
  mutating func rectangle() -> Rectangle {
    Rectangle(x: word(), y: word(), width: word(), height: word())
  }

  fileprivate mutating func resource() -> ResourceID { ResourceID(rawValue: word()) }
  fileprivate mutating func scanout() -> ScanoutID { ScanoutID(rawValue: word()) }
  fileprivate mutating func size() -> Size { Size(width: word(), height: word()) }

  fileprivate mutating func createBlob() -> Command.CreateBlob {
    Command.CreateBlob(
      resource: resource(), memory: word(), flags: word(), entryCount: word(), blob: long(), byteCount: long())
  }

  fileprivate mutating func setScanoutBlob() -> Command.SetScanoutBlob {
    let source = rectangle()
    let scanout = scanout()
    let resource = resource()
    let size = size()
    let format = word()
    _ = word()
    let strides = (word(), word(), word(), word())
    return Command.SetScanoutBlob(
      source: source, scanout: scanout, resource: resource, size: size, format: format, stride: strides.0,
      offset: word())
  }

  fileprivate mutating func create3D() -> Command.Create3D {
    Command.Create3D(
      resource: resource(), target: word(), format: word(), bind: word(), size: size(), depth: word(),
      arraySize: word(), lastLevel: word(), sampleCount: word(), flags: word())
  }

  fileprivate mutating func transfer3D() -> Command.Transfer3D {
    Command.Transfer3D(
      x: word(), y: word(), z: word(), width: word(), height: word(), depth: word(), offset: long(),
      resource: resource(), level: word(), stride: word(), layerStride: word())
  }

  fileprivate mutating func cursorUpdate() -> Command.CursorUpdate {
    let scanout = scanout()
    let (x, y) = (word(), word())
    _ = word()
    let resource = resource()
    let (hotX, hotY) = (word(), word())
    return Command.CursorUpdate(scanout: scanout, x: x, y: y, resource: resource, hotX: hotX, hotY: hotY)
  }
}
