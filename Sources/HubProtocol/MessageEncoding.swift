import Buffers

extension Message {
  /// Bytes of the message with its header.
  public var byteCount: Int {
    Wire.headerByteCount + payloadByteCount
  }

  private var payloadByteCount: Int {
    switch self {
    case .hello: 192
    case .welcome: 32
    case .error: 128
    case .bufferRegister: 80
    case .frameRegister: 48
    case .bufferUnregister, .bufferRelease, .bufferRetired, .bufferFreed: 16
    case .vmLedger: LedgerReport.byteCount
    case .application(let message): message.payloadByteCount
    case .scanoutSet: 48
    case .flush, .layerDamage: 24
    case .cursorSet(_, let cursor): 24 + (cursor.image == nil ? 0 : Wire.cursorByteCount)
    case .cursorMove, .scanoutMode, .layerCursorMove, .memoryRegister, .memoryRemove: 16
    case .consumerConstraints: Wire.constraintsByteCount
    case .scanoutRequirements: 128 + Wire.constraintsByteCount
    case .memorySet: 24
    case .memoryUnregister, .vmState, .flushLatched, .layerLatched, .layerRemove: 8
    case .list, .listEnd: 16
    case .displayAnnounce: 144
    case .layerRecall: 80
    case .layerSet: 104
    case .layerContent: 120
    case .layerCursor(_, let cursor): 32 + (cursor.image == nil ? 0 : Wire.cursorByteCount)
    case .layersSettled: 0
    case .screenshot: 64
    case .producerLinkReady, .linkRoute, .flushesLinked, .producerLink, .linkScanouts, .flushesWanted, .linkDamage,
      .consumerLinkReady, .consumerLink, .linkLatched:
      linkPayloadByteCount
    case .vmRecord(let vm): 224 + LedgerReport.byteCount + 32 * min(vm.scanouts.count, ScanoutIndex.maximumCount)
    case .bufferRecord: 360
    case .displayRecord: 216
    case .clientRecord: 104
    case .frame: 112
    }
  }

  /// The message's bytes.
  public func encoded(serial: UInt64, carriesDescriptor: Bool = false) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: byteCount)
    _ = bytes.withUnsafeMutableBytes { encode(serial: serial, carriesDescriptor: carriesDescriptor, into: $0) }
    return bytes
  }

  /// Writes the message, `byteCount` bytes, at the start of `room`.
  ///
  /// - Returns: the bytes written; nil when the room is too small.
  public func encode(
    serial: UInt64, carriesDescriptor: Bool, into room: UnsafeMutableRawBufferPointer
  ) -> Int? {
    let count = byteCount
    guard count <= room.count else { return nil }
    var writer = WireWriter(room)
    MessageHeader(type: type, carriesDescriptor: carriesDescriptor, byteCount: count, serial: serial).write(to: &writer)
    writePayload(to: &writer)
    assert(writer.offset == count)
    return count
  }

  private func writePayload(to writer: inout WireWriter) {
    switch self {
    case .flush(let scanout, let damage):
      writer.u32(scanout.rawValue)
      writer.u32(0)
      writer.rectangle(damage)
    case .flushLatched(let scanout):
      writer.u32(scanout.rawValue)
      writer.u32(0)
    case .layerDamage(let layer, let damage):
      writer.u64(layer.rawValue)
      writer.rectangle(damage)
    case .layerLatched(let layer), .layerRemove(let layer): writer.u64(layer.rawValue)
    case .hello(let hello): hello.write(to: &writer)
    case .welcome(let welcome): welcome.write(to: &writer)
    case .error(let refusal): refusal.write(to: &writer)
    case .bufferRegister(let buffer, let memory):
      buffer.write(to: &writer)
      memory.write(to: &writer)
    case .frameRegister(let buffer): buffer.write(to: &writer)
    case .memoryRegister(let memory, let byteCount):
      writer.memoryFile(memory)
      writer.u64(byteCount)
    case .memoryUnregister(let memory): writer.memoryFile(memory)
    case .scanoutRequirements(let scanout, let requirements):
      writer.u32(scanout.rawValue)
      requirements.write(to: &writer)
    case .consumerConstraints(let constraints): writer.constraints(constraints)
    case .memorySet(let key, let byteCount):
      writer.memoryKey(key)
      writer.u64(byteCount)
    case .memoryRemove(let key): writer.memoryKey(key)
    case .bufferUnregister(let id), .bufferRelease(let id), .bufferRetired(let id),
      .bufferFreed(let id):
      writer.bufferID(id)
    case .scanoutSet(let state): state.write(to: &writer)
    case .cursorSet(let scanout, let cursor): cursor.write(scanout: scanout, to: &writer)
    case .cursorMove(let scanout, let x, let y):
      writer.u32(scanout.rawValue)
      writer.i32(x)
      writer.i32(y)
      writer.u32(0)
    case .vmState(let connected, let mapsReadOnly):
      writer.flag(connected)
      writer.flag(mapsReadOnly)
    case .scanoutMode(let scanout, let mode):
      writer.u32(scanout.rawValue)
      writer.extent(mode)
      writer.u32(0)
    case .displayAnnounce(let display): display.write(to: &writer)
    case .layerRecall(let recall): recall.write(to: &writer)
    case .layerSet(let layer): layer.write(to: &writer)
    case .layerContent(let layer, let picture): picture.write(layer: layer, to: &writer)
    case .layerCursor(let layer, let cursor): cursor.write(layer: layer, to: &writer)
    case .layerCursorMove(let layer, let x, let y):
      writer.u64(layer.rawValue)
      writer.i32(x)
      writer.i32(y)
    case .layersSettled: break
    case .vmLedger(let report): report.write(to: &writer)
    case .application(let message): message.write(to: &writer)
    case .producerLinkReady, .linkRoute, .flushesLinked, .producerLink, .linkScanouts, .flushesWanted, .linkDamage,
      .consumerLinkReady, .consumerLink, .linkLatched:
      writeLinkPayload(to: &writer)
    case .list(let kind, let cursor):
      writer.u32(kind.rawValue)
      writer.u32(0)
      writer.u64(cursor)
    case .screenshot(let display): writer.name(display)
    case .listEnd(let count, let next):
      writer.u32(count)
      writer.u32(0)
      writer.u64(next)
    case .vmRecord(let record): record.write(to: &writer)
    case .bufferRecord(let record): record.write(to: &writer)
    case .displayRecord(let record): record.write(to: &writer)
    case .clientRecord(let record): record.write(to: &writer)
    case .frame(let buffer, let display):
      buffer.write(to: &writer)
      writer.name(display)
    }
  }
}
