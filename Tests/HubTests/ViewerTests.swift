import Buffers
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

@Suite("Viewers") struct ViewerTests {
  private static let screen = ScreenKey(vm: PeerName("a")!, scanout: ScanoutIndex(0))
  private static func vm(_ name: String) -> Party { Party(.vm, PeerName(name)!) }

  /// A hub in which VM "b" may see the first screen of VM "a", and both cards are there.
  private static func world(
    grants: Bool = true, _ configure: (inout Hub.Configuration) -> Void = { _ in }
  ) throws -> (world: World, owner: RawPeer, buffer: RawBuffer) {
    let world = try World({
      if grants { $0.grants = [GrantRequest(owner: vm("a"), to: vm("b"), object: .scanout(ScanoutIndex(0)))] }
      configure(&$0)
    })
    try world.presentProducer("b")
    let owner = try world.raw()
    let buffer = try owner.becomeProducer()
    world.keep(owner)
    return (world, owner, buffer)
  }

  private static func viewer(_ world: World, of vm: String = "b", _ screen: ScreenKey? = screen) throws -> RawPeer {
    let peer = try world.raw()
    try peer.hello(.viewer, vm)
    if let screen { try peer.send(.application(.view(screen)), serial: 7) }
    return peer
  }

  @Test("one is told of its screen alone: place, content, cursor, damage")
  func told() throws {
    let (world, owner, buffer) = try Self.world()
    let viewer = try Self.viewer(world)
    let layer = try viewer.wait("a layer") { if case .layerSet(let layer) = $0 { layer } else { nil } }
    #expect(layer.area == Rectangle(x: 0, y: 0, width: 64, height: 32) && layer.vm == Self.screen.vm)
    #expect(try viewer.shownLayer() == layer.id)
    _ = try viewer.wait("the cursor") { if case .layerCursor(_, let cursor) = $0 { cursor } else { nil } }
    try owner.flush(3)
    try world.wait("damage") { try viewer.damages().map(\.serial) == [3] }
    #expect(viewer.descriptorCount == 1)
    try owner.send(.bufferUnregister(buffer.description.id))
    _ = try viewer.wait("its end") { if case .bufferRetired(buffer.description.id) = $0 { true } else { nil } }
    try viewer.send(.bufferRelease(buffer.description.id))
    _ = try owner.wait("the memory") { if case .bufferFreed(buffer.description.id) = $0 { true } else { nil } }
  }

  @Test("nobody waits for one that never reads, with a display beside it or without")
  func neverAwaited() throws {
    let (world, owner, _) = try Self.world()
    let viewer = try Self.viewer(world)
    _ = try viewer.shownLayer()
    for serial in 1...5000 as ClosedRange<UInt64> {
      while try !owner.send(.flush(ScanoutIndex(0), damage: Rectangle(x: 1, y: 1, width: 2, height: 2)), serial: serial)
      { try world.turn(1) }
      if serial % 64 == 0 { try world.wait("latched") { try owner.latched().last == serial } }
    }
    let display = try world.raw()
    try display.becomeConsumer()
    let layer = try display.shownLayer()
    try owner.flush(6000)
    try world.wait("damage") { try display.damages().last?.serial == 6000 }
    #expect(try owner.latched().last ?? 0 < 6000)
    try display.send(.layerLatched(layer), serial: 6000)
    try world.wait("latched by the display") { try owner.latched().last == 6000 }
    try world.wait("the viewer's damage") { try viewer.damages().last?.serial == 6000 }
  }

  @Test("what it can use is asked of the owner, except where a display then had nothing")
  func requirements() throws {
    let (world, owner, _) = try Self.world { $0.guestMemoryReaders = .all }
    func newest() throws -> ScanoutRequirements? {
      try owner.all { message, _ in if case .scanoutRequirements(_, let wanted) = message { wanted } else { nil } }.last
    }
    let display = try world.raw()
    try display.sendHello(kinds: .all)
    try world.wait("all kinds") { try newest()?.constraints.memoryKinds == .all }
    let viewer = try Self.viewer(world)
    try world.wait("files only") { try newest()?.constraints.memoryKinds == .file }
    #expect(try newest()?.isWithheld == false)
    try display.sendConstraints(.ranges)
    try world.wait("what the display takes") { try newest()?.constraints.memoryKinds == .ranges }
    #expect(try newest()?.disagreement == nil)
    try display.sendConstraints(.all)
    try world.wait("files again") { try newest()?.constraints.memoryKinds == .file }
    #expect(!viewer.isEnded)
    let told = try newest()
    for _ in 0..<5 {
      let other = try Self.viewer(world)
      _ = try other.shownLayer()
      world.hub?.viewers.forEach { $0.peer.end("test") }
      try world.run(for: .milliseconds(30))
    }
    #expect(try newest() == told, "one that comes and goes changes nothing")
    let count = try owner.all { message, _ in if case .scanoutRequirements = message { true } else { nil } }.count
    try world.wait("all kinds again") { try newest()?.constraints.memoryKinds == .all }
    let after = try owner.all { message, _ in if case .scanoutRequirements = message { true } else { nil } }.count
    #expect(after == count + 1)
  }

  @Test("another mode of the screen is told")
  func mode() throws {
    let (world, owner, _) = try Self.world()
    let viewer = try Self.viewer(world)
    _ = try viewer.shownLayer()
    let mode = Size(width: 320, height: 200)
    try owner.send(.scanoutSet(ScanoutState(scanout: ScanoutIndex(0), mode: mode, content: nil)))
    _ = try viewer.wait("the mode") {
      if case .layerSet(let layer) = $0, layer.area == Rectangle(mode) { true } else { nil }
    }
    try world.turn()
  }

