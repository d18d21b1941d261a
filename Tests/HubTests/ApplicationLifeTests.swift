import Buffers
import Glibc
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

@Suite struct ApplicationLifeTests {
  private let front = BufferKey.name(PeerName("front")!, owner: application("camera"))

  private func isEmpty(_ world: World) -> Bool {
    guard let hub = world.hub else { return false }
    return hub.registry.all.isEmpty && hub.accounts.parties.allSatisfy { hub.accounts.totals(of: $0) == .nothing }
  }

  @Test func `a withdrawn buffer is freed once its holder has released it`() throws {
    let world = try World()
    let sharing = try world.sharing()
    _ = try world.answer { sharing.holder.client.acquire(Acquisition(front), $0) }.get()
    #expect(world.hub?.registry.find(sharing.offered.id)?.state == .leased)
    try world.answer { sharing.owner.client.withdraw(sharing.offered.id, $0) }.get()
    try world.wait("told") { sharing.holder.log.toRelease == [sharing.offered.id] }
    #expect(sharing.owner.log.freed.isEmpty && world.hub?.registry.all.count == 1)
    sharing.holder.client.release(sharing.offered.id)
    try world.wait("freed") { sharing.owner.log.freed == [sharing.offered.id] }
    #expect(isEmpty(world) && sharing.owner.log.lost.isEmpty)
  }

  @Test func `release is not destruction`() throws {
    let world = try World()
    let sharing = try world.sharing()
    for _ in 0..<3 {
      _ = try world.answer { sharing.holder.client.acquire(Acquisition(front), $0) }.get()
      sharing.holder.client.release(sharing.offered.id)
    }
    try world.wait("shared") { world.hub?.registry.find(sharing.offered.id)?.state == .shared }
  }

  @Test func `a holder that never releases is cut off, and the owner is told what it lost and that it is freed`() throws
  {
    let world = try World { $0.leaseLimit = .milliseconds(60) }
    let sharing = try world.sharing()
    let holder = try world.raw()
    try holder.hello(.application, "stuck")
    _ = try world.answer { sharing.owner.client.grant(GrantRequest(to: application("stuck"), object: .everything), $0) }
    _ = try holder.answer(.acquire(Acquisition(front)))
    try world.answer { sharing.owner.client.withdraw(sharing.offered.id, $0) }.get()
    #expect(try holder.refusal()?.code == .revoked)
    try world.wait("freed") { sharing.owner.log.freed == [sharing.offered.id] }
    #expect(sharing.owner.log.lost == [sharing.offered.id])
    #expect(isEmpty(world))
  }

  @Test func `a holder that releases in time stays`() throws {
    let world = try World { $0.leaseLimit = .milliseconds(60) }
    let sharing = try world.sharing()
    _ = try world.answer { sharing.holder.client.acquire(Acquisition(front), $0) }.get()
    try world.answer { sharing.owner.client.revoke(sharing.grant, $0) }.get()
    try world.wait("told") { sharing.holder.log.toRelease == [sharing.offered.id] }
    sharing.holder.client.release(sharing.offered.id)
    try world.run(for: .milliseconds(200))
    #expect(sharing.holder.log.links.count == 1 && sharing.owner.log.lost.isEmpty)
    #expect(world.hub?.registry.find(sharing.offered.id)?.state == .registered)
  }

  @Test func `a grant given again in time lets the holder keep the buffer`() throws {
    let world = try World { $0.leaseLimit = .milliseconds(80) }
    let sharing = try world.sharing()
    _ = try world.answer { sharing.holder.client.acquire(Acquisition(front), $0) }.get()
    try world.answer { sharing.owner.client.revoke(sharing.grant, $0) }.get()
    _ = try world.answer {
      sharing.owner.client.grant(GrantRequest(to: application("recorder"), object: .everything), $0)
    }.get()
    try world.run(for: .milliseconds(200))
    #expect(sharing.holder.log.links.count == 1 && sharing.owner.log.lost.isEmpty)
  }

  @Test func `an owner's death retires its buffers, and their charge ends with the last lease`() throws {
    let world = try World()
    let sharing = try world.sharing()
    _ = try world.answer { sharing.holder.client.acquire(Acquisition(front), $0) }.get()
    sharing.owner.client.stop()
    try world.wait("told") { sharing.holder.log.toRelease == [sharing.offered.id] }
    #expect(world.hub?.accounts.totals(of: application("camera")).hostAllocated == sharing.offered.memory.byteCount)
    #expect(world.hub?.accounts.totals(of: application("recorder")).imported == 64 * 32 * 4)
    sharing.holder.client.release(sharing.offered.id)
    try world.wait("freed") { isEmpty(world) }
  }

  @Test func `a holder's death ends its leases`() throws {
    let world = try World()
    let sharing = try world.sharing()
    _ = try world.answer { sharing.holder.client.acquire(Acquisition(front, wantsUpdates: true), $0) }.get()
    sharing.holder.client.stop()
    try world.wait("not leased") { world.hub?.registry.find(sharing.offered.id)?.leases == 0 }
    try world.wait("told") { sharing.owner.log.done.last?.done.remaining == 0 }
  }

