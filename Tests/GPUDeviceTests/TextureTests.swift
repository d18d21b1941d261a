import Buffers
import GPUDevice
import Testing
import Virtqueue

@Suite("Resources of a renderer") struct TextureTests {
  let renderer = FakeRenderer()
  let kind = FakeDefaultContexts()
  let guest: Guest

  init() throws {
    guest = try Guest(limits: .usualLimits(hostAllocated: 1 << 20), contextKinds: [kind], renderer: renderer)
  }

  static func create3D(
    _ id: UInt32, width: UInt32 = 64, height: UInt32 = 64, format: UInt32 = 1, target: UInt32 = 2
  ) -> Command {
    var description = Command.Create3D(resource: ResourceID(rawValue: id))
    description.size = Size(width: width, height: height)
    description.format = format
    description.target = target
    return .resourceCreate3D(description)
  }

  func transfer(_ id: UInt32, toHost: Bool) -> Command {
    var box = Command.Transfer3D(resource: ResourceID(rawValue: id))
    (box.width, box.height, box.depth, box.stride) = (8, 4, 1, 256)
    return toHost ? .transferToHost3D(box) : .transferFromHost3D(box)
  }

  @Test("are refused without one")
  func noRenderer() throws {
    let guest = try Guest(contextKinds: [kind])
    #expect(try guest.code(Self.create3D(1)) == .unspecified && guest.code(transfer(1, toHost: true)) == .unspecified)
  }

  @Test("are made, charged, and gone with UNREF and a reset, their backing first")
  func life() throws {
    #expect(try guest.code(Self.create3D(1)) == .okNoData && guest.code(Self.create3D(1)) == .invalidResourceID)
    #expect(guest.device.ledger.totals.hostAllocated == 64 * 64 * 4)
    let address = try guest.arena.allocate(4096, alignment: 4096)
    let entries = [MemoryEntry(address: address, length: 4096)]
    #expect(try guest.attach(1, entries) == .okNoData && guest.attach(1, entries) == .unspecified)
    #expect(try guest.unref(1) == .okNoData && guest.code(Self.create3D(2)) == .okNoData)
    guest.device.reset()
    #expect(renderer.calls == ["create 1", "attach 1", "detach 1", "remove 1", "create 2", "remove 2"])
    #expect(guest.device.ledger.totals == .nothing)
  }

  @Test("beyond the memory limit, or refused by the renderer, leave nothing behind")
  func refused() throws {
    #expect(try guest.code(Self.create3D(1, width: 1024, height: 1024)) == .outOfMemory)
    #expect(try guest.code(Self.create3D(1, width: .max, height: .max)) == .invalidParameter)
    renderer.refusal = .renderer("no")
    #expect(try guest.code(Self.create3D(1)) == .invalidParameter)
    #expect(guest.device.ledger.totals == .nothing && guest.device.resourceCount == 0)
  }

  @Test("a backing moves with guest memory, and what has gone can be touched for the last time")
  func movedMemory() throws {
    #expect(try guest.code(Self.create3D(1)) == .okNoData)
    let address = try guest.arena.allocate(4096, alignment: 4096)
    try guest.arena.write([UInt8](repeating: 7, count: 16), at: address)
    #expect(try guest.attach(1, [MemoryEntry(address: address, length: 4096)]) == .okNoData)
    let old = renderer.backings[ResourceID(rawValue: 1)]?.first?.baseAddress
    guest.device.memoryChanged(guest.arena.memory)
    #expect(renderer.calls == ["create 1", "attach 1"], "the same memory is not attached again")
    let other = try GuestArena(count: 16 << 20)
    guest.device.memoryChanged(other.memory)
    let new = renderer.backings[ResourceID(rawValue: 1)]?.first?.baseAddress
    #expect(new != nil && new != old && renderer.lastBytes == [UInt8](repeating: 7, count: 16))
    guest.device.memoryChanged(GuestMemory())
    #expect(renderer.backings.isEmpty, "no memory, no backing")
    guest.device.memoryChanged(guest.arena.memory)
    #expect(renderer.backings[ResourceID(rawValue: 1)]?.first?.baseAddress == old)
    #expect(try guest.detach(1) == .okNoData && renderer.backings.isEmpty)
  }

