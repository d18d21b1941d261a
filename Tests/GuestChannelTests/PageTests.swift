import Buffers
import GPUDevice
import HubProtocol
import Testing
import Virtqueue

@testable import GuestChannel

@Suite("Buffers in a guest's own pages") struct PageTests {
  private static let size = Size(width: 64, height: 32)

  /// A's buffer "map" in its own pages, granted to b.
  private func offer(
    _ world: ChannelWorld, isWritable: Bool = false
  ) throws -> (program: GuestProgram, id: BufferID, pages: GuestAddress) {
    let a = try GuestProgram(try world.guest("a"), context: 1)
    let pages = try a.guest.ring(7, context: 1, byteCount: 8192)
    try a.guest.write([UInt8](repeating: 0x11, count: 8192), at: pages)
    let layout = try #require(PixelLayout(size: Self.size, format: .xrgb8888))
    let offer = BufferOffer(
      buffer: BufferDescription(id: .random(), layout: layout), memory: MemoryDescription(hostFileOf: layout),
      name: PeerName("map"), isWritable: isWritable)
    _ = try a.ask(.offer(offer), resource: 7)
    _ = try world.grant("map", of: a, to: "b")
    return (a, offer.buffer.id, pages)
  }

  @Test("a VM that may see them has a copy, brought up to date by damage")
  func copies() throws {
    let world = try ChannelWorld(readers: ["b": ["a"]])
    let (a, id, pages) = try offer(world)
    let b = try GuestProgram(try world.guest("b"), context: 1)
    let picture = try b.acquire("map", of: "a", resource: 9, at: 0, wantsUpdates: true)
    #expect(picture.info.memory.kind == .file && picture.info.access == .read)
    #expect(picture.bytes.prefix(8192).allSatisfy { $0 == 0x11 })
    try a.guest.write([UInt8](repeating: 0x22, count: 8192), at: pages)
    try a.update(id, Rectangle(x: 0, y: 0, width: 64, height: 16), 1)
    #expect(try b.told() == GuestProgram.updated(id, Rectangle(Self.size), 1))
    #expect(picture.bytes[8192...].prefix(8192).allSatisfy { $0 == 0x22 }, "generation 1 is in image 1 of the copy")
    picture.bytes[0] = 0x99
    #expect(a.guest.bytes(at: pages, count: 1) == [0x22])
    #expect(a.guest.device.ledger.totals.guestMemory == 8192)
    #expect(a.guest.device.ledger.totals.hostAllocated == 0)
  }

  @Test("pages that were taken away are not read again")
  func gone() throws {
    let world = try ChannelWorld(readers: ["b": ["a"]])
    let (a, id, _) = try offer(world)
    let b = try GuestProgram(try world.guest("b"), context: 1)
    _ = try b.acquire("map", of: "a", resource: 9, at: 0, wantsUpdates: true)
    #expect(try a.guest.run(.resourceDetachBacking(ResourceID(rawValue: 7))) != nil)
    #expect(try a.guest.run(.resourceUnref(ResourceID(rawValue: 7))) == .okNoData)
    #expect(
      try a.say(.application(.update(BufferUpdate(id: id, damage: Rectangle(Self.size), generation: 1)))) != .okNoData)
  }

  @Test("with the owner's program the copy is emptied")
  func end() throws {
    let world = try ChannelWorld(readers: ["b": ["a"]])
    let (a, id, _) = try offer(world)
    let b = try GuestProgram(try world.guest("b"), context: 1)
    let picture = try b.acquire("map", of: "a", resource: 9, at: 0, wantsUpdates: true)
    #expect(try a.guest.run(.contextDestroy, context: 1) == .okNoData)
    guard case .application(.retired(id, _)) = try b.told() else {
      Issue.record("the reader was told something else")
      return
    }
    #expect(picture.bytes.allSatisfy { $0 == 0 })
  }

  @Test("nobody can be let write into them")
  func writable() throws {
    let world = try ChannelWorld(readers: ["b": ["a"]])
    let a = try GuestProgram(try world.guest("a"), context: 1)
    _ = try a.guest.ring(7, context: 1, byteCount: 8192)
    let layout = try #require(PixelLayout(size: Self.size, format: .xrgb8888))
    let offer = BufferOffer(
      buffer: BufferDescription(id: .random(), layout: layout), memory: MemoryDescription(hostFileOf: layout),
      name: PeerName("map"), isWritable: true)
    #expect(try a.say(.application(.offer(offer)), serial: 1, resource: 7) != .okNoData)
  }
}
