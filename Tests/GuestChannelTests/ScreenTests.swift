import Buffers
import CrossDomain
import GPUDevice
import GuestChannel
import HubProtocol
import Platform
import Testing

@Suite("Screens of other VMs") struct ScreenTests {
  static let size = Size(width: 96, height: 80)
  static let whole = Rectangle(size)

  /// Guest "a" has a screen, and guest "b" may see it.
  private final class Scene {
    let world: ChannelWorld
    let owner: ProducerClient
    let viewer: ChannelGuest
    let a: GuestProgram, b: GuestProgram
    let grant: GrantID

    init(size: Size = ScreenTests.size) throws {
      world = try ChannelWorld()
      a = try GuestProgram(try world.guest("a", sharesDisplays: true), context: 1)
      viewer = try world.guest("b")
      b = try GuestProgram(viewer, context: 1)
      owner = try world.card("a")
      owner.setVMConnected(true)
      owner.setMode(size, of: ScanoutIndex(0))
      let request = GrantRequest(to: Party(.vm, PeerName("b")!), object: .scanout(ScanoutIndex(0)))
      guard case .accepted(let id?) = try a.ask(.grant(request)).message else { throw GuestProgram.Failure.noWelcome }
      grant = id
      try world.run(0.02)
    }

    func show(_ buffer: HostBuffer, _ source: Rectangle? = nil) throws {
      try owner.show(buffer, source: source ?? Rectangle(buffer.layout.size), on: ScanoutIndex(0))
    }

    func flush(_ damage: Rectangle) { _ = owner.flush(ScanoutIndex(0), damage: damage) }

    /// The next update, read.
    func update(_ id: BufferID) throws -> Rectangle? {
      guard case .application(.updated(let update)) = try b.told(), update.id == id else { return nil }
      try b.done(id, update.generation)
      return update.damage
    }
  }

  private static func picture(
    _ seed: UInt32, _ format: PixelFormat = .xrgb8888, size: Size = size, stride: UInt32? = nil, offset: UInt64 = 0
  ) throws -> HostBuffer {
    let layout = try #require(PixelLayout(size: size, format: format, stride: stride, offset: offset))
    let buffer = try HostBuffer(layout: layout)
    for y in 0..<size.height {
      for x in 0..<size.width { buffer.store(seed &+ (y << 8 | x), x, y) }
    }
    return buffer
  }

  @Test("one is shown bit for bit, and what changes is told with its damage and no more")
  func shown() throws {
    let scene = try Scene()
    let buffer = try Self.picture(0x1100_0000, stride: 512, offset: 4096)
    try scene.show(buffer)
    let view = try scene.b.view("a", resource: 9, at: 0)
    #expect(view.info.buffer.layout == PixelLayout(size: Self.size, format: .xrgb8888))
    #expect(view.info.owner == Party(.vm, PeerName("a")!) && view.info.access == .read)
    #expect(try scene.update(view.info.buffer.id) == Self.whole)
    #expect(view.bytes.pixels(Self.whole) == buffer.pixels(Self.whole))
    buffer.store(0x22ff_ffff, 10, 11)
    buffer.store(0x22ff_ffff, 90, 70)
    let damage = Rectangle(x: 8, y: 8, width: 8, height: 8)
    scene.flush(damage)
    #expect(try scene.update(view.info.buffer.id) == damage)
    #expect(view.bytes.pixel(10, 11) == 0x22ff_ffff && view.bytes.pixel(90, 70) == 0x1100_0000 &+ (70 << 8 | 90))
  }