  @Test("transfers need a backing and a context that there is")
  func transfers() throws {
    #expect(try guest.code(Self.create3D(1)) == .okNoData)
    #expect(
      try guest.code(transfer(1, toHost: true)) == .unspecified
        && guest.code(transfer(9, toHost: true)) == .invalidResourceID)
    let address = try guest.arena.allocate(4096, alignment: 4096)
    #expect(try guest.attach(1, [MemoryEntry(address: address, length: 4096)]) == .okNoData)
    #expect(try guest.run(transfer(1, toHost: true), context: 3).code == .invalidContextID)
    #expect(
      try guest.code(transfer(1, toHost: true)) == .okNoData && guest.code(transfer(1, toHost: false)) == .okNoData)
    #expect(renderer.transfers.map(\.toHost) == [true, false] && renderer.transfers[0].0.stride == 256)
    #expect(try guest.create(2) == .okNoData && guest.code(transfer(2, toHost: true)) == .invalidParameter)
  }

  @Test("a scanout shows what is read back: all of it first, then what is damaged, once for each flush")
  func shown() throws {
    #expect(try guest.code(Self.create3D(1)) == .okNoData && guest.show(1) == .okNoData)
    #expect(renderer.reads.isEmpty, "nothing is read before a flush")
    #expect(try guest.flush(1, 8, 8, 4, 4) == .okNoData)
    renderer.shade = 1 << 16
    #expect(try guest.flush(1, 8, 9, 4, 3) == .okNoData)
    let part = Rectangle(x: 8, y: 9, width: 4, height: 3)
    #expect(renderer.reads == [Rectangle(Size(width: 64, height: 64)), part])
    #expect(guest.sink.flushes.map(\.damage) == [Rectangle(x: 8, y: 8, width: 4, height: 4), part])
    let pixels = try guest.pixels().withUnsafeBytes { [UInt32]($0.bindMemory(to: UInt32.self)) }
    for row: UInt32 in 0..<64 {
      for column: UInt32 in 0..<64 {
        let isRead = (8..<12).contains(column) && (9..<12).contains(row)
        #expect(pixels[Int(row * 64 + column)] == column + row << 8 + (isRead ? 1 << 16 : 0))
      }
    }
    #expect(guest.device.statistics.pixelsRead == 64 * 64 + 12)
  }

  @Test("a page flip makes all of what is shown be read again; two scanouts of one are read together")
  func flips() throws {
    for id: UInt32 in 1...2 { #expect(try guest.code(Self.create3D(id)) == .okNoData) }
    for id: UInt32 in [1, 2, 1] {
      #expect(try guest.show(id) == .okNoData && guest.flush(id, 0, 0, 1, 1) == .okNoData)
    }
    #expect(renderer.reads.map(\.width) == [64, 64, 64])
    #expect(try guest.show(1) == .okNoData && guest.flush(1, 0, 0, 1, 1) == .okNoData)
    #expect(renderer.reads.last?.width == 1, "the same again is no flip")
    let two = try Guest(
      scanouts: [Size(width: 32, height: 64), Size(width: 32, height: 64)], contextKinds: [kind], renderer: renderer)
    #expect(try two.code(Self.create3D(1)) == .okNoData)
    #expect(try two.show(1, 0, 0, 32, 64) == .okNoData && two.show(1, on: 1, 32, 0, 32, 64) == .okNoData)
    renderer.reads = []
    #expect(try two.flush(1) == .okNoData)
    #expect(renderer.reads == [Rectangle(Size(width: 64, height: 64))] && two.sink.flushes.count == 2)
  }

  @Test("what is no flat picture of a known format is not shown")
  func notShown() throws {
    #expect(try guest.code(Self.create3D(1, format: 31)) == .okNoData && guest.show(1) == .invalidParameter)
    #expect(try guest.code(Self.create3D(2, target: 3)) == .okNoData && guest.show(2) == .invalidParameter)
    #expect(guest.sink.contents.isEmpty)
  }

  @Test("UNREF of what is shown makes the scanout dark, and gives everything back")
  func unrefWhileShown() throws {
    #expect(try guest.code(Self.create3D(1)) == .okNoData && guest.show(1) == .okNoData && guest.flush(1) == .okNoData)
    #expect(try guest.unref(1) == .okNoData)
    #expect(guest.sink.contents.isEmpty && guest.sink.retired.count == 1)
    #expect(guest.device.ledger.totals == .nothing)
  }

  @Test("a cursor's pixels are read back, too")
  func cursor() throws {
    #expect(try guest.code(Self.create3D(1)) == .okNoData)
    let update = Command.CursorUpdate(scanout: ScanoutID(rawValue: 0), x: 0, y: 0, resource: ResourceID(rawValue: 1))
    #expect(try guest.run(.updateCursor(update)).code == .okNoData)
    let image = try #require(guest.sink.cursors[0]?.image)
    #expect(image.bytes.loadUnaligned(fromByteOffset: 4 * (3 * 64 + 5), as: UInt32.self) == 5 + 3 << 8)
  }
}

