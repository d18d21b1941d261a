import Buffers

// Fields of the messages of applications (protocol.md sections 1 and 8).

extension WireReader {
  mutating func optionalParty() throws(ProtocolError) -> Party? {
    let kind = try u32()
    try zero32()
    let name = try optionalName()
    if kind == 0 && name == nil { return nil }
    guard let kind = Party.Kind(rawValue: kind), let name else { throw bad("party") }
    return Party(kind, name)
  }

  mutating func party() throws(ProtocolError) -> Party {
    guard let party = try optionalParty() else { throw bad("party") }
    return party
  }

  mutating func access() throws(ProtocolError) -> BufferAccess {
    guard let access = BufferAccess(rawValue: try u32()) else { throw bad("access") }
    return access
  }

  /// One of these, or none.
  mutating func readForm(_ known: [ReadForm]) throws(ProtocolError) -> ReadForm? {
    let word = try u32()
    guard word != 0 else { return nil }
    guard let form = ReadForm(rawValue: word), known.contains(form) else { throw bad("form") }
    return form
  }

  /// `count` properties with different names.
  mutating func properties(_ count: UInt32) throws(ProtocolError) -> [BufferProperty] {
    guard count <= UInt32(BufferProperty.maximumCount) else { throw bad("count of properties") }
    var properties: [BufferProperty] = []
    for _ in 0..<count {
      let property = try property()
      guard let property, !properties.contains(where: { $0.name == property.name }) else { throw bad("property") }
      properties.append(property)
    }
    return properties
  }

  /// Nil when its name is empty, and its value as well.
  mutating func property() throws(ProtocolError) -> BufferProperty? {
    let name = try text(BufferProperty.nameByteCount, "property name")
    let value = try text(BufferProperty.valueByteCount, "property value")
    if name.isEmpty && value.isEmpty { return nil }
    guard let property = BufferProperty(name, value) else { throw bad("property") }
    return property
  }

  /// A buffer by its id, or by owner and name.
  mutating func bufferKey() throws(ProtocolError) -> BufferKey {
    switch (try optionalBufferID(), try optionalParty(), try optionalName()) {
    case (let id?, nil, nil): return .id(id)
    case (nil, let owner?, let name?): return .name(name, owner: owner)
    default: throw bad("buffer")
    }
  }

  mutating func grantObject() throws(ProtocolError) -> GrantObject {
    switch (try optionalBufferID(), try optionalName()) {
    case (let id?, nil): return .id(id)
    case (nil, let name?): return .name(name)
    case (nil, nil): return .everything
    default: throw bad("object")
    }
  }

  /// A count of images; 0 stands for 1.
  mutating func images() throws(ProtocolError) -> Int {
    let count = try u32()
    guard count <= UInt32(ImageChain.maximumCount) else { throw bad("count of images") }
    return max(Int(count), 1)
  }

  /// What a grant lets do, and the screen that it is about, if it is about one: that is only read.
  mutating func grantAccess() throws(ProtocolError) -> (access: BufferAccess, scanout: ScanoutIndex?) {
    let word = try u32()
    guard let access = BufferAccess(rawValue: word & 0xffff) else { throw bad("access") }
    guard word >> 16 > 0 else { return (access, nil) }
    let scanout = ScanoutIndex(rawValue: (word >> 16) - 1)
    guard scanout.isValid, access == .read else { throw bad("scanout") }
    return (access, scanout)
  }

  /// What a grant is about: a screen has neither id nor name.
  func grantObject(_ named: GrantObject, _ scanout: ScanoutIndex?) throws(ProtocolError) -> GrantObject {
    guard let scanout else { return named }
    guard named == .everything else { throw bad("object") }
    return .scanout(scanout)
  }

  mutating func flags(_ known: UInt32) throws(ProtocolError) -> UInt32 {
    let flags = try u32()
    guard flags & ~known == 0 else { throw bad("flags") }
    return flags
  }
}

extension WireWriter {
  mutating func party(_ party: Party?) {
    u32(party?.kind.rawValue ?? 0)
    u32(0)
    name(party?.name)
  }

  mutating func properties(_ properties: [BufferProperty]) {
    for property in properties.prefix(BufferProperty.maximumCount) { self.property(property) }
  }

  mutating func property(_ property: BufferProperty?) {
    text(property?.name ?? "", BufferProperty.nameByteCount)
    text(property?.value ?? "", BufferProperty.valueByteCount)
  }

  mutating func bufferKey(_ key: BufferKey) {
    switch key {
    case .id(let id):
      bufferID(id)
      party(nil)
      name(nil)
    case .name(let name, let owner):
      bufferID(nil)
      party(owner)
      self.name(name)
    }
  }

  mutating func grantObject(_ object: GrantObject) {
    switch object {
    case .id(let id):
      bufferID(id)
      name(nil)
    case .name(let name):
      bufferID(nil)
      self.name(name)
    case .everything, .scanout:
      bufferID(nil)
      name(nil)
    }
  }

  /// The access, and above it one more than the number of the screen.
  mutating func grantAccess(_ access: BufferAccess, to object: GrantObject) {
    guard case .scanout(let scanout) = object else { return u32(access.rawValue) }
    u32(access.rawValue | (scanout.rawValue &+ 1) << 16)
  }
}