  @Test("a part of a larger buffer, in any order of colours", arguments: PixelFormat.known)
  func part(_ format: PixelFormat) throws {
    let scene = try Scene()
    let buffer = try Self.picture(0, format, size: Size(width: 200, height: 100))
    buffer.bytes.storeBytes(of: [0x11, 0x22, 0x33, 0x44], x: 21, y: 13, buffer.layout)
    try scene.show(buffer, Rectangle(x: 20, y: 10, width: 96, height: 80))
    let view = try scene.b.view("a", resource: 9, at: 0)
    #expect(view.info.buffer.layout.size == Self.size)
    let colours: [PixelFormat: UInt32] = [
      .argb8888: 0x332211, .xrgb8888: 0x332211, .bgra8888: 0x223344, .bgrx8888: 0x223344, .abgr8888: 0x112233,
      .xbgr8888: 0x112233, .rgba8888: 0x443322, .rgbx8888: 0x443322,
    ]
    #expect(view.bytes.pixel(1, 3) & 0xff_ffff == colours[format])
    #expect(try scene.update(view.info.buffer.id) == Self.whole)
    scene.flush(Rectangle(x: 0, y: 0, width: 24, height: 12))
    #expect(try scene.update(view.info.buffer.id) == Rectangle(x: 0, y: 0, width: 4, height: 2))
  }

