import Buffers
import GPUDevice
import Platform
import Testing
import Virtqueue

@Suite("Blobs of a renderer") struct RenderedBlobTests {
  let renderer = FakeRenderer()
  let kind = FakeDefaultContexts()
  let guest: Guest

  init() throws {
    guest = try Guest(limits: .usualLimits(hostAllocated: 1 << 20), contextKinds: [kind], renderer: renderer)
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 0), context: 1).code == .okNoData)
  }

  private func context() throws -> FakeDefaultContext { try #require(kind.made.last) }

  /// Memory as a driver gives it: its bytes begin behind a page of the driver's own.
  private func memory(_ byteCount: Int = 16_384) throws -> HostMemory {
    let file = try SharedMemoryFile(name: "driver", count: byteCount + 4096)
    let descriptor = SharedDescriptor(try file.writable.duplicate())
    return HostMemory(foreign: descriptor, byteCount: byteCount, from: 4096) {}
  }

  private func create(
    _ id: UInt32, number: UInt64 = 7, _ byteCount: UInt64 = 16_384, memory: UInt32 = 2, flags: UInt32 = 1,
    entries: [MemoryEntry] = [], context: UInt32 = 1
  ) throws -> ResponseCode? {
    let command = Guest.blob(
      id, byteCount, memory: memory, flags: flags, entryCount: UInt32(entries.count), blob: number)
    return try guest.send(command.encoded(context: ContextID(rawValue: context)) + entries.flatMap(\.encoded))?.code
  }

  @Test("are charged, mapped from where their bytes begin, as the renderer says, and gone with UNREF")
  func life() throws {
    try context().blobs[7] = RenderedBlob(memory: memory(), caching: .writeCombined)
    #expect(try create(3) == .okNoData && create(3) == .invalidResourceID)
    #expect(guest.device.ledger.totals.hostAllocated == 16_384 && guest.device.ledger.totals.buffers == 1)
    let map = try guest.map(3, at: 8192)
    guest.kick()
    guest.answerWindow()
    #expect(guest.completed() == [map] && guest.window.texts == ["map 8192+16384"])
    #expect(try guest.window.changes[0].piece.fileOffset == 4096 && guest.mapInfo(of: map) == 3)
    #expect(try guest.unref(3) == .okNoData)
    #expect(renderer.calls == ["remove 3"] && guest.window.texts.last == "unmap 8192+16384")
    #expect(guest.device.ledger.totals.hostAllocated == 16_384, "the guest sees it still")
    guest.answerWindow()
    #expect(guest.device.ledger.totals.hostAllocated == 0 && guest.device.ledger.totals.descriptors == 0)
  }

  @Test("are shown from where their bytes begin")
  func shown() throws {
    let memory = try memory()
    try context().blobs[7] = RenderedBlob(memory: memory)
    #expect(try create(3) == .okNoData)
    let bytes = try memory.mutableBytes()
    (bytes[0], bytes[256]) = (0x11, 0x22)
    #expect(try guest.showBlob(3) == .okNoData && guest.flush(3) == .okNoData)
    let pixels = try guest.pixels()
    #expect(pixels[0] == 0x11 && pixels[256] == 0x22)
    #expect(try guest.unref(3) == .okNoData && renderer.calls == ["remove 3"])
  }

  @Test("that no descriptor stands for are neither mapped nor shown, but can be used and transferred")
  func withoutDescriptor() throws {
    let context = try context()
    context.blobs[7] = RenderedBlob(memory: nil)
    #expect(try create(3) == .invalidParameter, "it was to be mapped")
    #expect(renderer.calls == ["remove 3"] && guest.device.ledger.totals.hostAllocated == 0)
    context.blobs[8] = RenderedBlob(memory: nil)
    #expect(try create(3, number: 8, flags: 2) == .okNoData)
    #expect(try guest.now(guest.map(3, at: 0)) == .invalidParameter && guest.showBlob(3) == .invalidParameter)
    #expect(guest.device.ledger.totals.hostAllocated == 16_384)
    #expect(try guest.run(.contextAttachResource(ResourceID(rawValue: 3)), context: 1).code == .okNoData)
    #expect(context.resources == [ResourceID(rawValue: 3)])
    guest.device.reset()
    #expect(guest.device.ledger.totals == .nothing)
  }

  @Test("of the guest's pages as well are transferred to and from these, which may move")
  func withPages() throws {
    let context = try context()
    context.blobs[7] = RenderedBlob(memory: try memory())
    let entries = try guest.pages(4)
    #expect(try create(3, memory: 3, entries: entries) == .okNoData)
    #expect(context.pages.map(\.count).reduce(0, +) == 16_384)
    let box = Command.Transfer3D(resource: ResourceID(rawValue: 3))
    #expect(try guest.run(.transferToHost3D(box), context: 1).code == .okNoData)
    #expect(try guest.run(.transferFromHost3D(box), context: 1).code == .okNoData)
    #expect(renderer.transfers.map(\.toHost) == [true, false])
    guest.device.memoryChanged(GuestMemory())
    guest.device.memoryChanged(guest.arena.memory)
    #expect(renderer.calls == ["detach 3", "attach 3"])
    #expect(try guest.detach(3) == .okNoData && guest.detach(3) == .unspecified)
    #expect(try guest.run(.transferToHost3D(box), context: 1).code == .unspecified, "there are no pages")
    #expect(try guest.attach(3, entries) == .okNoData && guest.attach(3, entries) == .unspecified)
    #expect(try guest.unref(3) == .okNoData)
    #expect(renderer.calls == ["detach 3", "attach 3", "detach 3", "attach 3", "detach 3", "remove 3"])
    #expect(guest.device.ledger.totals.bookkeeping == 0)
  }

  @Test("hostile ones are refused and leave nothing behind")
  func hostile() throws {
    let context = try context()
    let entries = try guest.pages(2)
    func isRefused(_ code: ResponseCode?) -> Bool { code != .okNoData && guest.device.resourceCount == 0 }
    context.blobs[7] = RenderedBlob(memory: try memory())
    #expect(try isRefused(create(3, number: 9)), "a number that nobody knows")
    #expect(try isRefused(create(3, context: 2)), "a context that is not there")
    #expect(try isRefused(create(3, context: 0)), "no context")
    #expect(try isRefused(create(3, entries: entries)), "pages where there are none")
    #expect(try isRefused(create(3, memory: 3)), "no pages where there are some")
    #expect(try isRefused(create(3, memory: 3, entries: entries)), "fewer pages than bytes")
    for count: UInt64 in [0, .max, 1 << 62, (1 << 20) + 1] { #expect(try isRefused(create(3, count))) }
    #expect(try isRefused(create(3, number: 0, memory: 3, entries: entries)), "memory of ours has no pages")
    #expect(context.blobs[7] != nil && renderer.calls.isEmpty)
    #expect(guest.device.ledger.totals.hostAllocated == 0 && guest.device.ledger.totals.bookkeeping == 0)
    #expect(try create(3, flags: 8) == .invalidParameter)
    let box = Command.Transfer3D(resource: ResourceID(rawValue: 4))
    #expect(try create(4, number: 0) == .okNoData)
    #expect(try guest.run(.transferToHost3D(box), context: 1).code == .invalidParameter, "not the renderer's")
  }
}
