import Buffers
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

@Suite("Programs in guests") struct GuestTests {
  /// A connection in the name of a VM's guest, welcomed.
  static func guest(_ world: World, _ vm: String) throws -> RawPeer {
    let peer = try world.raw()
    try peer.hello(.guest, vm)
    try world.wait("a welcome") { try peer.hasWelcome || peer.isEnded }
    return peer
  }

  @Test("one takes part in the name of its VM, beside its graphics card and others")
  func parties() throws {
    let world = try World()
    try world.presentProducer("alpha")
    let peers = try (0..<2).map { _ in try Self.guest(world, "alpha") }
    let offered = try Offered("map")
    try peers[0].send(.application(.offer(offered.offer)), serial: 1, descriptors: [offered.descriptor.raw])
    for (index, peer) in peers.enumerated() {
      let info = try peer.lookup(.name(PeerName("map")!, owner: Party(.vm, PeerName("alpha")!)), serial: 9, in: world)
      #expect(info?.buffer.id == offered.id && info?.access == .read, "program \(index)")
    }
  }

  @Test("without the VM's graphics card there is none")
  func alone() throws {
    let world = try World()
    let peer = try Self.guest(world, "alpha")
    try world.wait("the end") { try peer.refused(.notPermitted) }
  }

  @Test("with its graphics card it ends, and what it offered is taken back")
  func end() throws {
    let world = try World()
    let client = try world.presentProducer("alpha")
    let peer = try Self.guest(world, "alpha")
    let offered = try Offered("map")
    try peer.send(.application(.offer(offered.offer)), serial: 1, descriptors: [offered.descriptor.raw])
    try world.wait("the buffer") { world.hub?.registry.find(offered.id) != nil }
    client.stop()
    try world.wait("the end") {
      try peer.drain()
      return peer.isEnded
    }
    #expect(world.hub?.registry.find(offered.id) == nil)
  }

