import Buffers
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

/// What a new reader is handed first is a whole picture, and nobody waits for what was never said.
@Suite struct FirstPictureTests {
  private let front = BufferKey.name(PeerName("front")!, owner: application("camera"))
  private let spot = Rectangle(x: 1, y: 2, width: 3, height: 4)

  private func acquire(
    _ world: World, _ sharing: World.Sharing, updates: Bool = true
  ) throws -> ApplicationClient.Acquired {
    try world.answer { sharing.holder.client.acquire(Acquisition(front, wantsUpdates: updates), $0) }.get()
  }

  @Test func `a new reader is told of the next update, and of all of it`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let id = sharing.offered.id
    sharing.owner.client.update(BufferUpdate(id: id, damage: .empty, generation: 5))
    #expect(try acquire(world, sharing).info.generation == 5)
    try world.turn()
    #expect(sharing.holder.log.updates.isEmpty, "its owner may be drawing over it just now")
    sharing.owner.client.update(BufferUpdate(id: id, damage: spot, generation: 6))
    try world.wait("told") { sharing.holder.log.updates.count == 1 }
    #expect(
      sharing.holder.log.updates[0].update == BufferUpdate(id: id, damage: sharing.offered.whole, generation: 6))
    sharing.holder.client.done(id, generation: 6)
    sharing.owner.client.update(BufferUpdate(id: id, damage: spot, generation: 7))
    try world.wait("told") { sharing.holder.log.updates.count == 2 }
    #expect(sharing.holder.log.updates[1].update.damage == spot)
  }

  @Test func `an owner is asked for a whole picture, and is waited for while it hands it out`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let id = sharing.offered.id
    sharing.owner.client.update(BufferUpdate(id: id, damage: .empty, generation: 5))
    _ = try acquire(world, sharing)
    try world.wait("asked") { sharing.owner.log.asked == [5] }
    sharing.owner.log.done.removeAll()
    sharing.owner.client.update(BufferUpdate(id: id, damage: .empty, generation: 6))
    try world.wait("told") { sharing.holder.log.updates.count == 1 }
    #expect(sharing.owner.log.done.isEmpty)
    sharing.holder.client.done(id, generation: 6)
    try world.wait("read") { sharing.owner.log.done.last?.done.remaining == 0 }
    #expect(sharing.owner.log.asked == [5])
  }

  @Test func `an owner is not asked for readers who want no updates, nor for a picture that is on its way`() throws {
    let world = try World()
    let sharing = try world.sharing()
    _ = try acquire(world, sharing, updates: false)
    try world.turn()
    #expect(sharing.owner.log.asked.isEmpty)
    let reader = try world.raw()
    try reader.hello(.application, "recorder2")
    let grant = GrantRequest(to: application("recorder2"), object: .everything)
    _ = try world.answer { sharing.owner.client.grant(grant, $0) }.get()
    let owner = try #require(world.hub?.endpoints[application("camera")].first)
    try reader.send(.acquire(Acquisition(front, wantsUpdates: true)), serial: 3)
    sharing.owner.client.update(BufferUpdate(id: sharing.offered.id, damage: .empty, generation: 1))
    _ = try reader.wait("told") { if case .application(.updated(let update)) = $0 { update } else { nil } }
    try world.turn()
    let asked = sharing.owner.log.asked
    #expect(asked.isEmpty || asked == [0], "asked before the update came, or not at all")
    #expect(owner.notices.isEmpty)
  }

  @Test func `whoever asks again without updates is not waited for any more`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let id = sharing.offered.id
    _ = try acquire(world, sharing)
    sharing.owner.client.update(BufferUpdate(id: id, damage: .empty, generation: 1))
    try world.wait("told") { sharing.holder.log.updates.count == 1 }
    #expect(sharing.owner.log.done.isEmpty)
    _ = try acquire(world, sharing, updates: false)
    try world.wait("free") { sharing.owner.log.done.last?.done.remaining == 0 }
    #expect(sharing.owner.log.done.last?.done.generation == 1)
    sharing.owner.client.update(BufferUpdate(id: id, damage: .empty, generation: 2))
    try world.wait("nobody listens") { sharing.owner.log.done.last?.done.holder == 0 }
    #expect(sharing.holder.log.updates.count == 1)
  }

  @Test func `whoever asks again with updates is told from the next one on, and not waited for before`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let id = sharing.offered.id
    _ = try acquire(world, sharing, updates: false)
    for generation in 1...3 as ClosedRange<UInt64> {
      sharing.owner.client.update(BufferUpdate(id: id, damage: spot, generation: generation))
    }
    try world.wait("nobody listens") { sharing.owner.log.done.last?.done.generation == 3 }
    _ = try acquire(world, sharing)
    try world.wait("asked") { sharing.owner.log.asked == [3] }
    #expect(world.hub?.registry.find(id)?.sharing.remaining == 0)
    sharing.owner.client.update(BufferUpdate(id: id, damage: spot, generation: 4))
    try world.wait("told") { sharing.holder.log.updates.last?.update.damage == sharing.offered.whole }
    sharing.holder.client.done(id, generation: 4)
    try world.wait("read") { sharing.owner.log.done.last?.done.remaining == 0 }
  }

  // MARK: Waiting

  @Test func `an acquisition that waits is taken back, and answered as what is not there`() throws {
    let world = try World()
    let peer = try world.raw()
    try peer.hello(.application, "recorder")
    for serial in 1...16 as ClosedRange<UInt64> {
      let key = BufferKey.name(PeerName("w\(serial)")!, owner: application("camera"))
      try peer.send(.acquire(Acquisition(key, waits: true)), serial: serial)
    }
    try world.turn()
    try peer.send(.cancel(serial: 3))
    let refusal = try peer.wait("answered") { if case .error(let refusal) = $0 { refusal } else { nil } }
    #expect(refusal.code == .notFound && refusal.reason == "no such buffer")
    #expect(try peer.all { if case .error = $0 { $1 } else { nil } } == [3 as UInt64])
    peer.forget()
    try peer.send(.acquire(Acquisition(front, waits: true)), serial: 20)
    for stale in [3, 99, 0] as [UInt64] { try peer.send(.cancel(serial: stale)) }
    try world.turn()
    #expect(try peer.all { message, _ in message }.isEmpty, "there is room for another, and nothing to take back")
    let owner = world.application("camera")
    let offered = try Offered("w3")
    try world.answer { owner.client.offer(offered.offer, descriptor: offered.descriptor, $0) }.get()
    _ = try world.answer { owner.client.grant(GrantRequest(to: application("recorder"), object: .everything), $0) }
    try world.turn()
    #expect(try peer.all { message, _ in message }.isEmpty)
  }

  @Test func `a client that does not wait any more has its answer`() throws {
    let world = try World()
    let holder = world.application("recorder")
    try world.wait("connected") { holder.client.isLinked }
    var codes: [ErrorCode?] = []
    let request = holder.client.acquire(Acquisition(front, waits: true)) { codes.append($0.code) }
    holder.client.cancel(try #require(request))
    try world.wait("answered") { codes == [.notFound] }
    #expect(world.hub?.endpoints[application("recorder")].first?.waiting.isEmpty == true)
  }
}
