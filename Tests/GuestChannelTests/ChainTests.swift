import Buffers
import CrossDomain
import GPUDevice
import HubProtocol
import Platform
import TestSupport
import Testing

@testable import GuestChannel

/// A reader's copy has several images: what its program holds stays as it is, and no owner waits for it.
@Suite("Copies of several images") struct ChainTests {
  private static let size = Size(width: 64, height: 32)
  private static let whole = Rectangle(size)
  private static let share = 8192

  /// An owner in guest a, and a reader in guest b.
  private struct Pair {
    let world: ChannelWorld
    let guest: ChannelGuest
    let owner: GuestProgram, reader: GuestProgram
    let id: BufferID
    let pixels: UnsafeMutableRawBufferPointer
    let images: Int

    init(images: Int = 1, isWritable: Bool = false, limits: LedgerAmounts = .usualLimits) throws {
      world = try ChannelWorld()
      owner = try GuestProgram(try world.guest("a"), context: 1)
      guest = try world.guest("b", limits: limits)
      reader = try GuestProgram(guest, context: 1)
      let export = try owner.export(
        "map", resource: 7, size: ChainTests.size, at: 0, isWritable: isWritable, images: images)
      _ = try world.grant("map", of: owner, to: "b", isWritable ? .readWrite : .read)
      (id, pixels) = export
      self.images = images
    }

    func draw(_ generation: UInt64, _ colour: UInt8, rows: Range<Int> = 0..<32) {
      let start = Int(generation % UInt64(images)) * ChainTests.share + rows.lowerBound * 256
      pixels[start..<start + rows.count * 256].copyBytes(from: [UInt8](repeating: colour, count: rows.count * 256))
    }

    /// Draws all of a generation, says so, and waits until the reader's card has taken it in.
    func show(_ generation: UInt64, _ colour: UInt8, _ damage: Rectangle = ChainTests.whole) throws {
      draw(generation, colour)
      try owner.update(id, damage, generation)
      try waitUntilRead(generation)
    }

    func waitUntilRead(_ generation: UInt64) throws {
      while true {
        if case .application(.bufferDone(let done)) = try owner.told(), done.generation == generation,
          done.remaining == 0
        {
          return
        }
      }
    }

    func nextUpdate() throws -> BufferUpdate {
      guard case .application(.updated(let update)) = try reader.told() else { throw GuestProgram.Failure.noWelcome }
      return update
    }
  }

  private func colours(
    _ picture: (info: BufferInfo, bytes: UnsafeMutableRawBufferPointer), _ generation: UInt64
  ) -> Set<UInt8> {
    let start = Int(generation % UInt64(picture.info.images)) * Self.share
    return Set(picture.bytes[start..<start + Self.share])
  }

  @Test("what a program holds stays as it is while its owner, of one image or several, goes on", arguments: 1...3)
  func held(images: Int) throws {
    let pair = try Pair(images: images)
    let picture = try pair.reader.acquire("map", of: "a", resource: 9, at: 0, wantsUpdates: true)
    #expect(picture.info.images == 2 && picture.info.memory.byteCount == 16_384)
    try pair.show(1, 1)
    let first = try pair.nextUpdate()
    for generation in 2...9 as ClosedRange<UInt64> {
      try pair.show(generation, UInt8(generation))
      #expect(colours(picture, first.generation) == [1])
    }
    try pair.reader.done(pair.id, first.generation)
    let second = try pair.nextUpdate()
    #expect(second.damage == Self.whole && second.generation > first.generation)
    #expect(colours(picture, second.generation) == [9])
    #expect(second.generation == 9, "as its owner calls it")
  }

  @Test("a picture that was there before is told by its owner's number")
  func before() throws {
    let pair = try Pair(images: 3)
    pair.draw(5, 5)
    try pair.owner.update(pair.id, Self.whole, 5)
    let picture = try pair.reader.acquire("map", of: "a", resource: 9, at: 0, wantsUpdates: true)
    let first = try pair.nextUpdate()
    #expect(first.generation == 5 && colours(picture, 5) == [5])
  }

  @Test("who shows a picture keeps it while it takes in the next")
  func kept() throws {
    let pair = try Pair()
    let picture = try pair.reader.acquire("map", of: "a", resource: 9, at: 0, wantsUpdates: true, keeps: true)
    #expect(picture.info.images == 3)
    try pair.show(1, 1)
    let shown = try pair.nextUpdate()
    try pair.reader.done(pair.id, shown.generation)
    try pair.show(2, 2)
    let next = try pair.nextUpdate()
    for generation in 3...6 as ClosedRange<UInt64> { try pair.show(generation, UInt8(generation)) }
    #expect(colours(picture, shown.generation) == [1] && colours(picture, next.generation) == [2])
    try pair.reader.done(pair.id, next.generation)
    let last = try pair.nextUpdate()
    #expect(colours(picture, next.generation) == [2] && colours(picture, last.generation) == [6])
  }