  @Test("a grant to the VM counts for each of its programs, and so does its end")
  func grants() throws {
    let world = try World()
    try world.presentProducer("alpha")
    let guests = try (0..<2).map { _ in try Self.guest(world, "alpha") }
    let owner = world.application("camera")
    let offered = try Offered("front")
    try world.answer { owner.client.offer(offered.offer, descriptor: offered.descriptor, $0) }.get()
    let key = BufferKey.name(PeerName("front")!, owner: application("camera"))
    for guest in guests { #expect(try guest.lookup(key, serial: 1, in: world) == nil) }
    let grant = GrantRequest(to: Party(.vm, PeerName("alpha")!), object: .id(offered.id), access: .read)
    let number = try world.answer { owner.client.grant(grant, $0) }.get()
    for (index, guest) in guests.enumerated() {
      try guest.send(.application(.acquire(Acquisition(key))), serial: UInt64(10 + index))
      try world.wait("a lease") { try guest.all { message, _ in message.acquired }.count == 1 }
    }
    try world.answer { owner.client.revoke(number, $0) }.get()
    for guest in guests {
      try world.wait("its end") {
        try guest.all { message, _ in message.revoked == offered.id ? true : nil }.count == 1
      }
    }
  }

  @Test("it is not told of what its VM shows, and cannot give that away")
  func screens() throws {
    let world = try World()
    let client = try world.presentProducer("alpha")
    let shown = try picture()
    try client.show(shown)
    try world.wait("the buffer") { world.hub?.registry.find(shown.id) != nil }
    let guest = try Self.guest(world, "alpha")
    #expect(try guest.lookup(.id(shown.id), serial: 1, in: world) == nil)
    try guest.send(.application(.query(BufferQuery())), serial: 2)
    try world.wait("an empty list") {
      try guest.all { message, _ in if case .application(.queryEnd(0, _)) = message { true } else { nil } }.count == 1
    }
    for (serial, object) in [(3, GrantObject.id(shown.id)), (4, .everything)] {
      let grant = GrantRequest(to: Party(.vm, PeerName("beta")!), object: object)
      try guest.send(.application(.grant(grant)), serial: UInt64(serial))
      try world.wait("a refusal") {
        try guest.all { message, answered in
          if case .error(let refusal) = message { answered == UInt64(serial) && refusal.code == .notFound } else { nil }
        }.contains(true)
      }
    }
    #expect(try world.ask { control throws(ControlError) in try control.grants() }.isEmpty)
  }

  @Test("more than 32 programs of a VM are too many, and those that leave make room")
  func limit() throws {
    let world = try World()
    try world.presentProducer("alpha")
    var peers = try (0..<Hub.maximumGuestPrograms).map { _ in try Self.guest(world, "alpha") }
    let surplus = try Self.guest(world, "alpha")
    try world.wait("the end") { try surplus.refused(.limit) }
    peers.removeLast()
    try world.wait("room") { world.hub?.machines[PeerName("alpha")!]?.producer?.guests.count == 31 }
    let next = try Self.guest(world, "alpha")
    #expect(try next.hasWelcome)
  }

  @Test("all programs of a VM together have no more buffers than one connection")
  func buffers() throws {
    let world = try World()
    try world.presentProducer("alpha")
    let first = try Self.guest(world, "alpha")
    let second = try Self.guest(world, "alpha")
    let descriptor = try Offered("map").descriptor
    for number in 1...Wire.maximumBuffers {
      var offer = try #require(Self.offer)
      offer.buffer.id = .random()
      try first.send(.application(.offer(offer)), serial: UInt64(number), descriptors: [descriptor.raw])
      if number % 8 == 0 { try world.wait("room") { try first.all { _, serial in serial }.last == UInt64(number) } }
    }
    let surplus = try #require(Self.offer)
    try second.send(.application(.offer(surplus)), serial: 7, descriptors: [descriptor.raw])
    try world.wait("an answer") {
      let codes = try second.all { message, _ in if case .error(let refusal) = message { refusal.code } else { nil } }
      return codes == [.overLimit]
    }
  }

  private static let offer = try? Offered().offer

  @Test("it may not speak as a graphics card or a control program")
  func otherMessages() throws {
    let world = try World()
    try world.presentProducer("alpha")
    for message: Message in [.vmState(connected: true), .list(.vms, cursor: 0), .screenshot(nil)] {
      let peer = try Self.guest(world, "alpha")
      try peer.send(message, serial: 3)
      try world.wait("the end") { try peer.refused(.notPermitted) }
    }
  }
}

extension World {
  /// A VM's graphics card that the hub knows.
  @discardableResult
  func presentProducer(_ name: String) throws -> ProducerClient {
    let (client, _) = producer(name)
    try wait("the producer") { hub?.machines[PeerName(name)!]?.producer != nil }
    return client
  }
}

extension RawPeer {
  var hasWelcome: Bool {
    get throws { try !all { message, _ in if case .welcome = message { true } else { nil } }.isEmpty }
  }

  /// Whether the hub ended the connection for a reason of that kind.
  func refused(_ code: ErrorCode) throws -> Bool {
    let reasons = try all { message, _ in if case .error(let refusal) = message { refusal.code } else { nil } }
    return isEnded && reasons == [code]
  }

  /// Asks for a buffer; nil: there is none.
  func lookup(_ key: BufferKey, serial: UInt64, in world: World) throws -> BufferInfo? {
    try send(.application(.lookup(key)), serial: serial)
    var answers: [BufferInfo?] = []
    try world.wait("an answer") {
      answers = try all { message, number in
        guard number == serial else { return nil }
        switch message {
        case .application(.bufferInfo(let info)): return .some(info)
        case .error: return .some(nil)
        default: return nil
        }
      }
      return !answers.isEmpty
    }
    return answers[0]
  }
}

extension Message {
  fileprivate var acquired: BufferInfo? { if case .application(.acquired(let info)) = self { info } else { nil } }
  fileprivate var revoked: BufferID? { if case .application(.revoked(let id, _)) = self { id } else { nil } }
}
