import Buffers

// Reading and writing of each payload struct, side by side (protocol.md sections 2 to 4).

extension Hello {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    let version = try reader.u32()
    guard let role = Role(rawValue: try reader.u32()) else { throw reader.bad("role") }
    self.init(role: role, name: try reader.name())
    self.version = version
    memoryLimit = try reader.u64()
    socketPath = try reader.text(112, "socket path")
  }

  func write(to writer: inout WireWriter) {
    writer.u32(version)
    writer.u32(role.rawValue)
    writer.name(name)
    writer.u64(memoryLimit)
    writer.text(socketPath, 112)
  }
}

extension Welcome {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    version = try reader.u32()
    processID = try reader.i32()
    instance = try reader.u64()
    _ = try reader.u32()
    _ = try reader.u32()
    try reader.zero64()
  }

  func write(to writer: inout WireWriter) {
    writer.u32(version)
    writer.i32(processID)
    writer.u64(instance)
    writer.u32(UInt32(Wire.maximumBuffers))
    writer.u32(UInt32(ScanoutIndex.maximumCount))
    writer.u64(0)
  }
}

extension Refusal {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    guard let code = ErrorCode(rawValue: try reader.u32()) else { throw reader.bad("error code") }
    self.code = code
    messageType = UInt16(truncatingIfNeeded: try reader.u32())
    reason = try reader.text(120, "reason")
  }

  func write(to writer: inout WireWriter) {
    writer.u32(code.rawValue)
    writer.u32(UInt32(messageType))
    writer.text(reason, 120)
  }
}

extension BufferDescription {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    id = try reader.bufferID()
    layout = try reader.layout()
  }

  func write(to writer: inout WireWriter) {
    writer.bufferID(id)
    writer.layout(layout)
  }
}

extension ScanoutState {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    scanout = try reader.scanout()
    let isOn = try reader.flag("flags")
    mode = try reader.extent("mode")
    let buffer = try reader.optionalBufferID()
    let source = try reader.rectangle()
    guard isOn == (buffer != nil), isOn || source == .empty else { throw reader.bad("content") }
    content = buffer.map { Content(buffer: $0, source: source) }
  }

  func write(to writer: inout WireWriter) {
    writer.u32(scanout.rawValue)
    writer.flag(content != nil)
    writer.extent(mode)
    writer.bufferID(content?.buffer)
    writer.rectangle(content?.source ?? .empty)
  }
}

extension CursorState {
  init(ofScanout reader: inout WireReader) throws(ProtocolError) {
    let isVisible = try reader.flag("visible")
    self.init(image: nil, x: try reader.i32(), y: try reader.i32(), hotX: try reader.u32(), hotY: try reader.u32())
    if isVisible { image = try reader.image() }
  }

  func write(scanout: ScanoutIndex, to writer: inout WireWriter) {
    writer.u32(scanout.rawValue)
    writeFields(to: &writer)
    if let image { writer.image(image) }
  }

  init(ofLayer reader: inout WireReader) throws(ProtocolError) {
    let isVisible = try reader.flag("visible")
    self.init(image: nil, x: try reader.i32(), y: try reader.i32(), hotX: try reader.u32(), hotY: try reader.u32())
    try reader.zero32()
    if isVisible { image = try reader.image() }
  }

  func write(layer: LayerID, to writer: inout WireWriter) {
    writer.u64(layer.rawValue)
    writeFields(to: &writer)
    writer.u32(0)
    if let image { writer.image(image) }
  }

  private func writeFields(to writer: inout WireWriter) {
    writer.flag(image != nil)
    writer.i32(x)
    writer.i32(y)
    writer.u32(hotX)
    writer.u32(hotY)
  }
}

extension DisplayDescription {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    size = try reader.extent("size")
    refreshMillihertz = try reader.u32()
    try reader.zero32()
    output = try reader.text(128, "output")
  }

  func write(to writer: inout WireWriter) {
    writer.extent(size)
    writer.u32(refreshMillihertz)
    writer.u32(0)
    writer.text(output, 128)
  }
}

extension LayerRecall {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    id = try reader.layer()
    scanout = try reader.scanout()
    try reader.zero32()
    vm = try reader.name()
  }

  func write(to writer: inout WireWriter) {
    writer.u64(id.rawValue)
    writer.u32(scanout.rawValue)
    writer.u32(0)
    writer.name(vm)
  }
}

extension LayerDescription {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    id = try reader.layer()
    scanout = try reader.scanout()
    z = try reader.i32()
    guard let mode = ScaleMode(rawValue: try reader.u32()) else { throw reader.bad("scale mode") }
    scaleMode = mode
    guard let opacity = UInt8(exactly: try reader.u32()) else { throw reader.bad("opacity") }
    self.opacity = opacity
    area = try reader.rectangle()
    vm = try reader.name()
  }

  func write(to writer: inout WireWriter) {
    writer.u64(id.rawValue)
    writer.u32(scanout.rawValue)
    writer.i32(z)
    writer.u32(scaleMode.rawValue)
    writer.u32(UInt32(opacity))
    writer.rectangle(area)
    writer.name(vm)
  }
}

extension LayerPicture {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    let state = try reader.u32()
    try reader.zero32()
    if state == 0 {
      self = try Self.shown(&reader)
      return
    }
    guard let reason = AbsenceReason(rawValue: state) else { throw reader.bad("state") }
    for _ in 0..<13 { try reader.zero64() }
    self = .absent(reason)
  }

  private static func shown(_ reader: inout WireReader) throws(ProtocolError) -> LayerPicture {
    let buffer = try BufferDescription(&reader)
    let source = try reader.rectangle()
    let memory = try MemoryDescription(&reader)
    let space = try reader.u64()
    guard (space > 0) == (memory.kind == .ranges) else { throw reader.bad("memory space") }
    return .shown(buffer, memory, space: space > 0 ? MemorySpace(rawValue: space) : nil, source: source)
  }

  func write(layer: LayerID, to writer: inout WireWriter) {
    writer.u64(layer.rawValue)
    switch self {
    case .shown(let buffer, let memory, let space, let source):
      writer.u64(0)
      buffer.write(to: &writer)
      writer.rectangle(source)
      memory.write(to: &writer)
      writer.u64(space?.rawValue ?? 0)
    case .absent(let reason):
      writer.u32(reason.rawValue)
      writer.u32(0)
      writer.zero(104)
    }
  }
}
