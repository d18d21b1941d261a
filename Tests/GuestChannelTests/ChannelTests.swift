import Buffers
import CrossDomain
import GPUDevice
import GuestChannel
import Hub
import HubProtocol
import Platform
import TestSupport
import Testing

/// A hub, and guests whose cards are its VMs, on one loop.
final class ChannelWorld {
  let loop: EventLoop
  let folder: ScratchFolder
  private(set) var hub: Hub?
  private var producers: [String: ProducerClient] = [:]
  private let leaseLimit: Duration
  private let readers: [String: [String]]

  /// `readers`: which VMs may see the memory of which others.
  init(leaseLimit: Duration = .seconds(10), readers: [String: [String]] = [:]) throws {
    loop = try EventLoop()
    folder = try ScratchFolder()
    self.leaseLimit = leaseLimit
    self.readers = readers
    try startHub()
  }

  func startHub() throws {
    var configuration = Hub.Configuration()
    configuration.grace = .zero
    configuration.leaseLimit = leaseLimit
    for (reader, owners) in readers {
      configuration.memoryReaders[PeerName(reader)!] = Set(owners.compactMap { PeerName($0) })
    }
    let hub = Hub(loop: loop, configuration: configuration)
    try hub.listen(path: path)
    self.hub = hub
  }

  deinit { hub?.close() }

  var path: String { folder.path + "/hub.sock" }

  /// A guest whose card is known to the hub.
  func guest(
    _ name: String, limits: LedgerAmounts = .usualLimits, vmmMapsReadOnly: Bool = false, sharesDisplays: Bool = false,
    maximumShared: Int = 256
  ) throws -> ChannelGuest {
    let vm = try #require(PeerName(name))
    let producer = ProducerClient(
      hubPath: path, vm: vm, socketPath: "", memoryLimit: 1 << 28, loop: loop, takesLinks: false)
    producer.vmmMapsReadOnly = vmmMapsReadOnly
    producers[name] = producer
    producer.start()
    for _ in 0..<20 { try loop.runOnce(timeout: .milliseconds(1)) }
    var options = ChannelOptions(hubPath: path, vm: vm)
    options.sharesDisplays = sharesDisplays
    options.maximumExports = maximumShared
    options.maximumImports = maximumShared
    return try ChannelGuest(options, loop: loop, limits: limits)
  }

  /// The card of a guest, as the hub knows it.
  func card(_ name: String) throws -> ProducerClient { try #require(producers[name]) }

  /// Turns the loop for so many seconds.
  func run(_ seconds: Double) throws {
    let end = MonotonicTime.now + .nanoseconds(Int64(seconds * 1e9))
    while MonotonicTime.now < end { try loop.runOnce(timeout: .milliseconds(2)) }
  }

  func killHub() {
    hub?.close()
    hub = nil
  }

  func endProducer(_ name: String) { producers.removeValue(forKey: name)?.stop() }

  /// An owner's grant to another VM.
  func grant(
    _ name: String, of program: GuestProgram, to vm: String, _ access: BufferAccess = .read, form: ReadForm? = nil
  ) throws -> GrantID {
    let grant = GrantRequest(
      to: Party(.vm, PeerName(vm)!), object: .name(PeerName(name)!), access: access, form: form)
    guard case .accepted(let id?) = try program.ask(.grant(grant)).message else { throw GuestProgram.Failure.noWelcome }
    return id
  }
}

@Suite("Channels to the hub") struct ChannelTests {
  static let size = Size(width: 64, height: 32)

