import Buffers

extension Message {
  /// Reads one message's payload: private bytes of exactly the length that its header says.
  init(header: MessageHeader, payload: UnsafeRawBufferPointer) throws(ProtocolError) {
    guard let type = MessageType(rawValue: header.type) else { throw .unknownType(header.type) }
    switch type.descriptorRule {
    case .none where header.carriesDescriptor: throw .descriptorMismatch(type: header.type)
    case .one where !header.carriesDescriptor: throw .descriptorMismatch(type: header.type)
    default: break
    }
    var reader = WireReader(type: header.type, payload: payload)
    do {
      self = try Message(type, &reader)
    } catch .cutShort {
      throw .wrongLength(type: header.type, length: header.length)
    }
    guard reader.remaining == 0 else { throw .wrongLength(type: header.type, length: header.length) }
  }

  private init(_ type: MessageType, _ reader: inout WireReader) throws(ProtocolError) {
    switch type {
    case .hello, .welcome, .error: try self.init(common: type, &reader)
    case .bufferRegister, .bufferUnregister, .scanoutSet, .flush, .cursorSet, .cursorMove, .vmState, .flushLatched,
      .scanoutMode, .memoryRegister, .memoryUnregister, .bufferFreed, .scanoutRequirements, .vmLedger:
      try self.init(producer: type, &reader)
    case .displayAnnounce, .frameRegister, .layerLatched, .bufferRelease, .layerRecall, .layerSet, .layerRemove,
      .layerContent, .layerDamage, .layerCursor, .layerCursorMove, .bufferRetired, .layersSettled,
      .memorySet, .memoryRemove, .consumerConstraints:
      try self.init(consumer: type, &reader)
    case .producerLinkReady, .linkRoute, .flushesLinked, .producerLink, .linkScanouts, .flushesWanted, .linkDamage,
      .consumerLinkReady, .consumerLink, .linkLatched:
      try self.init(link: type, &reader)
    case .list, .screenshot, .listEnd, .vmRecord, .bufferRecord, .displayRecord, .clientRecord, .frame:
      try self.init(control: type, &reader)
    default: self = .application(try ApplicationMessage(type, &reader))
    }
  }

  private init(common type: MessageType, _ reader: inout WireReader) throws(ProtocolError) {
    switch type {
    case .hello: self = .hello(try Hello(&reader))
    case .welcome: self = .welcome(try Welcome(&reader))
    default: self = .error(try Refusal(&reader))
    }
  }

  private init(producer type: MessageType, _ reader: inout WireReader) throws(ProtocolError) {
    switch type {
    case .flush:
      let scanout = try reader.scanout()
      try reader.zero32()
      self = .flush(scanout, damage: try reader.rectangle())
    case .flushLatched:
      self = .flushLatched(try reader.scanout())
      try reader.zero32()
    case .bufferRegister:
      let buffer = try BufferDescription(&reader)
      self = .bufferRegister(buffer, try MemoryDescription(&reader))
    case .memoryRegister:
      let memory = try reader.memoryFile()
      self = .memoryRegister(memory, byteCount: try reader.byteCount())
    case .memoryUnregister: self = .memoryUnregister(try reader.memoryFile())
    case .bufferFreed: self = .bufferFreed(try reader.bufferID())
    case .vmLedger: self = .vmLedger(try LedgerReport(&reader))
    case .scanoutRequirements:
      let scanout = try reader.scanout()
      self = .scanoutRequirements(scanout, try ScanoutRequirements(&reader))
    case .bufferUnregister: self = .bufferUnregister(try reader.bufferID())
    case .scanoutSet: self = .scanoutSet(try ScanoutState(&reader))
    case .cursorSet:
      let scanout = try reader.scanout()
      self = .cursorSet(scanout, try CursorState(ofScanout: &reader))
    case .cursorMove:
      self = .cursorMove(try reader.scanout(), x: try reader.i32(), y: try reader.i32())
      try reader.zero32()
    case .vmState:
      self = .vmState(connected: try reader.flag("state"), mapsReadOnly: try reader.flag("flags"))
    default:
      self = .scanoutMode(try reader.scanout(), try reader.extent("mode"))
      try reader.zero32()
    }
  }

  private init(consumer type: MessageType, _ reader: inout WireReader) throws(ProtocolError) {
    switch type {
    case .layerLatched: self = .layerLatched(try reader.layer())
    case .layerDamage: self = .layerDamage(try reader.layer(), try reader.rectangle())
    case .displayAnnounce: self = .displayAnnounce(try DisplayDescription(&reader))
    case .frameRegister: self = .frameRegister(try BufferDescription(&reader))
    case .bufferRelease: self = .bufferRelease(try reader.bufferID())
    case .layerRecall: self = .layerRecall(try LayerRecall(&reader))
    case .layerSet: self = .layerSet(try LayerDescription(&reader))
    case .layerRemove: self = .layerRemove(try reader.layer())
    case .layerContent:
      let layer = try reader.layer()
      self = .layerContent(layer, try LayerPicture(&reader))
    case .layerCursor:
      let layer = try reader.layer()
      self = .layerCursor(layer, try CursorState(ofLayer: &reader))
    case .layerCursorMove: self = .layerCursorMove(try reader.layer(), x: try reader.i32(), y: try reader.i32())
    case .bufferRetired: self = .bufferRetired(try reader.bufferID())
    case .consumerConstraints: self = .consumerConstraints(try reader.constraints())
    case .memorySet:
      let key = try reader.memoryKey()
      self = .memorySet(key, byteCount: try reader.byteCount())
    case .memoryRemove: self = .memoryRemove(try reader.memoryKey())
    default: self = .layersSettled
    }
  }

  private init(control type: MessageType, _ reader: inout WireReader) throws(ProtocolError) {
    switch type {
    case .list:
      guard let kind = ListKind(rawValue: try reader.u32()) else { throw reader.bad("list kind") }
      try reader.zero32()
      self = .list(kind, cursor: try reader.u64())
    case .screenshot: self = .screenshot(try reader.optionalName())
    case .listEnd:
      let count = try reader.u32()
      try reader.zero32()
      self = .listEnd(count: count, next: try reader.u64())
    case .vmRecord: self = .vmRecord(try VMRecord(&reader))
    case .bufferRecord: self = .bufferRecord(try BufferRecord(&reader))
    case .displayRecord: self = .displayRecord(try DisplayRecord(&reader))
    case .clientRecord: self = .clientRecord(try ClientRecord(&reader))
    default: self = .frame(try BufferDescription(&reader), display: try reader.name())
    }
  }
}
