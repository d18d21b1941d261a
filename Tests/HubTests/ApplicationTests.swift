import Buffers
import Glibc
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

@Suite struct ApplicationTests {
  private let front = BufferKey.name(PeerName("front")!, owner: application("camera"))

  @Test func `a granted buffer is read where its owner draws, and cannot be mapped for writing`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let acquired = try world.answer { sharing.holder.client.acquire(Acquisition(front), $0) }.get()
    #expect(acquired.info.buffer.id == sharing.offered.id && acquired.info.owner == application("camera"))
    #expect(acquired.info.access == .read && acquired.info.name?.text == "front")
    let mapped = try MemoryMapping(descriptor: acquired.descriptor.raw, count: 4096, access: .readOnly)
    #expect(mapped.bytes.loadUnaligned(as: UInt32.self) == 0x1234)
    sharing.offered.memory.bytes.storeBytes(of: 0x5678, as: UInt32.self)
    #expect(mapped.bytes.loadUnaligned(as: UInt32.self) == 0x5678)
    let refused = #expect(throws: SystemError.self) {
      _ = try MemoryMapping(descriptor: acquired.descriptor.raw, count: 4096, access: .readWrite)
    }
    #expect(refused?.code == EACCES)
    #expect(write(acquired.descriptor.raw, "x", 1) < 0 && errno == EBADF)
  }

  @Test func `a buffer that was offered read-only is not granted for writing`() throws {
    let world = try World()
    let sharing = try world.sharing(access: .readWrite)
    let request = Acquisition(front, access: .readWrite)
    #expect(try world.answer { sharing.holder.client.acquire(request, $0) }.code == .notFound)
    #expect(try world.answer { sharing.holder.client.acquire(Acquisition(front), $0) }.get().info.access == .read)
  }

  /// Each key is one of a buffer that the asker may not have, for another reason.
  @Test func `a guessed, a stale, a missing, a forbidden and a revoked buffer get the same answer, byte for byte`()
    throws
  {
    let world = try World()
    let owner = world.application("camera")
    let (secret, stale, revoked) = (try Offered("secret"), try Offered("stale"), try Offered("revoked"))
    for offered in [secret, stale, revoked] {
      try world.answer { owner.client.offer(offered.offer, descriptor: offered.descriptor, $0) }.get()
    }
    let grant = GrantRequest(to: application("thief"), object: .id(stale.id))
    _ = try world.answer { owner.client.grant(grant, $0) }.get()
    try world.answer { owner.client.withdraw(stale.id, $0) }.get()
    let display = world.display()
    let vm = world.producer("a")
    try vm.client.show(try picture())
    try world.wait("shown") { display.log.buffer("a") != nil }
    let shown = try #require(display.log.buffer("a")?.id)
    let keys: [BufferKey] = [
      .id(.random()), .id(stale.id), .id(secret.id), .id(revoked.id), .id(shown),
      .name(PeerName("secret")!, owner: application("camera")),
      .name(PeerName("revoked")!, owner: application("camera")),
      .name(PeerName("stale")!, owner: application("camera")), .name(PeerName("none")!, owner: application("camera")),
      .name(PeerName("x")!, owner: application("nobody")), .name(PeerName("x")!, owner: Party(.vm, PeerName("a")!)),
    ]
    let thief = try world.raw()
    try thief.hello(.application, "thief")
    _ = try thief.wait("welcome") { if case .welcome = $0 { true } else { nil } }
    // It had this one, and has it still: the right to ask for it is what is gone.
    let given = GrantRequest(to: application("thief"), object: .id(revoked.id))
    let number = try world.answer { owner.client.grant(given, $0) }.get()
    #expect(try thief.answer(.acquire(Acquisition(.id(revoked.id)))).type == .acquired)
    try world.answer { owner.client.revoke(number, $0) }.get()
    _ = try thief.wait("revoked") { if case .application(.revoked) = $0 { true } else { nil } }
    for request in [{ ApplicationMessage.acquire(Acquisition($0)) }, { .lookup($0) }] {
      let answers = try keys.map { key in
        let answer = try thief.answer(request(key))
        return answer.encoded(serial: 9)
      }
      #expect(Set(answers).count == 1)
      #expect(answers.first.map { $0[16] } == UInt8(ErrorCode.notFound.rawValue))
    }
    guard case .application(.queryEnd(count: 0, next: 0)) = try thief.answer(.query(BufferQuery())) else {
      Issue.record("something is listed")
      return
    }
  }

  @Test func `a taken id is offered like a free one: nothing says that somebody has it`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let thief = world.application("thief")
    let (free, taken) = (try Offered("free"), try Offered("taken"))
    var offer = taken.offer
    offer.buffer = BufferDescription(id: sharing.offered.id, layout: taken.memory.layout)
    try world.answer { thief.client.offer(free.offer, descriptor: free.descriptor, $0) }.get()
    try world.answer { thief.client.offer(offer, descriptor: taken.descriptor, $0) }.get()
    let own = try world.answer { thief.client.lookup(.id(sharing.offered.id), $0) }.get()
    #expect(own.owner == application("thief") && own.name?.text == "taken")
    let known = try world.answer { sharing.holder.client.lookup(.id(sharing.offered.id), $0) }.get()
    #expect(known.owner == application("camera"), "who may use the first one gets that")
    try world.answer { thief.client.withdraw(sharing.offered.id, $0) }.get()
    let left = try world.answer { thief.client.lookup(.id(sharing.offered.id), $0) }
    #expect(left.code == .notFound)
    _ = try world.answer { sharing.holder.client.acquire(Acquisition(.id(sharing.offered.id)), $0) }.get()
  }

  @Test func `of two buffers of one id each owner grants its own, and a holder gets the one that it may use`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let second = world.application("second")
    let own = try Offered("own")
    var offer = own.offer
    offer.buffer = BufferDescription(id: sharing.offered.id, layout: own.memory.layout)
    try world.answer { second.client.offer(offer, descriptor: own.descriptor, $0) }.get()
    let viewer = world.application("viewer")
    let grant = GrantRequest(to: application("viewer"), object: .id(sharing.offered.id))
    _ = try world.answer { second.client.grant(grant, $0) }.get()
    let found = try world.answer { viewer.client.lookup(.id(sharing.offered.id), $0) }.get()
    #expect(found.owner == application("second"))
    let other = try world.answer { sharing.holder.client.lookup(.id(sharing.offered.id), $0) }.get()
    #expect(other.owner == application("camera"))
  }

  @Test func `changes are told with the union of their damages and the newest generation, however slow the reader`()
    throws
  {
    let world = try World()
    let sharing = try world.sharing()
    let reader = try world.raw()
    try reader.hello(.application, "slow")
    let grant = GrantRequest(to: application("slow"), object: .everything)
    _ = try world.answer { sharing.owner.client.grant(grant, $0) }.get()
    _ = try reader.answer(.acquire(Acquisition(.id(sharing.offered.id), wantsUpdates: true)))
    sharing.owner.client.update(BufferUpdate(id: sharing.offered.id, damage: .empty, generation: 1))
    _ = try reader.wait("the first") { if case .application(.updated(let update)) = $0 { update } else { nil } }
    reader.forget()
    for generation in 2...20_000 as ClosedRange<UInt64> {
      let x = UInt32(generation % 64)
      let damage = Rectangle(x: x, y: UInt32(generation % 16), width: 1, height: 1)
      sharing.owner.client.update(BufferUpdate(id: sharing.offered.id, damage: damage, generation: generation))
      if generation % 16 == 0 { try world.turn(2) }
    }
    var updates: [BufferUpdate] = []
    try world.wait("the newest") {
      updates += try reader.all { message, _ in
        if case .application(.updated(let update)) = message { update } else { nil }
      }
      reader.forget()
      return updates.last?.generation == 20_000
    }
    #expect(updates.count < 20_000 && updates.map(\.generation) == updates.map(\.generation).sorted())
    let all = updates.reduce(Rectangle.empty) { $0.union($1.damage) }
    #expect(all == Rectangle(x: 0, y: 0, width: 64, height: 16))
  }

  @Test func `fences travel with updates and with what was read`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let request = Acquisition(front, wantsUpdates: true)
    _ = try world.answer { sharing.holder.client.acquire(request, $0) }.get()
    let bell = try Doorbell()
    let update = BufferUpdate(id: sharing.offered.id, damage: sharing.offered.whole, generation: 7)
    sharing.owner.client.update(update, fence: bell.waiting)
    try world.wait("told") { sharing.holder.log.updates.count == 1 }
    let told = sharing.holder.log.updates[0]
    #expect(told.update == update)
    let received = try #require(told.fence)
    #expect(!isReadable(received.raw))
    bell.ring()
    #expect(isReadable(received.raw))
    sharing.holder.client.done(sharing.offered.id, generation: 7, fence: received)
    try world.wait("told back") { sharing.owner.log.done.count == 1 }
    #expect(sharing.owner.log.done[0].done.generation == 7 && sharing.owner.log.done[0].done.remaining == 0)
    #expect(sharing.owner.log.done[0].fence.map { isReadable($0.raw) } == true)
  }

  private func isReadable(_ raw: Int32) -> Bool {
    var entry = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 0) == 1
  }

  @Test func `the owner knows how many have not read, and at once when nobody listens`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let id = sharing.offered.id
    sharing.owner.client.update(BufferUpdate(id: id, damage: .empty, generation: 1))
    try world.wait("nobody") { sharing.owner.log.done.count == 1 }
    #expect(sharing.owner.log.done[0].done == BufferDone(id: id, generation: 1, holder: 0, remaining: 0))
    let second = world.application("second")
    _ = try world.answer {
      sharing.owner.client.grant(GrantRequest(to: application("second"), object: .everything), $0)
    }
    for client in [sharing.holder.client, second.client] {
      _ = try world.answer { client.acquire(Acquisition(front, wantsUpdates: true), $0) }.get()
    }
    sharing.owner.client.update(BufferUpdate(id: id, damage: .empty, generation: 2))
    try world.wait("both told") { sharing.holder.log.updates.count == 1 && second.log.updates.count == 1 }
    sharing.holder.client.done(id, generation: 2)
    try world.wait("one has read") { sharing.owner.log.done.count == 2 }
    #expect(sharing.owner.log.done[1].done.remaining == 1 && sharing.owner.log.done[1].done.holder != 0)
    second.client.release(id)
    try world.wait("the other has gone") { sharing.owner.log.done.count == 3 }
    #expect(sharing.owner.log.done[2].done.remaining == 0)
  }

  @Test func `an acquisition can wait for the buffer, and for the grant`() throws {
    let world = try World()
    let holder = world.application("recorder")
    var answers: [Result<ApplicationClient.Acquired, ApplicationClient.Failure>] = []
    holder.client.acquire(Acquisition(front, waits: true)) { answers.append($0) }
    try world.run(for: .milliseconds(20))
    #expect(answers.isEmpty)
    let owner = world.application("camera")
    let offered = try Offered("front")
    try world.answer { owner.client.offer(offered.offer, descriptor: offered.descriptor, $0) }.get()
    try world.run(for: .milliseconds(20))
    #expect(answers.isEmpty)
    _ = try world.answer { owner.client.grant(GrantRequest(to: application("recorder"), object: .everything), $0) }
      .get()
    try world.wait("acquired") { answers.count == 1 }
    #expect(try answers[0].get().info.buffer.id == offered.id)
  }

  @Test func `a VM offers and acquires, too`() throws {
    let world = try World()
    let vm = try world.raw()
    try vm.hello(.producer, "a")
    let offered = try Offered("surface")
    let accepted = try vm.answer(.offer(offered.offer), descriptors: [offered.descriptor.raw])
    #expect(try accepted == .application(.accepted(nil)) || vm.answer(.lookup(.id(offered.id))).type == .bufferInfo)
    let sharing = try world.sharing()
    _ = try world.answer {
      sharing.owner.client.grant(
        GrantRequest(to: Party(.vm, PeerName("a")!), object: .everything), $0)
    }.get()
    vm.forget()
    try vm.send(.acquire(Acquisition(front)), serial: 4)
    _ = try vm.wait("acquired") { if case .application(.acquired(let info)) = $0 { info } else { nil } }
    let record = try #require(try world.ask { client throws(ControlError) in try client.vms() }.first)
    #expect(record.ledger.totals.imported == 64 * 32 * 4)
  }

  // MARK: Constraints

  @Test func `the requirements of an audience are the merged set, or name the two who disagree`() throws {
    let world = try World()
    let sharing = try world.sharing()
    var constraints = Constraints.unstated
    constraints.strideAlignment = 256
    constraints.formats = [.xrgb8888]
    try world.answer { sharing.holder.client.state(constraints, $0) }.get()
    let audience = [application("recorder"), application("camera")]
    let merged = try world.answer { sharing.owner.client.requirements(of: audience, $0) }.get()
    #expect(merged.strideAlignment == 256 && merged.formats == [.xrgb8888])
    constraints.formats = [.argb8888]
    try world.answer { sharing.owner.client.state(constraints, $0) }.get()
    let answer = try world.answer { sharing.owner.client.requirements(of: audience, $0) }
    guard case .failure(.declined(let refusal)) = answer else {
      Issue.record("they agree")
      return
    }
    #expect(refusal.code == .disagreement)
    #expect(refusal.reason == "formats: application:camera and application:recorder disagree")
  }

  @Test func `what another can use is not told to somebody who granted it nothing`() throws {
    let world = try World()
    let sharing = try world.sharing()
    var constraints = Constraints.unstated
    constraints.strideAlignment = 256
    try world.answer { sharing.holder.client.state(constraints, $0) }.get()
    let stranger = world.application("stranger")
    let merged = try world.answer { stranger.client.requirements(of: [application("recorder")], $0) }.get()
    #expect(merged == .unstated)
  }

  @Test func `constraints that contradict themselves are declined`() throws {
    let world = try World()
    let client = world.application("recorder").client
    var constraints = Constraints()
    constraints.widthMultiple = 100
    constraints.maximumWidth = 50
    #expect(try world.answer { client.state(constraints, $0) }.code == .disagreement)
  }

  // MARK: Lists

  @Test func `a list shows what may be acquired, filtered, in parts`() throws {
    let world = try World()
    let owner = world.application("camera")
    let reader = world.application("recorder")
    let memory = try Offered()
    for number in 0..<600 {
      var offer = memory.offer
      offer.buffer = BufferDescription(id: .random(), layout: offer.buffer.layout)
      offer.name = PeerName("b\(number)")
      offer.properties = [BufferProperty("parity", number % 2 == 0 ? "even" : "odd")!]
      let done = { (_: Result<Void, ApplicationClient.Failure>) in }
      owner.client.offer(offer, descriptor: memory.descriptor, done)
    }
    _ = try world.answer { owner.client.grant(GrantRequest(to: application("recorder"), object: .everything), $0) }
      .get()
    let all = try world.answer { reader.client.list(BufferQuery(), $0) }.get()
    #expect(all.map { $0.name?.text } == (0..<600).map { "b\($0)" })
    var query = BufferQuery()
    query.property = BufferProperty("parity", "odd")
    #expect(try world.answer { reader.client.list(query, $0) }.get().count == 300)
    query.name = PeerName("b17")
    #expect(try world.answer { reader.client.list(query, $0) }.get().count == 1)
    query.access = .readWrite
    #expect(try world.answer { reader.client.list(query, $0) }.get().isEmpty)
    var own = BufferQuery()
    own.isOwn = true
    #expect(try world.answer { reader.client.list(own, $0) }.get().isEmpty)
    #expect(try world.answer { owner.client.list(own, $0) }.get().count == 600)
  }

  // MARK: Identity

  @Test func `grants of the configuration are there from the start and cannot be revoked`() throws {
    let world = try World {
      $0.grants = [GrantRequest(owner: application("camera"), to: application("recorder"), object: .everything)]
    }
    let owner = world.application("camera")
    let offered = try Offered("front")
    try world.answer { owner.client.offer(offered.offer, descriptor: offered.descriptor, $0) }.get()
    let grants = try world.ask { client throws(ControlError) in try client.grants() }
    #expect(grants.count == 1 && grants[0].isConfigured)
    #expect(try world.answer { owner.client.revoke(grants[0].id, $0) }.code == .notFound)
    let holder = world.application("recorder")
    _ = try world.answer { holder.client.acquire(Acquisition(front), $0) }.get()
  }

  @Test func `a control program grants and revokes, an application only its own`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let stranger = world.application("stranger")
    #expect(try world.answer { stranger.client.revoke(sharing.grant, $0) }.code == .notFound)
    let foreign = GrantRequest(owner: application("camera"), to: application("stranger"), object: .everything)
    #expect(try world.answer { stranger.client.grant(foreign, $0) }.code == .notFound)
    let number = try world.ask { client throws(ControlError) in try client.grant(foreign) }
    _ = try world.answer { stranger.client.acquire(Acquisition(front), $0) }.get()
    try world.ask { client throws(ControlError) in try client.revoke(number) }
    try world.wait("told") { stranger.log.toRelease == [sharing.offered.id] }
  }
}
