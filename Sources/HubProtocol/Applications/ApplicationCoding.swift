import Buffers

extension ApplicationMessage {
  /// Bytes without the header.
  var payloadByteCount: Int {
    switch self {
    case .offer(let offer): 160 + 128 * min(offer.properties.count, BufferProperty.maximumCount)
    case .withdraw, .release, .bufferRevoked: 16
    case .update, .updated: 40
    case .acquire: 160
    case .done, .bufferWanted: 24
    case .lookup: 152
    case .query: 320
    case .constraints, .requirementsMerged: Wire.constraintsByteCount
    case .requirements(let parties): 8 + 72 * min(parties.count, Wire.maximumRequirementParties)
    case .grant: 232
    case .revoke, .grants, .cancel, .accepted, .screens: 8
    case .screenInfo: 80
    case .view: 72
    case .acquired(let info), .bufferInfo(let info):
      248 + 128 * min(info.properties.count, BufferProperty.maximumCount)
    case .revoked, .retired: 24
    case .queryEnd: 16
    case .bufferDone, .bufferTaken: 32
    case .grantRecord: 248
    }
  }

  init(_ type: MessageType, _ reader: inout WireReader) throws(ProtocolError) {
    switch type {
    case .bufferOffer: self = .offer(try BufferOffer(&reader))
    case .bufferWithdraw: self = .withdraw(try reader.bufferID())
    case .bufferUpdate: self = .update(try BufferUpdate(&reader))
    case .acquire: self = .acquire(try Acquisition(&reader))
    case .release: self = .release(try reader.bufferID())
    case .done: self = .done(try reader.bufferID(), generation: try reader.u64())
    case .lookup: self = .lookup(try reader.bufferKey())
    case .query: self = .query(try BufferQuery(&reader))
    case .partyConstraints: self = .constraints(try reader.constraints())
    case .requirements: self = .requirements(try Self.parties(&reader))
    case .grant: self = .grant(try GrantRequest(&reader))
    case .revoke: self = .revoke(GrantID(rawValue: try reader.u64()))
    case .grants: self = .grants(cursor: try reader.u64())
    case .cancel: self = .cancel(serial: try reader.u64())
    case .screens: self = .screens(cursor: try reader.u64())
    case .view:
      self = .view(try ScreenKey(&reader))
      try reader.zero32()
    default: try self.init(answer: type, &reader)
    }
  }

  private init(answer type: MessageType, _ reader: inout WireReader) throws(ProtocolError) {
    switch type {
    case .accepted:
      let number = try reader.u64()
      self = .accepted(number > 0 ? GrantID(rawValue: number) : nil)
    case .acquired: self = .acquired(try BufferInfo(&reader))
    case .updated: self = .updated(try BufferUpdate(&reader))
    case .revoked:
      self = .revoked(try reader.bufferID(), milliseconds: try reader.u32())
      try reader.zero32()
    case .retired:
      self = .retired(try reader.bufferID(), milliseconds: try reader.u32())
      try reader.zero32()
    case .requirementsMerged: self = .requirementsMerged(try reader.constraints())
    case .bufferInfo: self = .bufferInfo(try BufferInfo(&reader))
    case .queryEnd:
      let count = try reader.u32()
      try reader.zero32()
      self = .queryEnd(count: count, next: try reader.u64())
    case .bufferDone: self = .bufferDone(try BufferDone(&reader))
    case .grantRecord: self = .grantRecord(try GrantRecord(&reader))
    case .screenInfo: self = .screenInfo(try ScreenInfo(&reader))
    case .bufferWanted: self = .bufferWanted(try reader.bufferID(), generation: try reader.u64())
    case .bufferTaken: self = .bufferTaken(try BufferTaken(&reader))
    default: self = .bufferRevoked(try reader.bufferID())
    }
  }

  private static func parties(_ reader: inout WireReader) throws(ProtocolError) -> [Party] {
    let count = try reader.u32()
    try reader.zero32()
    guard (1...UInt32(Wire.maximumRequirementParties)).contains(count) else { throw reader.bad("count of parties") }
    var parties: [Party] = []
    for _ in 0..<count { parties.append(try reader.party()) }
    return parties
  }

