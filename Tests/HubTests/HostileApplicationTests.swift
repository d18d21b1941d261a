import Buffers
import Glibc
import Testing

@testable import Hub
@testable import HubProtocol
@testable import Platform

@Suite struct HostileApplicationTests {
  private func peer(_ world: World, _ name: String = "bad") throws -> RawPeer {
    let peer = try world.raw()
    try peer.hello(.application, name)
    return peer
  }

  @Test func `acquiring and releasing a hundred thousand times costs nothing`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let peer = try peer(world, "recorder2")
    _ = try world.answer {
      sharing.owner.client.grant(GrantRequest(to: application("recorder2"), object: .everything), $0)
    }
    let id = sharing.offered.id
    let pair = [ApplicationMessage.acquire(Acquisition(.id(id), wantsUpdates: true)), .release(id)].map {
      Message.application($0).encoded(serial: 5)
    }
    let packet = Array((0..<8).map { _ in pair[0] + pair[1] }.joined())
    func round(_ count: Int) throws {
      for _ in 0..<count {
        while try !peer.send(packet) { try world.turn(1) }
        try world.turn(1)
        try peer.drain()
        peer.forget()
      }
    }
    try round(500)
    let (files, memory) = (openDescriptors(), residentBytes())
    try round(12_000)
    try world.turn(20)
    try peer.drain()
    #expect(openDescriptors() <= files + 2)
    #expect(residentBytes() - memory < 16 << 20)
    #expect(!peer.isEnded && world.hub?.registry.find(id)?.leases == 0)
  }

  @Test func `offers and grants without end, answers unread, end their sender only`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let peer = try peer(world)
    let offered = try Offered()
    let memory = residentBytes()
    for number in 0..<200_000 as Range<UInt64> {
      var offer = offered.offer
      offer.buffer = BufferDescription(id: .random(), layout: offer.buffer.layout)
      let isSent =
        number % 2 == 0
        ? try peer.send(.offer(offer), serial: number + 1, descriptors: [offered.descriptor.raw])
        : try peer.send(
          .grant(GrantRequest(to: application("x\(number)"), object: .everything)), serial: number + 1)
      if !isSent {
        try world.turn(2)
        guard try peer.send(.withdraw(.random()), serial: 1) else { break }
      }
    }
    #expect(residentBytes() - memory < 32 << 20)
    _ = try world.answer { sharing.holder.client.acquire(Acquisition(.id(sharing.offered.id)), $0) }.get()
    #expect(sharing.owner.log.links.count == 1)
  }

  @Test(arguments: ["file", "socket", "directory"])
  func `a fence that cannot be waited for is refused`(kind: String) throws {
    let world = try World()
    let peer = try peer(world)
    let offered = try Offered()
    _ = try peer.answer(.offer(offered.offer), descriptors: [offered.descriptor.raw])
    let fence: Int32
    switch kind {
    case "file": fence = try SharedMemory.create(name: "fence", count: 4096).release()
    case "socket": fence = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    default: fence = open("/", O_RDONLY)
    }
    defer { close(fence) }
    let update = BufferUpdate(id: offered.id, damage: .empty, generation: 1)
    try peer.send(.update(update), descriptors: [fence])
    #expect(try peer.refusal()?.code == .malformed)
  }

  @Test func `fences without end for a reader that does not read are the newest only`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let reader = try peer(world, "stuck")
    _ = try world.answer { sharing.owner.client.grant(GrantRequest(to: application("stuck"), object: .everything), $0) }
    _ = try reader.answer(.acquire(Acquisition(.id(sharing.offered.id), wantsUpdates: true)))
    let files = openDescriptors()
    for generation in 1...5000 as ClosedRange<UInt64> {
      let update = BufferUpdate(id: sharing.offered.id, damage: .empty, generation: generation)
      sharing.owner.client.update(update, fence: try Doorbell().waiting)
      if generation % 8 == 0 { try world.turn(3) }
    }
    try world.turn(10)
    #expect(openDescriptors() < files + 40)
  }

  @Test func `a generation that does not rise, and an update of another's buffer, end the sender`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let offered = try Offered()
    let first = try peer(world, "a")
    _ = try first.answer(.offer(offered.offer), descriptors: [offered.descriptor.raw])
    for _ in 0..<2 { try first.send(.update(BufferUpdate(id: offered.id, damage: .empty, generation: 5))) }
    #expect(try first.refusal()?.code == .malformed)
    let second = try peer(world, "b")
    try second.send(.update(BufferUpdate(id: sharing.offered.id, damage: .empty, generation: 5)))
    #expect(try second.refusal()?.code == .unknownObject)
    #expect(sharing.owner.log.links.count == 1)
  }

  @Test func `nobody withdraws, releases or finishes another's buffer`() throws {
    let world = try World()
    let sharing = try world.sharing()
    let request = Acquisition(.id(sharing.offered.id), wantsUpdates: true)
    _ = try world.answer { sharing.holder.client.acquire(request, $0) }.get()
    let thief = try peer(world)
    guard case .error(let refusal) = try thief.answer(.withdraw(sharing.offered.id)) else {
      Issue.record("withdrawn")
      return
    }
    #expect(refusal.code == .notFound)
    try thief.send(.release(sharing.offered.id))
    try thief.send(.done(sharing.offered.id, generation: 1))
    try world.turn()
    #expect(!thief.isEnded && world.hub?.registry.find(sharing.offered.id)?.leases == 1)
  }

  @Test func `memory that a holder could change or end is refused when it is offered`() throws {
    let world = try World()
    let offered = try Offered()
    let writable = try offered.memory.writableDescriptor()
    let refused = try peer(world, "a")
    try refused.send(.offer(offered.offer), serial: 1, descriptors: [writable.raw])
    #expect(try refused.refusal()?.code == .badBuffer)
    let liar = try peer(world, "b")
    var offer = offered.offer
    offer.isWritable = true
    try liar.send(.offer(offer), serial: 1, descriptors: [offered.descriptor.raw])
    #expect(try liar.refusal()?.code == .badBuffer)
    let ranges = try peer(world, "c")
    offer.isWritable = false
    offer.memory.kind = .ranges
    try ranges.send(.offer(offer), serial: 1, descriptors: [offered.descriptor.raw])
    #expect(try ranges.refusal()?.code == .badBuffer)
  }

  /// Each: a sample with one field overwritten (offset from the end of the header).
  @Test(
    arguments: [
      ("17 properties", 148, 17), ("properties that are not there", 148, 1), ("an unknown flag", 144, 4),
      ("flags that exclude each other", 144, 3),
      ("a reserved field", 156, 1), ("too many images", 152, 4), ("a name without an end", 143, 65),
      ("an unknown memory kind", 48, 7),
    ] as [(String, Int, UInt8)])
  func `an offer with a bad field ends its sender`(what: String, offset: Int, value: UInt8) throws {
    let world = try World()
    let peer = try peer(world)
    let offered = try Offered("front")
    var bytes = Message.application(.offer(offered.offer)).encoded(serial: 1, carriesDescriptor: true)
    bytes[16 + offset] = value
    try peer.send(bytes, descriptors: [offered.descriptor.raw])
    #expect(try peer.refusal()?.code == .malformed, "\(what)")
  }

  @Test func `two properties of one name are refused`() throws {
    let world = try World()
    let peer = try peer(world)
    let property = try #require(BufferProperty("a", "1"))
    let offered = try Offered("front", properties: [property, property])
    try peer.send(.offer(offered.offer), descriptors: [offered.descriptor.raw])
    #expect(try peer.refusal()?.code == .malformed)
  }

  @Test func `a display and a control program may not offer`() throws {
    let world = try World()
    let offered = try Offered("front")
    for role in [Role.consumer, .control] {
      let peer = try world.raw()
      try peer.hello(role, "x")
      try peer.send(.offer(offered.offer), serial: 1, descriptors: [offered.descriptor.raw])
      #expect(try peer.refusal()?.code == .notPermitted)
    }
  }

  @Test func `two applications of one name are refused`() throws {
    let world = try World()
    let first = world.application("camera")
    try world.wait("connected") { first.log.links.count == 1 }
    let second = try peer(world, "camera")
    #expect(try second.refusal()?.code == .nameInUse)
  }
}