  @Test func `a restarted hub is offered everything again, and configured grants are back`() throws {
    let configure = { (configuration: inout Hub.Configuration) in
      configuration.grants = [
        GrantRequest(owner: application("camera"), to: application("recorder"), object: .everything)
      ]
    }
    let world = try World(configure)
    let owner = world.application("camera")
    let holder = world.application("recorder")
    let offered = try Offered("front")
    try world.answer { owner.client.offer(offered.offer, descriptor: offered.descriptor, $0) }.get()
    _ = try world.answer { holder.client.acquire(Acquisition(front), $0) }.get()
    world.killHub()
    try world.wait("lost") { !holder.client.isLinked && !owner.client.isLinked }
    try world.startHub(configure)
    try world.wait("back") { holder.client.isLinked && owner.client.isLinked }
    let again = try world.answer { holder.client.acquire(Acquisition(front, waits: true), $0) }.get()
    #expect(again.info.buffer.id == offered.id && again.info.leases == 1)
  }

  @Test func `several buffers in one file are charged once, until the last of them is gone`() throws {
    let world = try World()
    let owner = world.application("camera")
    let memory = try Offered()
    var ids: [BufferID] = []
    for _ in 0..<3 {
      var offer = memory.offer
      offer.buffer = BufferDescription(id: .random(), layout: offer.buffer.layout)
      ids.append(offer.buffer.id)
      try world.answer { owner.client.offer(offer, descriptor: memory.descriptor, $0) }.get()
    }
    let used = { world.hub?.accounts.totals(of: application("camera")).hostAllocated }
    for id in ids {
      #expect(used() == memory.memory.byteCount)
      try world.answer { owner.client.withdraw(id, $0) }.get()
    }
    #expect(used() == 0)
  }

  // MARK: Limits

  @Test func `beyond a limit a program gets a clear error, and nothing else changes`() throws {
    var limits = LedgerAmounts.usualApplicationLimits
    limits.hostAllocated = 10_000
    let world = try World { $0.applications = [PeerName("camera")!: .init(limits: limits)] }
    let owner = world.application("camera")
    let (first, second) = (try Offered("first"), try Offered("second"))
    try world.answer { owner.client.offer(first.offer, descriptor: first.descriptor, $0) }.get()
    let refused = try world.answer { owner.client.offer(second.offer, descriptor: second.descriptor, $0) }
    #expect(refused.code == .overLimit)
    if case .failure(.declined(let refusal)) = refused {
      #expect(refusal.reason == "8192 more bytes of host memory than the 8192 in use would exceed 10000")
    }
    #expect(owner.log.links.count == 1 && world.hub?.registry.all.count == 1)
    try world.answer { owner.client.withdraw(first.id, $0) }.get()
    try world.answer { owner.client.offer(second.offer, descriptor: second.descriptor, $0) }.get()
  }

  @Test func `the 1025th buffer, lease, and the 17th waiting acquisition are declined`() throws {
    let world = try World()
    let owner = world.application("camera")
    let holder = world.application("recorder")
    let memory = try Offered()
    var codes: [ErrorCode?] = []
    var ids: [BufferID] = []
    for _ in 0...Wire.maximumBuffers {
      var offer = memory.offer
      offer.buffer = BufferDescription(id: .random(), layout: offer.buffer.layout)
      ids.append(offer.buffer.id)
      owner.client.offer(offer, descriptor: memory.descriptor) { codes.append($0.code) }
    }
    try world.wait("all answered") { codes.count == 1025 }
    #expect(codes.filter { $0 != nil } == [.overLimit] && codes.last == .overLimit)
    for number in 0...PartyEndpoint.maximumWaiting {
      let request = Acquisition(.name(PeerName("w\(number)")!, owner: application("camera")), waits: true)
      holder.client.acquire(request) { codes.append($0.code) }
    }
    try world.wait("one declined") { codes.count == 1026 }
    #expect(codes.last == .overLimit)
  }

  @Test func `a second buffer of the same name is declined, and the name is free after the first`() throws {
    let world = try World()
    let owner = world.application("camera")
    let (first, second) = (try Offered("front"), try Offered("front"))
    try world.answer { owner.client.offer(first.offer, descriptor: first.descriptor, $0) }.get()
    #expect(
      try world.answer { owner.client.offer(second.offer, descriptor: second.descriptor, $0) }.code == .nameTaken)
    try world.answer { owner.client.withdraw(first.id, $0) }.get()
    try world.answer { owner.client.offer(second.offer, descriptor: second.descriptor, $0) }.get()
  }

  @Test func `the 257th grant of an owner is declined, and a grant for a buffer ends with it`() throws {
    let world = try World()
    let owner = world.application("camera")
    let offered = try Offered()
    try world.answer { owner.client.offer(offered.offer, descriptor: offered.descriptor, $0) }.get()
    for number in 0..<GrantTable.maximumPerOwner {
      let grant = GrantRequest(to: application("r\(number)"), object: .id(offered.id))
      _ = try world.answer { owner.client.grant(grant, $0) }.get()
    }
    let surplus = GrantRequest(to: application("x"), object: .everything)
    #expect(try world.answer { owner.client.grant(surplus, $0) }.code == .overLimit)
    try world.answer { owner.client.withdraw(offered.id, $0) }.get()
    #expect(world.hub?.grants.count == 0)
    _ = try world.answer { owner.client.grant(surplus, $0) }.get()
  }
}