  func write(to writer: inout WireWriter) {
    switch self {
    case .offer(let offer): offer.write(to: &writer)
    case .withdraw(let id), .release(let id), .bufferRevoked(let id): writer.bufferID(id)
    case .update(let update), .updated(let update): update.write(to: &writer)
    case .acquire(let acquisition): acquisition.write(to: &writer)
    case .done(let id, let generation), .bufferWanted(let id, let generation):
      writer.bufferID(id)
      writer.u64(generation)
    case .lookup(let key): writer.bufferKey(key)
    case .query(let query): query.write(to: &writer)
    case .constraints(let constraints), .requirementsMerged(let constraints): writer.constraints(constraints)
    case .requirements(let parties):
      let parties = parties.prefix(Wire.maximumRequirementParties)
      writer.u32(UInt32(parties.count))
      writer.u32(0)
      for party in parties { writer.party(party) }
    case .grant(let grant): grant.write(to: &writer)
    case .revoke(let id): writer.u64(id.rawValue)
    case .grants(let cursor): writer.u64(cursor)
    case .cancel(let serial): writer.u64(serial)
    case .view(let screen):
      screen.write(to: &writer)
      writer.u32(0)
    case .screens(let cursor): writer.u64(cursor)
    case .screenInfo(let info): info.write(to: &writer)
    case .accepted(let id): writer.u64(id?.rawValue ?? 0)
    case .acquired(let info), .bufferInfo(let info): info.write(to: &writer)
    case .revoked(let id, let milliseconds), .retired(let id, let milliseconds):
      writer.bufferID(id)
      writer.u32(milliseconds)
      writer.u32(0)
    case .queryEnd(let count, let next):
      writer.u32(count)
      writer.u32(0)
      writer.u64(next)
    case .bufferDone(let done): done.write(to: &writer)
    case .bufferTaken(let taken): taken.write(to: &writer)
    case .grantRecord(let grant): grant.write(to: &writer)
    }
  }
}

extension Wire {
  /// The most parties that REQUIREMENTS names.
  public static let maximumRequirementParties = 16
}

extension BufferOffer {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    buffer = try BufferDescription(&reader)
    memory = try MemoryDescription(&reader)
    name = try reader.optionalName()
    let flags = try reader.flags(3)
    guard flags != 3 else { throw reader.bad("flags") }
    isWritable = flags == 1
    isShareable = flags == 2
    let count = try reader.u32()
    images = try reader.images()
    try reader.zero32()
    properties = try reader.properties(count)
  }

  func write(to writer: inout WireWriter) {
    buffer.write(to: &writer)
    memory.write(to: &writer)
    writer.name(name)
    writer.u32(isWritable ? 1 : isShareable ? 2 : 0)
    writer.u32(UInt32(min(properties.count, BufferProperty.maximumCount)))
    writer.u32(UInt32(clamping: images))
    writer.u32(0)
    writer.properties(properties)
  }
}

extension BufferUpdate {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    id = try reader.bufferID()
    damage = try reader.rectangle()
    generation = try reader.u64()
  }

  func write(to writer: inout WireWriter) {
    writer.bufferID(id)
    writer.rectangle(damage)
    writer.u64(generation)
  }
}

extension Acquisition {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    key = try reader.bufferKey()
    access = try reader.access()
    let flags = try reader.flags(7)
    wantsUpdates = flags & 1 != 0
    waits = flags & 2 != 0
    keeps = flags & 4 != 0
    if waits, case .id = key { throw reader.bad("flags") }
  }

  func write(to writer: inout WireWriter) {
    writer.bufferKey(key)
    writer.u32(access.rawValue)
    writer.u32((wantsUpdates ? 1 : 0) | (waits ? 2 : 0) | (keeps ? 4 : 0))
  }
}

extension ScreenKey {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    vm = try reader.name()
    scanout = try reader.scanout()
  }

  func write(to writer: inout WireWriter) {
    writer.name(vm)
    writer.u32(scanout.rawValue)
  }
}

extension ScreenInfo {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    screen = try ScreenKey(&reader)
    let state = try reader.u32()
    absence = AbsenceReason(rawValue: state)
    guard state == 0 || absence != nil else { throw reader.bad("state") }
    size = try reader.extent("size")
  }

  func write(to writer: inout WireWriter) {
    screen.write(to: &writer)
    writer.u32(absence?.rawValue ?? 0)
    writer.extent(size)
  }
}

