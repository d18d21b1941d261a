import Buffers
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

@Suite("Forms in which a VM reads") struct ReadFormTests {
  private static let alpha = Party(.vm, PeerName("alpha")!)
  private static let front = BufferKey.name(PeerName("front")!, owner: application("camera"))

  private static func grant(_ form: ReadForm?) -> GrantRequest {
    GrantRequest(to: alpha, object: .name(PeerName("front")!), form: form)
  }

  /// A camera that offers "front", and a program of the VM "alpha".
  private func sharing(
    _ world: World, isWritable: Bool = false, isShareable: Bool = true
  ) throws -> (owner: ApplicationClient, guest: RawPeer) {
    try world.presentProducer("alpha")
    let owner = world.application("camera").client
    let offered = try Offered("front", isWritable: isWritable, isShareable: isShareable)
    try world.answer { owner.offer(offered.offer, descriptor: offered.descriptor, $0) }.get()
    return (owner, try GuestTests.guest(world, "alpha"))
  }

  /// Acquires for reading: the form, and whether the descriptor that came can write.
  private func acquire(_ guest: RawPeer, in world: World) throws -> (form: ReadForm?, canWrite: Bool) {
    let former = guest.descriptorCount
    try guest.send(.application(.acquire(Acquisition(Self.front))), serial: UInt64(100 + former))
    try world.wait("memory") {
      try guest.drain()
      return guest.descriptorCount > former
    }
    let infos = try guest.all { message, _ in
      if case .application(.acquired(let info)) = message { info } else { nil as BufferInfo? }
    }
    return (infos.last?.form, SharedMemory.canWrite(try #require(guest.memory).raw))
  }

  private func listed(_ world: World) throws -> [ReadForm?] {
    try world.ask { client throws(ControlError) in try client.grants() }.map(\.form)
  }

  @Test("a copy of its own, unless the grant says shared", arguments: [nil, ReadForm.shadow, .shared])
  func asked(_ form: ReadForm?) throws {
    let world = try World()
    let (owner, guest) = try sharing(world)
    _ = try world.answer { owner.grant(Self.grant(form), $0) }.get()
    let got = try acquire(guest, in: world)
    #expect(got == (form ?? .shadow, form == .shared))
    #expect(try listed(world) == [form ?? .shadow])
  }

  @Test("what was offered read-only cannot be shared")
  func notShareable() throws {
    let world = try World()
    let (owner, guest) = try sharing(world, isShareable: false)
    _ = try world.answer { owner.grant(Self.grant(.shared), $0) }.get()
    #expect(try acquire(guest, in: world) == (.shadow, false))
  }

  @Test("without a copy where the VMM maps read-only, unless the grant says shadow")
  func enforcing() throws {
    let world = try World()
    let (owner, guest) = try sharing(world)
    let producer = try #require(world.hub?.machines[PeerName("alpha")!])
    producer.mapsReadOnly = true
    _ = try world.answer { owner.grant(Self.grant(nil), $0) }.get()
    #expect(try acquire(guest, in: world) == (.readOnly, false))
    #expect(try listed(world) == [.readOnly])
    _ = try world.answer { owner.grant(Self.grant(.shadow), $0) }.get()
    #expect(try acquire(guest, in: world) == (.shadow, false))
  }

  @Test("what is shareable cannot be written by whom it is granted to")
  func noWriteAccess() throws {
    let world = try World()
    let (owner, guest) = try sharing(world)
    let grant = GrantRequest(to: Self.alpha, object: .everything, access: .readWrite, form: nil)
    _ = try world.answer { owner.grant(grant, $0) }.get()
    #expect(try guest.lookup(Self.front, serial: 5, in: world)?.access == .read)
    try guest.send(.application(.acquire(Acquisition(Self.front, access: .readWrite))), serial: 6)
    try world.wait("an answer") {
      let codes = try guest.all { message, _ in if case .error(let refusal) = message { refusal.code } else { nil } }
      return codes == [.notFound]
    }
  }

  @Test("a lease that was shared ends with the form")
  func revoked() throws {
    let world = try World()
    let (owner, guest) = try sharing(world)
    _ = try world.answer { owner.grant(Self.grant(.shared), $0) }.get()
    #expect(try acquire(guest, in: world) == (.shared, true))
    _ = try world.answer { owner.grant(Self.grant(.shadow), $0) }.get()
    try world.wait("its end") {
      try !guest.all { message, _ in if case .application(.revoked) = message { true } else { nil } }.isEmpty
    }
  }
}