  @Test("it outlives the VM that it shows, and shows it when it is back")
  func back() throws {
    var (world, owner, _) = try Self.world { $0.goneRetention = .milliseconds(20) }
    let viewer = try Self.viewer(world)
    _ = try viewer.shownLayer()
    try owner.send(Message.layersSettled)
    #expect(try owner.refusal() != nil)
    _ = try viewer.wait("gone") { if case .layerContent(_, .absent(.gone)) = $0 { true } else { nil } }
    _ = try viewer.wait("forgotten") { if case .layerRemove = $0 { true } else { nil } }
    viewer.forget()
    owner = try world.raw()
    _ = try owner.becomeProducer()
    _ = try viewer.shownLayer()
  }

  @Test("a grant that ends, ends it")
  func revoked() throws {
    let (world, _, _) = try Self.world(grants: false)
    let request = GrantRequest(owner: Self.vm("a"), to: Self.vm("b"), object: .scanout(ScanoutIndex(0)))
    let number = try world.ask { control throws(ControlError) in try control.grant(request) }
    let viewer = try Self.viewer(world)
    _ = try viewer.shownLayer()
    #expect(try world.ask { control throws(ControlError) in try control.grants() }.map(\.object) == [request.object])
    try world.ask { control throws(ControlError) in try control.revoke(number) }
    #expect(try viewer.refusal()?.code == .revoked)
    #expect(world.hub?.viewers.isEmpty == true)
  }

  @Test("a buffer that it does not release in time ends it, and the owner gets its memory back")
  func lease() throws {
    let (world, owner, buffer) = try Self.world { $0.leaseLimit = .milliseconds(50) }
    let viewer = try Self.viewer(world)
    _ = try viewer.shownLayer()
    try owner.send(.bufferUnregister(buffer.description.id))
    #expect(try viewer.refusal()?.code == .revoked)
    _ = try owner.wait("the memory") { if case .bufferFreed(buffer.description.id) = $0 { true } else { nil } }
  }

  @Test("only the VM's own card may be one, at most 32 times, and with the card it ends")
  func admission() throws {
    let (world, _, _) = try Self.world()
    let stranger = try Self.viewer(world, of: "nobody", nil)
    #expect(try stranger.refusal()?.code == .notPermitted)
    let viewers = try (0..<Hub.maximumGuestPrograms).map { _ in try Self.viewer(world) }
    for viewer in viewers { _ = try viewer.shownLayer() }
    #expect(try Self.viewer(world).refusal()?.code == .limit)
    world.hub?.machines[PeerName("b")!]?.producer?.peer.end("test")
    for viewer in viewers { _ = try viewer.refusal() }
    #expect(world.hub?.viewers.isEmpty == true)
  }

  @Test("it asks once, and says nothing that others say")
  func messages() throws {
    let (world, _, _) = try Self.world()
    for message: Message in [
      .application(.view(Self.screen)), .vmState(connected: true), .layersSettled, .list(.vms, cursor: 0),
      .layerLatched(LayerID(rawValue: 1)), .application(.release(.random())), .bufferRelease(.random()),
    ] {
      let viewer = try Self.viewer(world)
      _ = try viewer.shownLayer()
      try viewer.send(message, serial: 8)
      #expect(try viewer.refusal() != nil, "\(message.type)")
    }
  }

  @Test("what is not there and what is not granted are one answer, and a later question may be answered otherwise")
  func nothing() throws {
    let (world, _, _) = try Self.world()
    let viewer = try Self.viewer(world, nil)
    let wrong = [("a", 1), ("b", 0), ("nobody", 0), ("a", 15)]
    for (index, (vm, scanout)) in wrong.enumerated() {
      let screen = ScreenKey(vm: PeerName(vm)!, scanout: ScanoutIndex(scanout))
      try viewer.send(.application(.view(screen)), serial: 5)
      try world.wait("an answer") { try viewer.all { message, _ in message.refusal }.count == index + 1 }
    }
    #expect(try Set(viewer.all { message, _ in message.refusal?.description }).count == 1)
    try viewer.send(.application(.view(Self.screen)), serial: 6)
    _ = try viewer.shownLayer()
  }

  @Test("a grant of all buffers opens no screen, and a screen's grant no buffer")
  func table() throws {
    var table = GrantTable()
    _ = try table.add(owner: Self.vm("a"), to: Self.vm("b"), object: .everything, access: .read)
    #expect(!table.opens(ScanoutIndex(0), of: Self.vm("a"), to: Self.vm("b")))
    _ = try table.add(owner: Self.vm("a"), to: Self.vm("c"), object: .scanout(ScanoutIndex(2)), access: .read)
    #expect(table.opens(ScanoutIndex(2), of: Self.vm("a"), to: Self.vm("c")))
    #expect(!table.opens(ScanoutIndex(1), of: Self.vm("a"), to: Self.vm("c")))
    #expect(table.access(of: Self.vm("c"), to: .random(), named: nil, of: Self.vm("a")) == nil)
  }
}

extension RawPeer {
  fileprivate func sendHello(kinds: MemoryKind) throws {
    try hello(.consumer, "main")
    try sendConstraints(kinds)
    try send(
      .displayAnnounce(
        DisplayDescription(size: Size(width: 1000, height: 500), refreshMillihertz: 60_000, output: "raw")))
  }
}

extension Message {
  fileprivate var refusal: Refusal? { if case .error(let refusal) = self { refusal } else { nil } }
}