extension BufferQuery {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    cursor = try reader.u64()
    access = try reader.access()
    let format = try reader.u32()
    self.format = format == 0 ? nil : PixelFormat(rawValue: format)
    let kind = try reader.u32()
    try reader.zero32()
    ownerName = try reader.optionalName()
    ownerKind = Party.Kind(rawValue: kind)
    guard kind == 0 ? ownerName == nil : ownerKind != nil else { throw reader.bad("party") }
    name = try reader.optionalName()
    property = try reader.property()
    isOwn = try reader.flag("flags")
    try reader.zero32()
    for _ in 0..<4 { try reader.zero64() }
  }

  func write(to writer: inout WireWriter) {
    writer.u64(cursor)
    writer.u32(access.rawValue)
    writer.u32(format?.rawValue ?? 0)
    writer.u32(ownerKind?.rawValue ?? 0)
    writer.u32(0)
    writer.name(ownerKind == nil ? nil : ownerName)
    writer.name(name)
    writer.property(property)
    writer.u32(isOwn ? 1 : 0)
    writer.zero(36)
  }
}

extension BufferInfo {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    buffer = try BufferDescription(&reader)
    memory = try MemoryDescription(&reader)
    owner = try reader.party()
    name = try reader.optionalName()
    generation = try reader.u64()
    guard let state = BufferRecord.State(rawValue: try reader.u32()) else { throw reader.bad("state") }
    self.state = state
    access = try reader.access()
    leases = try reader.u32()
    let count = try reader.u32()
    images = try reader.images()
    form = try reader.readForm(ReadForm.allCases)
    properties = try reader.properties(count)
  }

  func write(to writer: inout WireWriter) {
    buffer.write(to: &writer)
    memory.write(to: &writer)
    writer.party(owner)
    writer.name(name)
    writer.u64(generation)
    writer.u32(state.rawValue)
    writer.u32(access.rawValue)
    writer.u32(leases)
    writer.u32(UInt32(min(properties.count, BufferProperty.maximumCount)))
    writer.u32(UInt32(clamping: images))
    writer.u32(form?.rawValue ?? 0)
    writer.properties(properties)
  }
}

extension BufferDone {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    id = try reader.bufferID()
    generation = try reader.u64()
    holder = try reader.u32()
    remaining = try reader.u32()
  }

  func write(to writer: inout WireWriter) {
    writer.bufferID(id)
    writer.u64(generation)
    writer.u32(holder)
    writer.u32(remaining)
  }
}

extension BufferTaken {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    id = try reader.bufferID()
    generation = try reader.u64()
    held = try reader.u32()
    guard held < 1 << UInt32(ImageChain.maximumCount) else { throw reader.bad("images") }
    try reader.zero32()
  }

  func write(to writer: inout WireWriter) {
    writer.bufferID(id)
    writer.u64(generation)
    writer.u32(held)
    writer.u32(0)
  }
}

extension GrantRequest {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    owner = try reader.optionalParty()
    grantee = try reader.party()
    let named = try reader.grantObject()
    let right = try reader.grantAccess()
    access = right.access
    object = try reader.grantObject(named, right.scanout)
    form = try reader.readForm(ReadForm.grantable)
    guard right.scanout == nil || form != .shared else { throw reader.bad("form") }
  }

  func write(to writer: inout WireWriter) {
    writer.party(owner)
    writer.party(grantee)
    writer.grantObject(object)
    writer.grantAccess(access, to: object)
    writer.u32(form?.rawValue ?? 0)
  }
}

extension GrantRecord {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    id = GrantID(rawValue: try reader.u64())
    let right = try reader.grantAccess()
    access = right.access
    let flags = try reader.flags(7)
    isConfigured = flags & 1 != 0
    form = ReadForm(rawValue: flags >> 1)
    owner = try reader.party()
    grantee = try reader.party()
    object = try reader.grantObject(try reader.grantObject(), right.scanout)
    try reader.zero64()
  }

  func write(to writer: inout WireWriter) {
    writer.u64(id.rawValue)
    writer.grantAccess(access, to: object)
    writer.u32((isConfigured ? 1 : 0) | (form?.rawValue ?? 0) << 1)
    writer.party(owner)
    writer.party(grantee)
    writer.grantObject(object)
    writer.u64(0)
  }
}
