import Buffers
import GPUDevice
import Glibc
import HubProtocol
import Testing
import Virtqueue

@testable import GuestChannel

/// Where no dma-buf can be made of them. Where one can: Tests/Guests/test_inside_pages.py.
@Suite("Buffers in a guest's own pages", .enabled(if: access("/dev/udmabuf", F_OK) != 0)) struct PageTests {
  private static let size = Size(width: 64, height: 32)

  /// A's buffer "map" in its own pages, granted to b.
  private func offer(_ world: ChannelWorld) throws -> (program: GuestProgram, id: BufferID, pages: GuestAddress) {
    let a = try GuestProgram(try world.guest("a"), context: 1)
    let pages = try a.guest.ring(7, context: 1, byteCount: 8192)
    try a.guest.write([UInt8](repeating: 0x11, count: 8192), at: pages)
    let layout = try #require(PixelLayout(size: Self.size, format: .xrgb8888))
    let offer = BufferOffer(
      buffer: BufferDescription(id: .random(), layout: layout), memory: MemoryDescription(hostFileOf: layout),
      name: PeerName("map"))
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

  @Test("a guest that takes its pages back ends the buffer, and has them when no reader is left")
  func takenBack() throws {
    let world = try ChannelWorld(readers: ["b": ["a"]])
    let (a, id, _) = try offer(world)
    let b = try GuestProgram(try world.guest("b"), context: 1)
    let picture = try b.acquire("map", of: "a", resource: 9, at: 0, wantsUpdates: true)
    let unref = try a.guest.post(.resourceUnref(ResourceID(rawValue: 7)))
    #expect(!a.guest.done.contains(unref), "a reader may still look at the pages")
    #expect(try a.guest.run(.resourceCreate2D(ResourceID(rawValue: 70), format: 2, size: Self.size)) == .okNoData)
    try a.guest.wait { a.guest.done.contains(unref) }
    try b.expectRetired(id)
    #expect(picture.bytes.allSatisfy { $0 == 0 })
    #expect(a.guest.device.ledger.totals.guestMemory == 0)
    guard case .application(.bufferWanted) = try a.told(), case .bufferFreed(id) = try a.told() else {
      Issue.record("the owner was told something else")
      return
    }
    #expect(throws: GuestProgram.Failure.self) { try b.acquire("map", of: "a", resource: 10, at: 65_536) }
  }

  @Test("pages that the VMM has moved are nobody's picture any more")
  func moved() throws {
    let world = try ChannelWorld(readers: ["b": ["a"]])
    let (a, id, _) = try offer(world)
    let b = try GuestProgram(try world.guest("b"), context: 1)
    let picture = try b.acquire("map", of: "a", resource: 9, at: 0, wantsUpdates: true)
    try a.guest.loseMemory()
    try b.expectRetired(id)
    #expect(picture.bytes.allSatisfy { $0 == 0 })
  }

  @Test("where nobody may see them and there is no dma-buf of them, the program is told what is missing")
  func useless() throws {
    let world = try ChannelWorld()
    let refusal = #expect(throws: GuestProgram.Failure.self) { try offer(world) }
    guard case .refused(let said)? = refusal else {
      Issue.record("offered")
      return
    }
    #expect(said.code == .disagreement && said.reason.contains("sees_memory_of = [\"a\"]"), "\(said)")
  }

  @Test("with the owner's program the copy is emptied")
  func end() throws {
    let world = try ChannelWorld(readers: ["b": ["a"]])
    let (a, id, _) = try offer(world)
    let b = try GuestProgram(try world.guest("b"), context: 1)
    let picture = try b.acquire("map", of: "a", resource: 9, at: 0, wantsUpdates: true)
    #expect(try a.guest.run(.contextDestroy, context: 1) == .okNoData)
    try b.expectRetired(id)
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
    #expect(throws: GuestProgram.Failure.self) { try a.ask(.offer(offer), resource: 7) }
  }
}