  @Test("a guest shows another what it draws: a copy for a reader, brought up to date by damage")
  func sharing() throws {
    let world = try ChannelWorld()
    let a = try GuestProgram(try world.guest("a"), context: 1)
    let b = try GuestProgram(try world.guest("b"), context: 1)
    let export = try a.export("map", resource: 7, size: Self.size, at: 0)
    _ = try world.grant("map", of: a, to: "b")
    export.bytes.copyBytes(from: [UInt8](repeating: 0x11, count: 8192))
    let picture = try b.acquire("map", of: "a", resource: 9, at: 4096, wantsUpdates: true)
    #expect(picture.info.buffer.id == export.id && picture.info.access == .read)
    #expect(picture.bytes.prefix(8192).allSatisfy { $0 == 0x11 })
    guard case .application(.bufferWanted) = try a.told() else {
      Issue.record("the owner was not asked for a whole picture")
      return
    }
    try a.update(export.id, .empty, 1)
    #expect(try b.told() == GuestProgram.updated(export.id, Rectangle(Self.size), 1))
    export.bytes.copyBytes(from: [UInt8](repeating: 0x22, count: 8192))
    let damage = Rectangle(x: 0, y: 0, width: 64, height: 16)
    try b.done(export.id, 1)
    try a.update(export.id, damage, 2)
    guard case .application(.updated(let second)) = try b.told() else {
      Issue.record("not told")
      return
    }
    #expect(second.damage == damage)
    let image = picture.bytes[Int(second.generation % 2 * 8192)...].prefix(8192)
    #expect(second.generation == 2 && image.allSatisfy { $0 == 0x22 }, "all of it is new to its second image")
    #expect(picture.bytes[8192...].prefix(8192).allSatisfy { $0 == 0x11 }, "the first one stays")
    picture.bytes[0] = 0x99
    #expect(export.bytes[0] == 0x22, "a reader's guest writes into its own copy")
  }

  @Test("with write access both see the same memory")
  func sharedMemory() throws {
    let world = try ChannelWorld()
    let a = try GuestProgram(try world.guest("a"), context: 1)
    let b = try GuestProgram(try world.guest("b"), context: 1)
    let export = try a.export("map", resource: 7, size: Self.size, at: 0, isWritable: true)
    _ = try world.grant("map", of: a, to: "b", .readWrite)
    let picture = try b.acquire("map", of: "a", resource: 9, at: 4096, access: .readWrite)
    export.bytes[17] = 0x42
    #expect(picture.bytes[17] == 0x42)
    picture.bytes[18] = 0x43
    #expect(export.bytes[18] == 0x43)
  }

  @Test("a grant that says shared gives a reader the memory itself, at its owner's cost, until it says shadow again")
  func sharedForReading() throws {
    let world = try ChannelWorld()
    let a = try GuestProgram(try world.guest("a"), context: 1)
    let guest = try world.guest("b")
    let b = try GuestProgram(guest, context: 1)
    let export = try a.export("map", resource: 7, size: Self.size, at: 0)
    _ = try world.grant("map", of: a, to: "b", form: .shared)
    let picture = try b.acquire("map", of: "a", resource: 9, at: 4096)
    #expect(picture.info.access == .read && picture.info.form == .shared)
    export.bytes[17] = 0x42
    #expect(picture.bytes[17] == 0x42 && guest.device.ledger.totals.hostAllocated == 0)
    _ = try world.grant("map", of: a, to: "b", form: .shadow)
    guard case .application(.revoked(export.id, _)) = try b.told() else {
      Issue.record("not told")
      return
    }
    #expect(guest.window.mapped[4096] == nil)
  }

  @Test("a VMM that maps read-only gets the memory itself by a descriptor that cannot write")
  func readOnly() throws {
    let world = try ChannelWorld()
    let a = try GuestProgram(try world.guest("a"), context: 1)
    let guest = try world.guest("b", vmmMapsReadOnly: true)
    let b = try GuestProgram(guest, context: 1)
    let export = try a.export("map", resource: 7, size: Self.size, at: 0)
    _ = try world.grant("map", of: a, to: "b")
    let picture = try b.acquire("map", of: "a", resource: 9, at: 4096)
    #expect(picture.info.form == .readOnly && guest.window.couldWrite[4096] == false)
    export.bytes[17] = 0x42
    #expect(picture.bytes[17] == 0x42 && guest.device.ledger.totals.hostAllocated == 0)
  }

