import Buffers
import GPUDevice
import Glibc
import HubProtocol
import Testing
import Virtqueue

@testable import GuestChannel

/// Programs that offer pages which are no picture. Where no dma-buf can be made of them, since udmabuf takes some of it.
@Suite("Hostile offers of a guest's pages", .enabled(if: access("/dev/udmabuf", F_OK) != 0)) struct HostilePageTests {
  private static let size = Size(width: 64, height: 32)
  let world: ChannelWorld
  let guest: ChannelGuest
  let program: GuestProgram

  init() throws {
    world = try ChannelWorld(readers: ["b": ["a"]])
    guest = try world.guest("a")
    program = try GuestProgram(guest, context: 1)
  }

  private func offer(_ name: String? = nil, images: Int = 1) throws -> BufferOffer {
    let layout = try #require(PixelLayout(size: Self.size, format: .xrgb8888))
    return BufferOffer(
      buffer: BufferDescription(id: .random(), layout: layout), memory: MemoryDescription(hostFileOf: layout),
      name: name.flatMap { PeerName($0) }, images: images)
  }

  /// A blob of these pieces of the guest's memory, as the program has it.
  private func blob(_ id: UInt32, _ entries: [MemoryEntry]) throws {
    let byteCount = entries.reduce(0) { $0 + UInt64($1.length) }
    let blob = Command.CreateBlob(
      resource: ResourceID(rawValue: id), memory: 1, flags: 0, entryCount: UInt32(entries.count), blob: 0,
      byteCount: byteCount)
    #expect(try guest.run(.resourceCreateBlob(blob), tail: entries.flatMap(\.encoded), context: 1) == .okNoData)
    try guest.attach(id, to: 1)
  }

  private func expectNothingLent() {
    let totals = guest.device.ledger.totals
    #expect(totals.guestMemory == 0)
  }

  @Test("pages twice, parts of pages, too few of them, and shares that are no pages are refused, and cost nothing")
  func noPicture() throws {
    let pages = try guest.ring(7, context: 1, byteCount: 16_384)
    func piece(_ offset: UInt64, _ length: UInt32) -> MemoryEntry {
      MemoryEntry(address: GuestAddress(pages.rawValue + offset), length: length)
    }
    let wrong: [[MemoryEntry]] = [
      [piece(0, 4096), piece(0, 4096)], [piece(0, 8192), piece(4096, 4096)], [piece(100, 8192)],
      [piece(0, 4000), piece(4096, 4192)], [piece(0, 4096)], [piece(0, 1), piece(4096, 8191)],
    ]
    for (index, entries) in wrong.enumerated() {
      let id = UInt32(20 + index)
      try blob(id, entries)
      #expect(throws: GuestProgram.Failure.self, "\(entries)") { try program.ask(.offer(try offer()), resource: id) }
    }
    #expect(throws: GuestProgram.Failure.self) { try program.ask(.offer(try offer(images: 3)), resource: 7) }
    expectNothingLent()
    _ = try program.ask(.offer(try offer(images: 2)), resource: 7)
    #expect(guest.device.ledger.totals.guestMemory == 16_384)
  }

  @Test("the same pages under many ids are charged each time, end one by one, and are given back once")
  func manyIDs() throws {
    _ = try guest.ring(7, context: 1, byteCount: 8192)
    let offers = try (0..<20).map { try offer("n\($0)") }
    for offer in offers { _ = try program.ask(.offer(offer), resource: 7) }
    #expect(guest.device.ledger.totals.guestMemory == 20 * 8192)
    for offer in offers.prefix(5) { _ = try program.ask(.withdraw(offer.buffer.id)) }
    let unref = try guest.post(.resourceUnref(ResourceID(rawValue: 7)))
    try guest.wait { guest.done.contains(unref) }
    expectNothingLent()
    for _ in offers {
      guard case .bufferFreed = try program.told() else {
        Issue.record("not each end was told")
        return
      }
    }
  }

  @Test("the host's memory that the guest sees in its window is not its to give away")
  func window() throws {
    let other = try GuestProgram(try world.guest("b"), context: 1)
    _ = try other.export("map", resource: 7, size: Self.size, at: 0)
    _ = try world.grant("map", of: other, to: "a", form: .shared)
    _ = try program.acquire("map", of: "b", resource: 9, at: 4096)
    let address = GuestAddress(0x4000_0000)
    try guest.tellOfWindow(4096, at: address)
    try blob(20, [MemoryEntry(address: address, length: 8192)])
    #expect(throws: GuestProgram.Failure.self) { try program.ask(.offer(try offer()), resource: 20) }
    expectNothingLent()
  }

  @Test("a name that is taken, an id in use and an owner's limit leave nothing lent")
  func declined() throws {
    _ = try guest.ring(7, context: 1, byteCount: 8192)
    _ = try guest.ring(8, context: 1, byteCount: 8192)
    let first = try offer("map")
    _ = try program.ask(.offer(first), resource: 7)
    #expect(throws: GuestProgram.Failure.self) { try program.ask(.offer(try offer("map")), resource: 8) }
    #expect(try program.say(.application(.offer(first)), serial: 90, resource: 8) == .invalidParameter)
    #expect(guest.device.ledger.totals.guestMemory == 8192)
    #expect(try guest.run(.resourceUnref(ResourceID(rawValue: 8))) == .okNoData)
    #expect(try guest.run(.contextDestroy, context: 1) == .okNoData)
    try guest.wait { guest.device.ledger.totals.guestMemory == 0 && guest.contexts.lingeringCount == 0 }
  }

  @Test("no more pieces of other VMs' memory are mapped than there is room for")
  func pieces() throws {
    let count = PieceCount(limit: 10)
    var rooms = [try count.take(4), try count.take(6)]
    #expect(throws: GPUError.self) { try count.take(1) }
    rooms.removeLast()
    #expect(throws: GPUError.self) { try count.take(.max) }
    rooms.append(try count.take(6))
    #expect(rooms.count == 2)
  }
}