  @Test("a picture does not change while it is read: what comes meanwhile is one update after DONE")
  func whileRead() throws {
    let scene = try Scene()
    let buffer = try Self.picture(0)
    try scene.show(buffer)
    let view = try scene.b.view("a", resource: 9, at: 0)
    guard case .application(.updated(let first)) = try scene.b.told() else { throw GuestProgram.Failure.noWelcome }
    for x in 0..<4 as Range<UInt32> {
      buffer.store(0x55, x, x)
      scene.flush(Rectangle(x: x, y: x, width: 1, height: 1))
      try scene.world.run(0.01)
    }
    #expect(view.bytes.pixel(2, 2) == 2 << 8 | 2)
    try scene.b.done(view.info.buffer.id, first.generation)
    #expect(
      try scene.b.told() == GuestProgram.updated(view.info.buffer.id, Rectangle(x: 0, y: 0, width: 4, height: 4), 2))
    #expect(view.bytes.pixel(2, 2) == 0x55)
  }

  @Test("another buffer on the screen is another picture in the same memory, and the former is freed")
  func flip() throws {
    let scene = try Scene()
    let buffers = try [Self.picture(1), Self.picture(2)]
    try scene.show(buffers[0])
    let view = try scene.b.view("a", resource: 9, at: 0)
    #expect(try scene.update(view.info.buffer.id) == Self.whole)
    for index in [1, 0, 1] {
      try scene.show(buffers[index])
      #expect(try scene.update(view.info.buffer.id) == Self.whole)
      #expect(view.bytes.pixels(Self.whole) == buffers[index].pixels(Self.whole))
    }
    scene.owner.retire(buffers[0].id)
    let vm = Party(.vm, PeerName("a")!)
    try scene.viewer.wait {
      let info = try? scene.a.ask(.lookup(.id(buffers[0].id))).message
      if case .bufferInfo(let info) = info { return info.owner != vm }
      return true
    }
  }

  @Test("turned off it is black, and so is one whose VM or card has gone")
  func dark() throws {
    let scene = try Scene()
    let buffer = try Self.picture(0x7700_0000)
    try scene.show(buffer)
    let view = try scene.b.view("a", resource: 9, at: 0)
    _ = try scene.update(view.info.buffer.id)
    let ends: [(off: () throws -> Void, on: () throws -> Void)] = [
      ({ scene.owner.turnOff(ScanoutIndex(0)) }, { try scene.show(buffer) }),
      ({ scene.owner.setVMConnected(false) }, { scene.owner.setVMConnected(true) }),
      ({ scene.world.endProducer("a") }, {}),
    ]
    for end in ends {
      try end.off()
      #expect(try scene.update(view.info.buffer.id) == Self.whole)
      #expect(view.bytes.pixels(Self.whole).allSatisfy { $0 == 0 })
      try end.on()
      guard view.bytes.pixel(0, 0) == 0, ends.count > 0, scene.owner.isLinked else { continue }
      #expect(try scene.update(view.info.buffer.id) == Self.whole)
      #expect(view.bytes.pixel(1, 0) == 0x7700_0001)
    }
  }

  @Test("another size is another picture: the former is retired, and asked for again it is there")
  func resized() throws {
    let scene = try Scene()
    try scene.show(try Self.picture(1))
    let view = try scene.b.view("a", resource: 9, at: 0)
    _ = try scene.update(view.info.buffer.id)
    let larger = Size(width: 128, height: 64)
    try scene.show(try Self.picture(3, size: larger))
    guard case .application(.retired(view.info.buffer.id, _)) = try scene.b.told() else {
      Issue.record("not retired")
      return
    }
    #expect(view.bytes.pixels(Self.whole).allSatisfy { $0 == 0 })
    let again = try scene.b.view("a", resource: 10, at: 1 << 20)
    #expect(again.info.buffer.layout.size == larger && again.bytes.pixel(5, 0) == 8)
  }

  @Test("revoked, it is taken away at once")
  func revoked() throws {
    let scene = try Scene()
    try scene.show(try Self.picture(1))
    let view = try scene.b.view("a", resource: 9, at: 0)
    _ = try scene.update(view.info.buffer.id)
    _ = try scene.a.ask(.revoke(scene.grant))
    guard case .application(.revoked(view.info.buffer.id, _)) = try scene.b.told() else {
      Issue.record("not told")
      return
    }
    #expect(view.bytes.pixels(Self.whole).allSatisfy { $0 == 0 })
    #expect(throws: GuestProgram.Failure.self) { try scene.b.view("a", resource: 10, at: 1 << 20) }
  }

  @Test("the owner's cursor is in the picture, and moves")
  func cursor() throws {
    let scene = try Scene()
    let buffer = try Self.picture(0)
    try scene.show(buffer)
    let view = try scene.b.view("a", resource: 9, at: 0)
    _ = try scene.update(view.info.buffer.id)
    var pixels = [UInt32](repeating: 0, count: CursorImage.pixelCount)
    pixels[65] = 0xffaa_bbcc
    pixels[66] = 0x8000_0080
    let image = try #require(CursorImage(pixels: pixels))
    scene.owner.setCursor(CursorState(image: image, x: -1, y: 5, hotX: 2, hotY: 1), of: ScanoutIndex(0))
    #expect(try scene.update(view.info.buffer.id) == Rectangle(x: 0, y: 4, width: 61, height: 64))
    scene.owner.moveCursor(of: ScanoutIndex(0), x: 12, y: 5)
    #expect(try scene.update(view.info.buffer.id) == Rectangle(x: 0, y: 4, width: 74, height: 64))
    #expect(view.bytes.pixel(11, 5) & 0xff_ffff == 0xaabbcc)
    #expect(view.bytes.pixel(12, 5) & 0xff_ffff == 0x000280 + 6)
    scene.owner.setCursor(.hidden, of: ScanoutIndex(0))
    _ = try scene.update(view.info.buffer.id)
    #expect(view.bytes.pixels(Self.whole) == buffer.pixels(Self.whole))
  }

  @Test("without a grant, of an unknown VM and of a screen that it has not, the answer is the same")
  func nothing() throws {
    let scene = try Scene()
    try scene.show(try Self.picture(1))
    let c = try GuestProgram(try scene.world.guest("c"), context: 1)
    var refusals: Set<String> = []
    for (vm, scanout) in [("a", 0), ("a", 1), ("nobody", 0), ("c", 0)] {
      do {
        _ = try c.view(vm, scanout, resource: 9, at: 0)
        Issue.record("\(vm):\(scanout) is seen")
      } catch GuestProgram.Failure.refused(let refusal) {
        refusals.insert("\(refusal.code.rawValue) \(refusal.messageType) \(refusal.reason)")
      }
    }
    #expect(refusals == ["8 1168 no such screen"])
    #expect(try c.ask(.screens(cursor: 0)).message == .queryEnd(count: 0, next: 0))
  }

  @Test("those that may be seen are listed with what they show")
  func listed() throws {
    let scene = try Scene()
    let key = ScreenKey(vm: PeerName("a")!, scanout: ScanoutIndex(0))
    guard case .screenInfo(let off) = try scene.b.ask(.screens(cursor: 0)).message else {
      throw GuestProgram.Failure.noWelcome
    }
    #expect(off == ScreenInfo(key, absence: .off, size: Self.size))
  }

  @Test("a program shares its VM's screens only where the configuration says so")
  func configured() throws {
    let world = try ChannelWorld()
    let a = try GuestProgram(try world.guest("a"), context: 1)
    let grant = GrantRequest(to: Party(.vm, PeerName("b")!), object: .scanout(ScanoutIndex(0)))
    do {
      _ = try a.ask(.grant(grant))
      Issue.record("granted")
    } catch GuestProgram.Failure.refused(let refusal) {
      #expect(refusal.code == .notFound && refusal.reason.contains("share_displays"))
    }
    #expect(try a.ask(.grants(cursor: 0)).message == .queryEnd(count: 0, next: 0))
  }

  @Test("a picture is charged to who looks, for as long as it looks")
  func charged() throws {
    let scene = try Scene()
    try scene.show(try Self.picture(1))
    let before = scene.viewer.device.ledger.totals.hostAllocated
    let view = try scene.b.view("a", resource: 9, at: 0)
    let byteCount = (96 * 80 * 4 + 4095) / 4096 * 4096
    #expect(scene.viewer.device.ledger.totals.hostAllocated == before + byteCount)
    try scene.b.say(.application(.release(view.info.buffer.id)))
    #expect(try scene.viewer.run(.resourceUnmapBlob(ResourceID(rawValue: 9))) == .okNoData)
    #expect(try scene.viewer.run(.resourceUnref(ResourceID(rawValue: 9))) == .okNoData)
    try scene.viewer.wait { scene.viewer.device.ledger.totals.hostAllocated == before }
  }

  @Test("a program sees sixteen at most")
  func limit() throws {
    let scene = try Scene()
    try scene.show(try Self.picture(1))
    let view = Message.application(.view(ScreenKey(vm: PeerName("a")!, scanout: ScanoutIndex(0))))
    for serial in 1...16 as ClosedRange<UInt64> { #expect(try scene.b.say(view, serial: serial) == .okNoData) }
    #expect(try scene.b.say(view, serial: 17) != .okNoData)
  }
}