  @Test("without a grant there is nothing, by name or by id")
  func noGrant() throws {
    let world = try ChannelWorld()
    let a = try GuestProgram(try world.guest("a"), context: 1)
    let c = try GuestProgram(try world.guest("c"), context: 1)
    let export = try a.export("map", resource: 7, size: Self.size, at: 0)
    for key: BufferKey in [.id(export.id), .name(PeerName("map")!, owner: Party(.vm, PeerName("a")!))] {
      #expect(throws: GuestProgram.Failure.self) { try c.ask(.acquire(Acquisition(key))) }
      #expect(throws: GuestProgram.Failure.self) { try c.ask(.lookup(key)) }
    }
  }

  @Test("a grant that is revoked takes the memory away at once, and then tells", arguments: BufferAccess.allCases)
  func revoked(_ access: BufferAccess) throws {
    let world = try ChannelWorld()
    let a = try GuestProgram(try world.guest("a"), context: 1)
    let guest = try world.guest("b")
    let b = try GuestProgram(guest, context: 1)
    let export = try a.export("map", resource: 7, size: Self.size, at: 0, isWritable: true)
    let grant = try world.grant("map", of: a, to: "b", access)
    export.bytes.copyBytes(from: [UInt8](repeating: 0x11, count: 8192))
    let picture = try b.acquire("map", of: "a", resource: 9, at: 4096, access: access)
    let first = picture.bytes
    #expect(first[0] == 0x11)
    _ = try a.ask(.revoke(grant))
    guard case .application(.revoked(export.id, _)) = try b.told() else {
      Issue.record("not told")
      return
    }
    if access == .read {
      #expect(first.allSatisfy { $0 == 0 })
    } else {
      #expect(guest.window.mapped[4096] == nil)
      #expect(try guest.run(.resourceMapBlob(ResourceID(rawValue: 9), offset: 0)) == .invalidParameter)
    }
    try a.say(.application(.withdraw(export.id)), serial: 99)
    guard case .application(.accepted) = try a.told(), case .bufferFreed(export.id) = try a.told() else {
      Issue.record("still held")
      return
    }
  }

  @Test("what a program offered stays charged until nobody holds it, also when the program is gone")
  func lingering() throws {
    let world = try ChannelWorld()
    let owner = try world.guest("a")
    let a = try GuestProgram(owner, context: 1)
    let b = try GuestProgram(try world.guest("b"), context: 1)
    _ = try a.export("map", resource: 7, size: Self.size, at: 0)
    _ = try world.grant("map", of: a, to: "b")
    _ = try b.acquire("map", of: "a", resource: 9, at: 4096)
    #expect(try owner.run(.contextDestroy, context: 1) == .okNoData)
    #expect(try owner.run(.resourceUnmapBlob(ResourceID(rawValue: 7))) == .okNoData)
    #expect(try owner.run(.resourceUnref(ResourceID(rawValue: 7))) == .okNoData)
    #expect(owner.contexts.count == 0)
    try owner.wait { owner.contexts.lingeringCount == 0 && owner.device.ledger.totals.hostAllocated == 0 }
    guard case .application(.retired) = try b.told() else {
      Issue.record("not told")
      return
    }
  }

  @Test("without a hub, and when it goes, a channel says that it is over")
  func noHub() throws {
    let world = try ChannelWorld()
    let guest = try world.guest("a")
    let first = try GuestProgram(guest, context: 1)
    let export = try first.export("map", resource: 7, size: Self.size, at: 0)
    export.bytes[0] = 1
    world.killHub()
    #expect(try first.receive().data.isEmpty)
    let second = try GuestProgram(guest, context: 2, greets: false)
    #expect(try second.receive().data.isEmpty)
    #expect(try second.say(.hello(Hello(role: .application, name: PeerName("x")!))) == .okNoData, "nobody hears it")
  }

