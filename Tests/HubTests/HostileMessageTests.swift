import Buffers
import Glibc
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

/// Every message that there is, in wrong lengths, with descriptors that nobody asked for, from every role.
@Suite struct HostileMessageTests {
  private let lengths = [16, 24, 32, 40, 48, 56, 64, 80, 96, 160, 176, 208, 248, 304, 320, 336, 448, 16_424]

  /// A header that says what follows: zeros, or bytes that are no number's usual value.
  private func message(_ type: MessageType, _ length: Int, descriptors: Int, filler: UInt8) -> [UInt8] {
    var header = MessageHeader(type: type, carriesDescriptor: descriptors > 0, byteCount: length, serial: 7)
    header.length = UInt32(length)
    var bytes = [UInt8](repeating: filler, count: length)
    bytes.withUnsafeMutableBytes {
      var writer = WireWriter($0)
      header.write(to: &writer)
    }
    return bytes
  }

  @Test(arguments: [Role.producer, .consumer, .control, .application])
  func `any message of any length with any descriptors ends its sender at most, and every descriptor is closed`(
    role: Role
  ) throws {
    let world = try World()
    let sharing = try world.sharing()
    let (near, far) = try UnixSocket.pair(.stream).take()
    let end = SharedDescriptor(FileDescriptor(adopting: near))
    var given: SharedDescriptor? = SharedDescriptor(FileDescriptor(adopting: far))
    for (number, type) in MessageType.allCases.enumerated() {
      for (index, length) in lengths.enumerated() {
        let count = (number + index) % 9
        let peer = try world.raw()
        try peer.hello(role, "bad")
        let bytes = message(type, length, descriptors: count, filler: index % 2 == 0 ? 0 : 0xff)
        let raws = [Int32](repeating: try #require(given).raw, count: count)
        try peer.send(bytes, descriptors: raws)
        try world.turn(3)
        let isEnded = world.hub?.clients.contains { $0.name.text == "bad" } == false
        #expect(isEnded || count < 2, "\(type), \(length) bytes, \(count) descriptors")
        shutdown(peer.socket.raw, Int32(SHUT_RDWR))
        try world.turn(3)
      }
    }
    given = nil
    try world.wait("every descriptor is closed") {
      var entry = pollfd(fd: end.raw, events: Int16(POLLIN), revents: 0)
      return poll(&entry, 1, 0) == 1 && entry.revents & Int16(POLLHUP) != 0
    }
    #expect(sharing.owner.log.links.count == 1)
    let request = Acquisition(.id(sharing.offered.id))
    _ = try world.answer { sharing.holder.client.acquire(request, $0) }.get()
    #expect(world.hub?.registry.all.count == 1)
  }

  @Test func `a message that needs a descriptor is refused without one`() throws {
    let world = try World()
    let offered = try Offered("front")
    let buffer = offered.offer.buffer
    for (role, message) in [
      (Role.application, Message.application(.offer(offered.offer))),
      (.producer, .bufferRegister(buffer, MemoryDescription(hostFileOf: buffer.layout))),
      (.producer, .memoryRegister(MemoryFileID(rawValue: 1), byteCount: 4096)), (.consumer, .frameRegister(buffer)),
    ] {
      let peer = try world.raw()
      try peer.hello(role, "bad")
      try peer.send(message)
      #expect(try peer.refusal()?.code == .malformed, "\(message.type)")
    }
  }

  @Test func `a packet that is not whole messages and their descriptors ends its sender, nothing of it stays`() throws {
    let world = try World()
    let offered = try Offered("front")
    let offer = Message.application(.offer(offered.offer)).encoded(serial: 1, carriesDescriptor: true)
    let lookup = Message.application(.lookup(.id(offered.id))).encoded(serial: 2)
    let raw = offered.descriptor.raw
    for (bytes, raws) in [
      (offer + lookup.dropLast(8), [raw]), (offer + lookup, [raw, raw]), (offer + offer, [raw]), (lookup + offer, []),
      (offer + [0, 0, 0, 0], [raw]),
    ] {
      let peer = try world.raw()
      try peer.hello(.application, "bad")
      try peer.send(Array(bytes), descriptors: raws)
      _ = try peer.refusal()
      let codes = try peer.all { message, _ in if case .error(let refusal) = message { refusal.code } else { nil } }
      #expect(codes.last == .malformed)
      #expect(world.hub?.registry.all.isEmpty == true)
    }
  }

  /// What a number is that one may not know of: nobody's, another's, the configuration's, and one that was.
  @Test func `grants that are not one's own are all alike`() throws {
    let world = try World {
      $0.grants = [GrantRequest(owner: application("bad"), to: application("x"), object: .everything)]
    }
    let sharing = try world.sharing()
    let peer = try world.raw()
    try peer.hello(.application, "bad")
    _ = try peer.wait("welcome") { if case .welcome = $0 { true } else { nil } }
    let own = try peer.answer(.grant(GrantRequest(to: application("x"), object: .name(PeerName("n")!))))
    guard case .application(.accepted(let number?)) = own else {
      Issue.record("\(own)")
      return
    }
    _ = try peer.answer(.revoke(number))
    let configured = try #require(world.hub?.grants.all.first { $0.isConfigured }?.id)
    let answers = try [number, sharing.grant, configured, GrantID(rawValue: 99), GrantID(rawValue: .max)].map {
      try peer.answer(.revoke($0)).encoded(serial: 9)
    }
    #expect(Set(answers).count == 1)
    let foreign = try [sharing.offered.id, .random()].map {
      try peer.answer(.grant(GrantRequest(to: application("x"), object: .id($0)))).encoded(serial: 9)
    }
    #expect(Set(foreign).count == 1)
    let withdrawn = try [sharing.offered.id, .random()].map { try peer.answer(.withdraw($0)).encoded(serial: 9) }
    #expect(Set(withdrawn).count == 1)
  }

  /// All that a program may say of a buffer without an answer, about one that is not its to speak of.
  @Test func `what is said of others' buffers, and of none, has no other effect`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let request = Acquisition(.id(sharing.offered.id), wantsUpdates: true)
    _ = try world.answer { sharing.holder.client.acquire(request, $0) }.get()
    let thief = try world.raw()
    try thief.hello(.application, "thief")
    _ = try thief.wait("welcome") { if case .welcome = $0 { true } else { nil } }
    thief.forget()
    for id in [sharing.offered.id, .random()] {
      try thief.send(.release(id))
      try thief.send(.done(id, generation: 1))
      try thief.send(.cancel(serial: 1))
    }
    try world.turn()
    #expect(try thief.all { message, _ in message }.isEmpty && !thief.isEnded)
    let ended = try [sharing.offered.id, .random()].map { id in
      let peer = try world.raw()
      try peer.hello(.application, "thief2")
      try peer.send(.update(BufferUpdate(id: id, damage: .empty, generation: 1)))
      return try peer.refusal().map { ($0.code, $0.reason.replacing(id.description, with: "ID")) }
    }
    #expect(ended.allSatisfy { $0?.0 == .unknownObject } && ended[0]?.1 == ended[1]?.1)
    #expect(world.hub?.registry.find(sharing.offered.id)?.leases == 1)
  }
}