extension HostBuffer {
  fileprivate func store(_ pixel: UInt32, _ x: UInt32, _ y: UInt32) {
    bytes.storeBytes(of: pixel.littleEndian, toByteOffset: layout.byteOffset(x: x, y: y), as: UInt32.self)
  }

  fileprivate func pixels(_ part: Rectangle) -> [UInt32] {
    (part.y..<part.y + part.height).flatMap { y in
      (part.x..<part.x + part.width).map { x in
        UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: layout.byteOffset(x: x, y: y), as: UInt32.self))
      }
    }
  }
}

extension UnsafeMutableRawBufferPointer {
  fileprivate func storeBytes(of colours: [UInt8], x: UInt32, y: UInt32, _ layout: PixelLayout) {
    for (index, colour) in colours.enumerated() { self[layout.byteOffset(x: x, y: y) + index] = colour }
  }

  /// A pixel of a picture of the usual size.
  fileprivate func pixel(_ x: Int, _ y: Int, width: Int = 96) -> UInt32 {
    UInt32(littleEndian: loadUnaligned(fromByteOffset: (y * width + x) * 4, as: UInt32.self))
  }

  fileprivate func pixels(_ part: Rectangle) -> [UInt32] {
    (part.y..<part.y + part.height).flatMap { y in
      (part.x..<part.x + part.width).map { x in pixel(Int(x), Int(y)) }
    }
  }
}
