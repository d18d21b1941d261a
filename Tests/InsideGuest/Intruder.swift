import Buffers
import CrossDomain
import HubProtocol
import Platform

/// A program in a VM that was granted nothing, and tries to get at a buffer of another VM's whose id, name and size it knows.
///
/// Whatever it hears that is not about its own VM is a leak, which ends it.
final class Intruder {
  /// What there is to be had.
  struct Target {
    let id: BufferID
    let name: PeerName
    let owner: Party
    let byteCount: UInt64

    init(id: String, name: String, owner: String, byteCount: String) throws {
      guard let id = BufferID(id), let name = PeerName(name), let owner = Party(owner), let count = UInt64(byteCount)
      else { throw Failure("no target: \(id) \(name) \(owner) \(byteCount)") }
      self.id = id
      self.name = name
      self.owner = owner
      self.byteCount = count
    }
  }

  private let target: Target
  private let own: Party
  private var channel: RawChannel
  private var serial: UInt64 = 0
  private(set) var attempts = 0

  init(_ target: Target, vm: String) throws {
    guard let own = Party(vm) else { throw Failure("no party: \(vm)") }
    self.target = target
    self.own = own
    channel = try RawChannel()
  }

  func intrude() throws {
    try introduce()
    try ask()
    try look()
    try grant()
    try replay()
    try mangle()
    try takeMemory()
    try impersonate()
  }

  // MARK: Attempts

  /// Under any name and role: a channel speaks for its VM alone.
  private func introduce() throws {
    for role in [Role.producer, .consumer, .control, .guest, .viewer, .application] {
      for name in [target.owner.name, target.name] {
        channel = try RawChannel()
        try attempt(.hello(Hello(role: role, name: name)), "HELLO as \(role) \(name)")
        for kind in [ListKind.vms, .buffers, .displays, .clients] { try attempt(.list(kind, cursor: 0), "LIST") }
        try attempt(.screenshot(nil), "SCREENSHOT")
        try attempt(.application(.acquire(Acquisition(.id(target.id)))), "ACQUIRE as \(role) \(name)")
      }
    }
  }

  /// By the id itself, by ids beside it, by any, and by name.
  private func ask() throws {
    try greet()
    let guesses = (0..<16).map { neighbour($0) } + (0..<16).map { _ in BufferID.random() }
    let keys = ([target.id] + guesses).map { BufferKey.id($0) } + [.name(target.name, owner: target.owner)]
    for key in keys {
      try attempt(.application(.lookup(key)), "LOOKUP \(key)")
      for access in [BufferAccess.read, .readWrite] {
        try attempt(.application(.acquire(Acquisition(key, access: access, wantsUpdates: true))), "ACQUIRE \(key)")
      }
    }
    let waiting = Acquisition(.name(target.name, owner: target.owner), wantsUpdates: true, waits: true)
    try attempt(.application(.acquire(waiting)), "ACQUIRE that waits")
    try attempt(.application(.cancel(serial: serial - 1)), "CANCEL")
    var query = BufferQuery()
    query.ownerKind = target.owner.kind
    query.ownerName = target.owner.name
    try attempt(.application(.query(query)), "QUERY of \(target.owner)")
  }

  private func neighbour(_ index: Int) -> BufferID {
    var text = Array(target.id.description.utf8)
    let digits = text.indices.filter { text[$0] != UInt8(ascii: "-") }
    let place = digits[2 * index]
    text[place] = text[place] == UInt8(ascii: "0") ? UInt8(ascii: "1") : UInt8(ascii: "0")
    return BufferID(String(decoding: text, as: UTF8.self)) ?? .random()
  }

  /// At the other VM's screens.
  private func look() throws {
    for number in UInt32(0)..<4 {
      let scanout = ScanoutIndex(rawValue: number)
      try attempt(.application(.view(ScreenKey(vm: target.owner.name, scanout: scanout))), "VIEW \(number)")
      for owner in [target.owner, nil] {
        let request = GrantRequest(owner: owner, to: own, object: .scanout(scanout))
        try attempt(.application(.grant(request)), "GRANT of a screen")
      }
    }
    try attempt(.application(.screens(cursor: 0)), "SCREENS")
  }

  /// Rights: given to itself, and taken from others.
  private func grant() throws {
    for owner in [target.owner, own, nil] {
      let object = GrantObject.id(target.id)
      try attempt(
        .application(.grant(GrantRequest(owner: owner, to: own, object: object, access: .readWrite))), "GRANT by id")
    }
    for object in [GrantObject.name(target.name), .everything] {
      try attempt(.application(.grant(GrantRequest(owner: target.owner, to: own, object: object))), "GRANT")
    }
    for number in 0..<UInt64(32) { try attempt(.application(.revoke(GrantID(rawValue: number))), "REVOKE \(number)") }
    try attempt(.application(.grants(cursor: 0)), "GRANTS")
    try attempt(.application(.acquire(Acquisition(.id(target.id)))), "ACQUIRE after GRANT")
  }

  /// What the owner and the importer say of the buffer.
  private func replay() throws {
    let damage = Rectangle(x: 0, y: 0, width: 8, height: 8)
    for generation in [UInt64(1), 1 << 40, .max] {
      let update = BufferUpdate(id: target.id, damage: damage, generation: generation)
      try attempt(.application(.update(update)), "BUFFER_UPDATE")
      try attempt(.application(.done(target.id, generation: generation)), "DONE")
      try attempt(.application(.updated(update)), "UPDATED")
    }
    try attempt(.application(.release(target.id)), "RELEASE")
    try attempt(.application(.withdraw(target.id)), "BUFFER_WITHDRAW")
    try attempt(.bufferRelease(target.id), "BUFFER_RELEASE")
    try attempt(.bufferUnregister(target.id), "BUFFER_UNREGISTER")
    try attempt(.application(.revoked(target.id, milliseconds: 0)), "REVOKED")
    try attempt(.application(.bufferWanted(target.id, generation: 0)), "BUFFER_WANTED")
  }