  @Test("an image is brought up to date by what has changed since it was, and by no more")
  func damage() throws {
    let pair = try Pair()
    let picture = try pair.reader.acquire("map", of: "a", resource: 9, at: 0, wantsUpdates: true)
    try pair.show(1, 1)
    let first = try pair.nextUpdate()
    try pair.show(2, 2, Rectangle(x: 0, y: 4, width: 64, height: 4))
    try pair.show(3, 3, Rectangle(x: 0, y: 8, width: 64, height: 4))
    try pair.reader.done(pair.id, first.generation)
    let second = try pair.nextUpdate()
    #expect(second.damage == Rectangle(x: 0, y: 4, width: 64, height: 8))
    let start = Int(second.generation % 2) * Self.share
    let rows = (0..<32).map { picture.bytes[start + $0 * 256] }
    #expect(second.generation == 3 && Set(rows[4..<8]) == [2] && Set(rows[8..<12]) == [3])
    #expect(Set(rows[..<4] + rows[12...]) == [1], "nothing else, although the owner's memory has changed everywhere")
    try pair.show(4, 4, Rectangle(x: 0, y: 0, width: 64, height: 1))
    try pair.reader.done(pair.id, second.generation)
    let third = try pair.nextUpdate()
    let other = Int(third.generation % 2) * Self.share
    #expect(third.generation == 4 && other != start)
    let colours = (0..<32).map { picture.bytes[other + $0 * 256] }
    #expect(colours[0] == 4 && Set(colours[1..<8]) == [2], "the other image was copied as a whole with generation 2")
    #expect(Set(colours[8..<12]) == [3] && Set(colours[12...]) == [2])
  }

  @Test("a VM with room for one image gets one, which is not touched while it is read")
  func oneImage() throws {
    var limits = LedgerAmounts.usualLimits
    limits.hostAllocated = Self.share + 4096
    let pair = try Pair(images: 3, limits: limits)
    let picture = try pair.reader.acquire("map", of: "a", resource: 9, at: 0, wantsUpdates: true)
    #expect(picture.info.images == 1)
    try pair.show(1, 1)
    let first = try pair.nextUpdate()
    for generation in 2...3 as ClosedRange<UInt64> {
      pair.draw(generation, UInt8(generation))
      try pair.owner.update(pair.id, Self.whole, generation)
    }
    _ = try pair.owner.ask(.query(BufferQuery()))
    #expect(colours(picture, first.generation) == [1])
    try pair.reader.done(pair.id, first.generation)
    let second = try pair.nextUpdate()
    #expect(second.damage == Self.whole && [[2], [3]].contains(colours(picture, second.generation)))
  }

  @Test("without updates a copy has one image; all images are charged, and given back")
  func charges() throws {
    let pair = try Pair(images: 3)
    let ledger = pair.guest.device.ledger
    _ = try pair.reader.acquire("map", of: "a", resource: 9, at: 0)
    #expect(ledger.totals.hostAllocated == Self.share)
    let second = try GuestProgram(pair.guest, context: 2)
    _ = try second.acquire("map", of: "a", resource: 10, at: 32_768, wantsUpdates: true, keeps: true)
    #expect(ledger.totals.hostAllocated == 4 * Self.share)
    for (context, resource) in [(UInt32(1), UInt32(9)), (2, 10)] {
      #expect(try pair.guest.run(.contextDestroy, context: context) == .okNoData)
      #expect(try pair.guest.run(.resourceUnmapBlob(ResourceID(rawValue: resource))) == .okNoData)
      #expect(try pair.guest.run(.resourceUnref(ResourceID(rawValue: resource))) == .okNoData)
    }
    try pair.guest.wait { ledger.totals.hostAllocated == 0 }
  }

  @Test("with write access the images are the owner's own, and the owner is told which one is held")
  func shared() throws {
    let pair = try Pair(images: 3, isWritable: true)
    let picture = try pair.reader.acquire(
      "map", of: "a", resource: 9, at: 0, access: .readWrite, wantsUpdates: true)
    #expect(picture.info.images == 3)
    pair.draw(1, 1)
    try pair.owner.update(pair.id, Self.whole, 1)
    let first = try pair.nextUpdate()
    #expect(first.generation == 1 && colours(picture, 1) == [1])
    try pair.owner.update(pair.id, Self.whole, 2)
    func waitForTaken(_ generation: UInt64, _ held: UInt32) throws {
      while try pair.owner.told()
        != .application(.bufferTaken(BufferTaken(id: pair.id, generation: generation, held: held)))
      {}
    }
    try waitForTaken(2, 0b010)
    try pair.reader.done(pair.id, 1)
    #expect(try pair.nextUpdate().generation == 2)
    try pair.reader.done(pair.id, 2)
    try waitForTaken(2, 0)
  }

  @Test("a program that asks for write access gets the memory itself, and what waited is read")
  func upgrade() throws {
    var limits = LedgerAmounts.usualLimits
    limits.hostAllocated = Self.share
    let pair = try Pair(images: 2, isWritable: true, limits: limits)
    _ = try pair.reader.acquire("map", of: "a", resource: 9, at: 0, wantsUpdates: true)
    try pair.show(1, 1)
    _ = try pair.nextUpdate()
    pair.draw(2, 2)
    try pair.owner.update(pair.id, Self.whole, 2)
    _ = try pair.owner.ask(.query(BufferQuery()))
    let own = try pair.reader.acquire(
      "map", of: "a", resource: 10, at: 16_384, access: .readWrite, wantsUpdates: true)
    try pair.waitUntilRead(2)
    #expect(own.info.images == 2 && colours(own, 2) == [2])
  }

