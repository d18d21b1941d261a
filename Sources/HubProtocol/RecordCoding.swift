import Buffers

// Reading and writing of the records of LIST (protocol.md section 5).

extension VMRecord {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    name = try reader.name()
    socketPath = try reader.text(112, "socket path")
    memoryLimit = try reader.u64()
    bytes = try reader.u64()
    flushes = try reader.u64()
    buffers = try reader.u32()
    guard let state = State(rawValue: try reader.u32()) else { throw reader.bad("state") }
    self.state = state
    processID = try reader.i32()
    let count = try reader.u32()
    guard count <= UInt32(ScanoutIndex.maximumCount) else { throw reader.bad("scanouts") }
    try reader.zero64()
    scanouts = []
    ledger = try LedgerReport(&reader)
    for _ in 0..<count { scanouts.append(try Scanout(&reader)) }
  }

  func write(to writer: inout WireWriter) {
    writer.name(name)
    writer.text(socketPath, 112)
    writer.u64(memoryLimit)
    writer.u64(bytes)
    writer.u64(flushes)
    writer.u32(buffers)
    writer.u32(state.rawValue)
    writer.i32(processID)
    let listed = scanouts.prefix(ScanoutIndex.maximumCount)
    writer.u32(UInt32(listed.count))
    writer.u64(0)
    ledger.write(to: &writer)
    for scanout in listed { scanout.write(to: &writer) }
  }
}

extension VMRecord.Scanout {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    scanout = try reader.scanout()
    isOn = try reader.flag("scanout state")
    mode = Size(width: try reader.u32(), height: try reader.u32())
    shown = Size(width: try reader.u32(), height: try reader.u32())
    flushes = try reader.u64()
  }

  func write(to writer: inout WireWriter) {
    writer.u32(scanout.rawValue)
    writer.flag(isOn)
    writer.extent(mode)
    writer.extent(shown)
    writer.u64(flushes)
  }
}

extension BufferRecord {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    buffer = try BufferDescription(&reader)
    bytes = try reader.u64()
    guard let state = State(rawValue: try reader.u32()) else { throw reader.bad("state") }
    self.state = state
    leases = try reader.u32()
    owner = try reader.party()
    memory = try MemoryDescription(&reader)
    name = try reader.optionalName()
    trouble = try reader.text(120, "trouble")
    images = try reader.images()
    try reader.zero32()
  }

  func write(to writer: inout WireWriter) {
    buffer.write(to: &writer)
    writer.u64(bytes)
    writer.u32(state.rawValue)
    writer.u32(leases)
    writer.party(owner)
    memory.write(to: &writer)
    writer.name(name)
    writer.text(trouble, 120)
    writer.u32(UInt32(clamping: images))
    writer.u32(0)
  }
}

extension DisplayRecord {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    name = try reader.name()
    output = try reader.text(128, "output")
    size = Size(width: try reader.u32(), height: try reader.u32())
    refreshMillihertz = try reader.u32()
    processID = try reader.i32()
    layers = try reader.u32()
    hasFrame = try reader.flag("frame")
  }

  func write(to writer: inout WireWriter) {
    writer.name(name)
    writer.text(output, 128)
    writer.extent(size)
    writer.u32(refreshMillihertz)
    writer.i32(processID)
    writer.u32(layers)
    writer.flag(hasFrame)
  }
}

extension ClientRecord {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    name = try reader.name()
    guard let role = Role(rawValue: try reader.u32()) else { throw reader.bad("role") }
    self.role = role
    processID = try reader.i32()
    userID = try reader.u32()
    try reader.zero32()
    messagesReceived = try reader.u64()
    messagesSent = try reader.u64()
    try reader.zero64()
  }

  func write(to writer: inout WireWriter) {
    writer.name(name)
    writer.u32(role.rawValue)
    writer.i32(processID)
    writer.u32(userID)
    writer.u32(0)
    writer.u64(messagesReceived)
    writer.u64(messagesSent)
    writer.u64(0)
  }
}
