import Buffers
import CrossDomain
import GPUDevice
import GuestChannel
import HubProtocol
import Platform
import Testing

@Suite("Hostile programs in guests") struct HostileChannelTests {
  let world: ChannelWorld
  let guest: ChannelGuest
  /// Somebody whose channel has to go on.
  let other: GuestProgram

  init() throws {
    world = try ChannelWorld()
    guest = try world.guest("a")
    other = try GuestProgram(try world.guest("b"), context: 1)
  }

  /// The other's channel still answers.
  func otherGoesOn() throws {
    guard case .queryEnd = try other.ask(.query(BufferQuery())).message else {
      Issue.record("the other's channel does not answer")
      return
    }
  }

  static let greeting = Message.hello(Hello(role: .application, name: PeerName("x")!)).encoded(serial: 0)

  @Test("before INIT nothing is sent or asked for, and INIT is said once, to what there is")
  func order() throws {
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: CrossDomain.capset), context: 9) == .okNoData)
    let early: [CrossDomainCommand] = [
      .send(Transmission(Self.greeting)), .getImageRequirements(ImageQuery(width: 1, height: 1, format: 0)),
      .initialize(queryRing: 1, channelRing: 2, .wayland),
      .initialize(queryRing: 1, channelRing: 2, ChannelType(rawValue: .max)), .receive(Transmission([])),
      .read(PipeData(pipe: 1, isHangUp: false, data: [])), .write(PipeData(pipe: .max, isHangUp: true, data: [1])),
    ]
    for command in early {
      let bytes = try #require(command.encoded)
      let submit = Command.submit3D(byteCount: UInt32(bytes.count), fenceCount: 0)
      #expect(try guest.run(submit, tail: bytes, context: 9) == .invalidParameter)
    }
    let program = try GuestProgram(guest, context: 1)
    #expect(try program.submit(.initialize(queryRing: 100, channelRing: 101, .hub)) == .invalidParameter)
    try otherGoesOn()
  }

  @Test("messages that are not a program's, cut, merged or with other descriptors than they say, are refused")
  func messages() throws {
    let program = try GuestProgram(guest, context: 1)
    let query = Message.application(.query(BufferQuery())).encoded(serial: 1)
    let flagged = Message.application(.query(BufferQuery())).encoded(serial: 1, carriesDescriptor: true)
    let offer = Message.application(.withdraw(.random())).encoded(serial: 1)
    let wrong: [[UInt8]] = [
      [], [0], Array(query.dropLast()), Array(query.dropLast(8)), query + query, query + [0], flagged, Self.greeting,
      Message.vmState(connected: false).encoded(serial: 1), Message.list(.vms, cursor: 0).encoded(serial: 1),
      Message.application(.accepted(nil)).encoded(serial: 1), [UInt8](repeating: 0xff, count: 64),
    ]
    for data in wrong { #expect(try program.submit(.send(Transmission(data))) == .invalidParameter) }
    let stray = [Transmission.Identifier(number: 100, kind: .blob)]
    #expect(try program.submit(.send(Transmission(offer, identifiers: stray))) == .invalidParameter)
    #expect(try program.submit([UInt8](repeating: 0, count: 7)) == .invalidParameter)
    _ = try program.ask(.query(BufferQuery()))
    try otherGoesOn()
  }

  @Test("an offer of what is not the program's own memory is refused")
  func offers() throws {
    let program = try GuestProgram(guest, context: 1)
    let second = try GuestProgram(guest, context: 2)
    #expect(try guest.hostBlob(7, 0, 8192, context: 2) == .okNoData)
    let layout = try #require(PixelLayout(size: ChannelTests.size, format: .xrgb8888))
    let offer = BufferOffer(
      buffer: BufferDescription(id: .random(), layout: layout), memory: MemoryDescription(hostFileOf: layout))
    for resource: UInt32 in [0, 7, 55, .max] {
      #expect(try program.say(.application(.offer(offer)), serial: 5, resource: resource) == .invalidParameter)
    }
    for ring: UInt32 in [100, 101] {
      #expect(throws: GuestProgram.Failure.self, "shorter than the picture") {
        try program.ask(.offer(offer), resource: ring)
      }
    }
    #expect(try program.say(.application(.offer(offer)), serial: 5) == .invalidParameter, "no resource")
    var large = offer
    large.buffer.layout = try #require(PixelLayout(size: Size(width: 64, height: 33), format: .xrgb8888))
    #expect(try second.say(.application(.offer(large)), serial: 5, resource: 7) == .invalidParameter, "beyond its end")
    #expect(try second.say(.application(.offer(offer)), resource: 7) == .invalidParameter, "no serial")
    _ = try second.ask(.offer(offer), resource: 7)
    #expect(try second.say(.application(.offer(offer)), serial: 900, resource: 7) == .invalidParameter, "twice")
  }

  @Test("numbers of blobs that were never said, of another length, or of another program's give nothing")
  func numbers() throws {
    let program = try GuestProgram(guest, context: 1)
    let second = try GuestProgram(guest, context: 2)
    let export = try other.export("map", resource: 7, size: ChannelTests.size, at: 0)
    _ = try world.grant("map", of: other, to: "a")
    guard let blob = try program.ask(.acquire(Acquisition(.id(export.id)))).blob else {
      Issue.record("not acquired")
      return
    }
    for number: UInt64 in [2, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_ffff, .max] {
      #expect(try guest.hostBlob(30, number, 8192, context: 1) == .invalidParameter)
    }
    #expect(try guest.hostBlob(30, UInt64(blob.number), 4096, context: 1) == .invalidParameter)
    #expect(try guest.hostBlob(30, UInt64(blob.number), 8192, context: 2) == .invalidParameter)
    #expect(try guest.hostBlob(30, UInt64(blob.number), 8192, context: 1) == .okNoData)
    try program.say(.application(.release(export.id)))
    #expect(try guest.hostBlob(31, UInt64(blob.number), 8192, context: 1) == .invalidParameter, "after its release")
    _ = second
  }

  @Test("asking again and again for what it holds costs nothing, and gives the same number")
  func again() throws {
    let program = try GuestProgram(guest, context: 1)
    let export = try other.export("map", resource: 7, size: ChannelTests.size, at: 0, isWritable: true)
    _ = try world.grant("map", of: other, to: "a", .readWrite)
    let numbers = try (0..<50).map { _ in
      try program.ask(.acquire(Acquisition(.id(export.id)))).blob?.number
    }
    #expect(Set(numbers).count == 1 && guest.device.ledger.totals.hostAllocated == 8192)
    let more = try program.ask(.acquire(Acquisition(.id(export.id), access: .readWrite))).blob
    #expect(more?.number != numbers[0] && guest.device.ledger.totals.hostAllocated == 0, "the memory itself, no copy")
    #expect(try guest.hostBlob(30, UInt64(numbers[0] ?? 0), 8192, context: 1) == .invalidParameter)
    #expect(try guest.hostBlob(30, UInt64(more?.number ?? 0), 8192, context: 1) == .okNoData)
  }

  @Test("memory that was let go, kept in a resource and asked for again is taken away all the same")
  func keptAndAskedAgain() throws {
    let program = try GuestProgram(guest, context: 1)
    let export = try other.export("map", resource: 7, size: ChannelTests.size, at: 0, isWritable: true)
    let grant = try world.grant("map", of: other, to: "a", .readWrite)
    _ = try program.acquire("map", of: "b", resource: 20, at: 0, access: .readWrite)
    try program.say(.application(.release(export.id)))
    _ = try program.acquire("map", of: "b", resource: 21, at: 8192, access: .readWrite)
    #expect(try guest.run(.resourceUnmapBlob(ResourceID(rawValue: 20))) == .okNoData)
    #expect(try guest.run(.resourceUnref(ResourceID(rawValue: 20))) == .okNoData)
    #expect(guest.window.mapped[8192] != nil)
    _ = try other.ask(.revoke(grant))
    guard case .application(.revoked(export.id, _)) = try program.told() else {
      Issue.record("not told")
      return
    }
    #expect(guest.window.mapped[8192] == nil)
  }

  @Test("a question declined under an offer's serial does not make the offer's memory free")
  func serials() throws {
    let program = try GuestProgram(guest, context: 1)
    let layout = try #require(PixelLayout(size: ChannelTests.size, format: .xrgb8888))
    #expect(try guest.hostBlob(7, 0, 8192, context: 1) == .okNoData)
    let offer = BufferOffer(
      buffer: BufferDescription(id: .random(), layout: layout), memory: MemoryDescription(hostFileOf: layout))
    try program.say(.application(.lookup(.id(.random()))), serial: 5)
    try program.say(.application(.offer(offer)), serial: 5, resource: 7)
    #expect(try program.say(.application(.offer(offer)), serial: 5, resource: 7) == .invalidParameter)
    for _ in 0..<2 { _ = try program.hear() }
    #expect(try guest.run(.resourceUnref(ResourceID(rawValue: 7))) == .okNoData)
    #expect(guest.device.ledger.totals.hostAllocated == 8192)
    _ = try program.ask(.withdraw(offer.buffer.id))
    try guest.wait { guest.device.ledger.totals.hostAllocated == 0 || (try? program.hear()) == nil }
    #expect(guest.device.ledger.totals.hostAllocated == 0)
  }

  @Test("a ring that is not there, not the program's, too short or taken away ends the channel, nothing else")
  func rings() throws {
    for (context, ring): (UInt32, UInt32) in [(1, 0), (2, .max), (3, 77)] {
      #expect(try guest.run(.contextCreate(nameLength: 0, kind: CrossDomain.capset), context: context) == .okNoData)
      let start = try #require(CrossDomainCommand.initialize(queryRing: ring, channelRing: ring, .hub).encoded)
      let hello = try #require(CrossDomainCommand.send(Transmission(Self.greeting)).encoded)
      let poll = try #require(CrossDomainCommand.poll.encoded)
      let bytes = start + hello + poll
      let token = try guest.post(
        .submit3D(byteCount: UInt32(bytes.count), fenceCount: 0), tail: bytes, context: context, ring: 1)
      try guest.wait { guest.done.contains(token) }
    }
    try otherGoesOn()
  }

  /// What the hub answers, and what the card itself declines.
  private static let questions: [ApplicationMessage] = [
    .query(BufferQuery()),
    .grant(GrantRequest(to: Party(.vm, PeerName("b")!), object: .scanout(ScanoutIndex(0)))),
  ]

  @Test(
    "a program that asks without reading answers loses its channel, and nobody else's is slower for it",
    arguments: questions)
  func flood(question: ApplicationMessage) throws {
    let program = try GuestProgram(guest, context: 1)
    let message = Message.application(question).encoded(serial: 3)
    let bytes = try #require(CrossDomainCommand.send(Transmission(message)).encoded)
    for _ in 0..<20_000 { _ = try program.submit(bytes) }
    try otherGoesOn()
    #expect(throws: GuestProgram.Failure.self) {
      while true { _ = try program.hear() }
    }
    #expect(program.isOver)
    try otherGoesOn()
    let next = try GuestProgram(guest, context: 2)
    _ = try next.ask(.query(BufferQuery()))
  }

  @Test("one memory offered under many ids costs what it is once, and has a limit, the VM's")
  func manyIDs() throws {
    let small = try world.guest("c", maximumShared: 3)
    let first = try GuestProgram(small, context: 1), second = try GuestProgram(small, context: 2)
    let layout = try #require(PixelLayout(size: ChannelTests.size, format: .xrgb8888))
    let chain = try #require(ImageChain(count: 1, of: layout))
    #expect(try small.hostBlob(7, 0, chain.byteCount, context: 1) == .okNoData)
    #expect(try small.hostBlob(8, 0, chain.byteCount, context: 2) == .okNoData)
    let ids = (0..<3).map { _ in BufferID.random() }
    for (index, id) in ids.enumerated() { try first.offer("map\(index)", id, resource: 7, layout, chain) }
    #expect(small.device.ledger.totals.hostAllocated == 2 * chain.byteCount)
    for (program, resource) in [(first, UInt32(7)), (second, 8)] {
      do {
        try program.offer("more", .random(), resource: resource, layout, chain)
        Issue.record("taken")
      } catch GuestProgram.Failure.refused(let refusal) {
        #expect(refusal.code == .overLimit)
      }
    }
    _ = try first.ask(.withdraw(ids[0]))
    try small.turn()
    try second.offer("more", .random(), resource: 8, layout, chain)
    #expect(try small.run(.contextDestroy, context: 1) == .okNoData)
    try small.wait { small.contexts.lingeringCount == 0 }
    for index in 0..<2 { try second.offer("again\(index)", .random(), resource: 8, layout, chain) }
    try otherGoesOn()
  }

  @Test("buffers of others that a VM's programs hold have a limit, until the guest has let go of them")
  func manyLeases() throws {
    let small = try world.guest("c", maximumShared: 2)
    let first = try GuestProgram(small, context: 1), second = try GuestProgram(small, context: 2)
    for index: UInt32 in 0..<3 {
      let name = "map\(index)"
      _ = try other.export(name, resource: 7 + index, size: ChannelTests.size, at: UInt64(index) * 8192)
      _ = try world.grant(name, of: other, to: "c")
    }
    let held = try first.acquire("map0", of: "b", resource: 20, at: 0)
    _ = try second.acquire("map1", of: "b", resource: 21, at: 16_384)
    _ = try first.acquire("map0", of: "b", resource: 22, at: 32_768)
    for program in [first, second] {
      do {
        _ = try program.acquire("map2", of: "b", resource: 23, at: 49_152)
        Issue.record("given")
      } catch GuestProgram.Failure.refused(let refusal) {
        #expect(refusal.code == .overLimit)
      }
    }
    try first.say(.application(.release(held.info.buffer.id)))
    _ = try second.acquire("map2", of: "b", resource: 23, at: 49_152)
  }

  @Test("channels beyond the limit are refused, and a program that leaves makes room")
  func limit() throws {
    for context: UInt32 in 1...32 { _ = try GuestProgram(guest, context: context) }
    let create = Command.contextCreate(nameLength: 0, kind: CrossDomain.capset)
    #expect(try guest.run(create, context: 33) == .invalidParameter)
    #expect(try guest.run(.contextDestroy, context: 32) == .okNoData)
    _ = try GuestProgram(guest, context: 33)
    try otherGoesOn()
  }

  @Test("pictures to be made are limited in size, and asking for them costs nothing")
  func images() throws {
    let program = try GuestProgram(guest, context: 1)
    let xrgb = PixelFormat.xrgb8888.rawValue
    let bytes: UInt32 = 0x2020_3852
    let refused = [
      ImageQuery(width: 0, height: 1, format: xrgb), ImageQuery(width: .max, height: .max, format: xrgb),
      ImageQuery(width: 16_385, height: 1, format: xrgb), ImageQuery(width: 64, height: 32, format: 0),
      ImageQuery(width: 0, height: 1, format: bytes), ImageQuery(width: .max, height: .max, format: bytes),
      ImageQuery(width: 1 << 30, height: 2, format: bytes),
    ]
    for query in refused { #expect(try program.submit(.getImageRequirements(query)) == .invalidParameter) }
    let query = ImageQuery(width: 64, height: 32, format: xrgb)
    for _ in 0..<1000 { #expect(try program.submit(.getImageRequirements(query)) == .okNoData) }
    #expect(guest.device.ledger.totals.hostAllocated == 0)
    for id: UInt32 in 40...41 { #expect(try guest.hostBlob(id, 0x8000_0002, 8192, context: 1) == .okNoData) }
    for number: UInt64 in [0x8000_0000, 0x8000_0001, 0x8000_0003, 0xffff_ffff, 0x1_8000_0002, .max] {
      #expect(try guest.hostBlob(42, number, 8192, context: 1) == .invalidParameter)
    }
    #expect(try guest.hostBlob(42, 0xffff_ffff, 0x7fff_ffff << 12, context: 1) == .outOfMemory)
  }

  @Test("a reset of the card ends all its channels, and what they had")
  func reset() throws {
    let program = try GuestProgram(guest, context: 1)
    let export = try other.export("map", resource: 7, size: ChannelTests.size, at: 0)
    _ = try world.grant("map", of: other, to: "a")
    _ = try program.acquire("map", of: "b", resource: 20, at: 0)
    _ = try program.export("mine", resource: 21, size: ChannelTests.size, at: 8192)
    guest.device.reset()
    #expect(guest.contexts.count == 0)
    try guest.wait { guest.contexts.lingeringCount == 0 && guest.device.ledger.totals.hostAllocated == 0 }
    try other.say(.application(.withdraw(export.id)), serial: 99)
    guard case .application(.accepted) = try other.told(), case .bufferFreed(export.id) = try other.told() else {
      Issue.record("the lease stayed")
      return
    }
  }
}