  @Test("a fence of the host's is waited for by the card, and its guest is told then", arguments: [1, 2])
  func fences(images: Int) throws {
    let world = try ChannelWorld()
    let program = try GuestProgram(try world.guest("b"), context: 1)
    let camera = ApplicationClient(hubPath: world.path, name: PeerName("camera")!, loop: world.loop)
    camera.start()
    let layout = try #require(PixelLayout(size: Self.size, format: .xrgb8888))
    let file = try HostMemory(byteCount: images * Self.share)
    let pixels = try file.mutableBytes()
    let offer = BufferOffer(
      buffer: BufferDescription(id: .random(), layout: layout),
      memory: MemoryDescription(
        kind: .file, side: .host, reason: .hostAllocated, byteCount: UInt64(images * Self.share)),
      name: PeerName("map"), images: images)
    for _ in 0..<20 { try world.loop.runOnce(timeout: .milliseconds(1)) }
    camera.offer(offer, descriptor: SharedDescriptor(try file.readOnlyDescriptor()))
    camera.grant(GrantRequest(to: Party(.vm, PeerName("b")!), object: .name(PeerName("map")!)))
    for _ in 0..<20 { try world.loop.runOnce(timeout: .milliseconds(1)) }
    let key = BufferKey.name(PeerName("map")!, owner: Party(.application, PeerName("camera")!))
    let answer = try program.ask(.acquire(Acquisition(key, wantsUpdates: true)))
    let blob = try #require(answer.blob)
    #expect(try program.guest.hostBlob(9, UInt64(blob.number), UInt64(blob.byteCount), context: 1) == .okNoData)
    let copy = try program.guest.map(9, at: 0)
    let bell = try Doorbell()
    camera.update(
      BufferUpdate(id: offer.buffer.id, damage: Self.whole, generation: 2),
      fence: bell.waiting)
    for _ in 0..<50 { try world.loop.runOnce(timeout: .milliseconds(1)) }
    pixels.copyBytes(from: [UInt8](repeating: 7, count: pixels.count))
    bell.ring()
    guard case .application(.updated(let update)) = try program.told() else {
      Issue.record("not told")
      return
    }
    let start = Int(update.generation % 2) * Self.share
    #expect(copy[start..<start + Self.share].allSatisfy { $0 == 7 }, "what was drawn before the fence was ready")
  }

  @Test("a reader's release fence is waited for by the owner's card, and its guest is told then", arguments: [1, 2])
  func releaseFences(images: Int) throws {
    let world = try ChannelWorld()
    let owner = try GuestProgram(try world.guest("a"), context: 1)
    let export = try owner.export("map", resource: 7, size: Self.size, at: 0, images: images)
    let viewer = ApplicationClient(hubPath: world.path, name: PeerName("viewer")!, loop: world.loop)
    viewer.start()
    try owner.guest.wait { viewer.isLinked }
    let party = Party(.application, PeerName("viewer")!)
    _ = try owner.ask(.grant(GrantRequest(to: party, object: .id(export.id))))
    var isHeld = false
    viewer.acquire(Acquisition(.id(export.id), wantsUpdates: true)) { if case .success = $0 { isHeld = true } }
    try owner.guest.wait { isHeld }
    try owner.update(export.id, Self.whole, 1)
    try world.run(0.05)
    _ = try owner.news()
    let bell = try Doorbell()
    viewer.done(export.id, generation: 1, fence: bell.waiting)
    try world.run(0.05)
    #expect(try owner.news() == [], "it is read until the fence is ready")
    bell.ring()
    guard case .application(.bufferDone(let done)) = try owner.told() else {
      Issue.record("not told")
      return
    }
    #expect(done.generation == 1 && done.remaining == 0)
    try world.run(0.05)
    let rest = try owner.news()
    #expect(rest.isEmpty == (images == 1), "which images are held is said after that: \(rest)")
  }

  @Test("an offer whose memory is not equal shares of whole pages is refused", arguments: [2, 3])
  func badOffer(images: Int) throws {
    let world = try ChannelWorld()
    let guest = try world.guest("a")
    let program = try GuestProgram(guest, context: 1)
    let layout = try #require(PixelLayout(size: Self.size, format: .xrgb8888))
    for (resource, byteCount) in [(UInt32(7), UInt64(8192)), (8, UInt64(images) * 8192 - 4096)] {
      #expect(try guest.hostBlob(resource, 0, byteCount, context: 1) == .okNoData)
      let offer = BufferOffer(
        buffer: BufferDescription(id: .random(), layout: layout),
        memory: MemoryDescription(hostFileOf: layout), images: images)
      #expect(try program.say(.application(.offer(offer)), serial: 5, resource: resource) == .invalidParameter)
    }
  }
}