@Suite("Contexts of drivers that name no capability set") struct DefaultContextTests {
  let kind = FakeDefaultContexts()
  let renderer = FakeRenderer()
  let guest: Guest

  init() throws {
    guest = try Guest(contextKinds: [kind], renderer: renderer)
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 0), context: 1).code == .okNoData)
  }

  var context: FakeDefaultContext { get throws { try #require(kind.made.last) } }

  func submit(fence: UInt64?) throws -> UInt16 {
    try guest.post(
      .submit3D(byteCount: 8, fenceCount: 0), fence: fence, context: 1, trailing: [UInt8](repeating: 0, count: 8))
  }

  @Test("are told of the resources that are theirs")
  func attached() throws {
    #expect(try guest.code(TextureTests.create3D(4)) == .okNoData)
    #expect(try guest.run(.contextAttachResource(ResourceID(rawValue: 4)), context: 1).code == .okNoData)
    #expect(try context.resources == [ResourceID(rawValue: 4)])
    #expect(try guest.run(.contextDetachResource(ResourceID(rawValue: 4)), context: 1).code == .okNoData)
    #expect(try context.resources.isEmpty)
  }

  @Test("a fence of a submission is answered when it is done, and later ones behind it; unfenced ones at once")
  func fences() throws {
    let first = try submit(fence: 10)
    let unfenced = try submit(fence: nil)
    let behind = try guest.post(.getDisplayInfo, fence: 11, room: 408)
    let second = try submit(fence: 12)
    guest.kick()
    #expect(guest.completed() == [unfenced] && guest.device.heldAnswerCount == 3)
    try context.access.finishFences(through: FenceID(rawValue: 10))
    #expect(guest.completed() == [first, behind])
    try context.access.finishFences(through: FenceID(rawValue: 12))
    #expect(guest.completed() == [second])
    #expect(try guest.answer(to: second)?.fence.rawValue == 12)
    #expect(guest.device.ledger.totals.commands == 0)
  }

  @Test("one fence completes all before it, and a reset all there are")
  func merged() throws {
    let all = try [submit(fence: 1), submit(fence: 1), submit(fence: .max)]
    guest.kick()
    try context.access.finishFences(through: FenceID(rawValue: 1))
    #expect(guest.completed() == Array(all[..<2]))
    guest.device.reset()
    #expect(guest.completed() == Array(all[2...]) && guest.device.ledger.totals.commands == 0)
  }
}