  @Test("a program goes on by the same channel when the hub is back, and offers what it drew, as it is")
  func hubIsBack() throws {
    let world = try ChannelWorld()
    let owner = try world.guest("a"), reader = try world.guest("b")
    let a = try GuestProgram(owner, context: 1), b = try GuestProgram(reader, context: 1)
    let layout = try #require(PixelLayout(size: Self.size, format: .xrgb8888))
    let chain = try #require(ImageChain(count: 1, of: layout))
    let export = try a.export("map", resource: 7, size: Self.size, at: 0)
    _ = try world.grant("map", of: a, to: "b")
    export.bytes.copyBytes(from: [UInt8](repeating: 0x11, count: 8192))
    let former = try b.acquire("map", of: "a", resource: 9, at: 4096)
    world.killHub()
    for program in [a, b] {
      #expect(throws: GuestProgram.Failure.self) { while true { _ = try program.hear() } }
      #expect(program.isOver)
    }
    #expect(former.bytes.allSatisfy { $0 == 0 }, "what was acquired is taken away")
    #expect(export.bytes[17] == 0x11, "what is one's own is not")
    try world.startHub()
    try a.beginAnew()
    try b.beginAnew()
    try a.offer("map", export.id, resource: 7, layout, chain)
    _ = try world.grant("map", of: a, to: "b")
    let picture = try b.acquire("map", of: "a", resource: 10, at: 16384)
    #expect(picture.info.buffer.id == export.id && picture.bytes.prefix(8192).allSatisfy { $0 == 0x11 })
    #expect(owner.contexts.count == 1 && owner.contexts.lingeringCount == 0)
    #expect(reader.contexts.count == 1 && reader.contexts.lingeringCount == 0)
  }

  @Test("a hub that does not know the card yet is as none: the program may try again")
  func cardIsNotBack() throws {
    let world = try ChannelWorld()
    let guest = try world.guest("a")
    world.endProducer("a")
    let program = try GuestProgram(guest, context: 1, greets: false)
    for _ in 0..<2 {
      try program.say(.hello(Hello(role: .application, name: PeerName("x")!)))
      #expect(try program.receive().data.isEmpty)
      #expect(try program.begin() == .okNoData)
    }
  }

  @Test("a channel that is not over is not begun anew")
  func alive() throws {
    let world = try ChannelWorld()
    let program = try GuestProgram(try world.guest("a"), context: 1)
    #expect(try program.begin() == .invalidParameter)
    #expect(try program.ask(.grants(cursor: 0)).message == .queryEnd(count: 0, next: 0))
  }

  @Test("its graphics card gone, a channel is over")
  func producerGone() throws {
    let world = try ChannelWorld()
    let program = try GuestProgram(try world.guest("a"), context: 1)
    world.endProducer("a")
    #expect(throws: GuestProgram.Failure.self) {
      while true { _ = try program.hear() }
    }
    #expect(program.isOver)
  }

  @Test("a program whose VM is at its limit gets no copy, and is told why")
  func limit() throws {
    let world = try ChannelWorld()
    let a = try GuestProgram(try world.guest("a"), context: 1)
    var limits = LedgerAmounts.usualLimits
    limits.hostAllocated = 4096
    let small = try world.guest("b", limits: limits)
    let b = try GuestProgram(small, context: 1)
    let export = try a.export("map", resource: 7, size: Self.size, at: 0)
    _ = try world.grant("map", of: a, to: "b")
    do {
      _ = try b.ask(.acquire(Acquisition(.id(export.id))))
      Issue.record("it was given")
    } catch GuestProgram.Failure.refused(let refusal) {
      #expect(refusal.code == .overLimit)
    }
    #expect(small.device.ledger.totals.hostAllocated == 0)
    try a.say(.application(.withdraw(export.id)), serial: 99)
    guard case .application(.accepted) = try a.told(), case .bufferFreed = try a.told() else {
      Issue.record("the lease stayed")
      return
    }
  }
}