  /// Messages that are cut, merged, or lie about their length; with what they do not have.
  private func mangle() throws {
    let whole = Message.application(.acquire(Acquisition(.id(target.id)))).encoded(serial: 7, carriesDescriptor: false)
    for count in stride(from: 0, to: whole.count, by: 8) {
      try attempt(Array(whole[..<count]), [], "ACQUIRE of \(count) bytes")
    }
    try attempt(whole + whole, [], "ACQUIRE twice in one")
    for byte in 0..<8 {
      var lying = whole
      lying[byte] ^= 0xff
      try attempt(lying, [], "ACQUIRE with another header")
    }
    for kind in [Transmission.Identifier.Kind.blob, .sync, .readPipe, .writePipe] {
      for number in [UInt32(0), 1, .max] {
        try attempt(whole, [Transmission.Identifier(number: number, kind: kind)], "ACQUIRE with \(kind) \(number)")
      }
    }
  }

  /// The numbers that stand for memory in the importer's channel, and resources of others.
  private func takeMemory() throws {
    let numbers = Array(1...32) + [0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_ffff, 1 << 32 | 1, UInt64.max]
    for number in numbers {
      attempts += 1
      for count in [target.byteCount, 4096] {
        guard let memory = channel.hostMemory(number: number, byteCount: count) else { continue }
        // A number of new memory says how long it is: whoever guesses one has empty memory of his own.
        guard (0x8000_0001...0xffff_ffff).contains(number), memory.mapping.bytes.allSatisfy({ $0 == 0 }) else {
          throw Failure("LEAK blob \(number) of \(count) bytes")
        }
      }
    }
    for resource in UInt32(1)...16 { try offer(.random(), resource: resource, "a resource that is not its own") }
  }

  /// A buffer of its own with the id and the name of the other, which is taken and is nobody else's.
  private func impersonate() throws {
    guard let memory = channel.hostMemory(number: 0, byteCount: target.byteCount) else {
      throw Failure("no memory of its own")
    }
    guard memory.mapping.bytes.allSatisfy({ $0 == 0 }) else { throw Failure("LEAK new memory is not empty") }
    memory.mapping.mutableBytes.initializeMemory(as: UInt8.self, repeating: 0x5a)
    try offer(target.id, resource: memory.resource, "its own memory")
    let damage = Rectangle(x: 0, y: 0, width: 8, height: 8)
    try attempt(
      .application(.update(BufferUpdate(id: target.id, damage: damage, generation: .max))), "BUFFER_UPDATE of its own")
    try attempt(.application(.acquire(Acquisition(.name(target.name, owner: target.owner)))), "ACQUIRE by name")
    try attempt(.application(.withdraw(target.id)), "BUFFER_WITHDRAW of its own")
  }

  private func offer(_ id: BufferID, resource: UInt32, _ what: String) throws {
    guard let layout = PixelLayout(size: Size(width: 8, height: 8), format: .xrgb8888) else { return }
    let memory = MemoryDescription(hostFileOf: layout, reason: .hostAllocated)
    let offer = BufferOffer(
      buffer: BufferDescription(id: id, layout: layout), memory: memory, name: target.name, isWritable: true)
    let bytes = Message.application(.offer(offer)).encoded(serial: nextSerial(), carriesDescriptor: true)
    try attempt(bytes, [Transmission.Identifier(number: resource, kind: .blob)], "BUFFER_OFFER of \(what)")
  }

  // MARK: What comes of it

  private func nextSerial() -> UInt64 {
    serial += 1
    return serial
  }

  private func greet() throws {
    channel = try RawChannel()
    let hello = Message.hello(Hello(role: .application, name: target.name))
    try channel.send(hello.encoded(serial: 0, carriesDescriptor: false))
  }

  private func attempt(_ message: Message, _ what: String) throws {
    try attempt(message.encoded(serial: nextSerial(), carriesDescriptor: false), [], what)
  }

  /// Says something, and then asks what is always answered, so that all has been heard that there is to hear.
  private func attempt(_ bytes: [UInt8], _ identifiers: [Transmission.Identifier], _ what: String) throws {
    attempts += 1
    try channel.send(bytes, identifiers)
    let end = nextSerial()
    try channel.send(Message.application(.query(BufferQuery())).encoded(serial: end, carriesDescriptor: false))
    while true {
      guard let said = try channel.receive() else { throw Failure("no answer after \(what)") }
      // The hub, or the card, has ended the channel.
      guard !said.data.isEmpty else { return try greet() }
      let (message, serial, _) = try PacketParser.parseDetached(said.data)
      guard said.identifiers.isEmpty, isHarmless(message) else { throw Failure("LEAK by \(what): \(message)") }
      if case .application(.queryEnd) = message, serial == end { return }
    }
  }

  private func isHarmless(_ message: Message) -> Bool {
    switch message {
    case .welcome, .error, .bufferFreed: true
    case .application(.queryEnd), .application(.accepted(nil)): true
    case .application(.bufferInfo(let info)): info.owner == own
    case .application(.bufferDone(let done)): done.holder == 0
    case .application(.screenInfo(let info)): info.screen.vm == own.name
    default: false
    }
  }
}
