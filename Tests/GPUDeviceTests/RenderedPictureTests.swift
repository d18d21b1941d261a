import Buffers
import GPUDevice
import Testing
import Virtqueue

@Suite("2D resources that contexts use") struct RenderedPictureTests {
  let renderer = FakeRenderer()
  let kind = FakeDefaultContexts()
  let guest: Guest

  init() throws {
    guest = try Guest(limits: .usualLimits(hostAllocated: 1 << 20), contextKinds: [kind], renderer: renderer)
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 0), context: 1).code == .okNoData)
  }

  private func submit(context: UInt32 = 1) throws -> ResponseCode? {
    let command = Command.submit3D(byteCount: 4, fenceCount: 0).encoded(context: ContextID(rawValue: context))
    return try guest.send(command + [0, 0, 0, 0])?.code
  }

  private func attach(_ id: UInt32 = 1, context: UInt32 = 1) throws -> ResponseCode? {
    try guest.run(.contextAttachResource(ResourceID(rawValue: id)), context: context).code
  }

  @Test("come to the renderer with the first commands, and as they are")
  func made() throws {
    let address = try guest.picture(1)
    try guest.arena.write([9, 8, 7, 6], at: address)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData && attach() == .okNoData)
    #expect(renderer.calls.isEmpty, "nobody draws")
    #expect(try submit() == .okNoData && submit() == .okNoData)
    #expect(renderer.calls == ["create 1"] && renderer.writes == [Rectangle(x: 0, y: 0, width: 64, height: 64)])
    #expect(renderer.firstPixels == [0x0607_0809])
    #expect(try #require(kind.made.last).resources.count == 2, "attached when the renderer has it")
    #expect(guest.device.ledger.totals.hostAllocated == 2 * 64 * 64 * 4)
    #expect(try guest.transfer(1, 4, 4, 2, 1, offset: 0) == .okNoData)
    #expect(renderer.writes.last == Rectangle(x: 4, y: 4, width: 2, height: 1))
    #expect(try guest.unref(1) == .okNoData && renderer.calls == ["create 1", "remove 1"])
    #expect(guest.device.ledger.totals.hostAllocated == 0)
  }

  @Test("show what was drawn at a flush, whole at first")
  func shown() throws {
    try guest.picture(1)
    #expect(try guest.show(1) == .okNoData && guest.flush(1) == .okNoData && renderer.reads.isEmpty)
    #expect(try attach() == .okNoData && submit() == .okNoData)
    #expect(try guest.flush(1, 8, 8, 2, 2) == .okNoData && guest.flush(1, 8, 8, 2, 2) == .okNoData)
    #expect(
      renderer.reads == [Rectangle(x: 0, y: 0, width: 64, height: 64), Rectangle(x: 8, y: 8, width: 2, height: 2)])
    #expect(try guest.pixels()[4] == 1, "the renderer's pixels are their coordinates")
  }

  @Test("several contexts share what the renderer has, and one without it has nothing")
  func several() throws {
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 0), context: 2).code == .okNoData)
    try guest.picture(1)
    #expect(try attach() == .okNoData && attach(context: 2) == .okNoData)
    #expect(try submit() == .okNoData && submit(context: 2) == .okNoData && renderer.calls == ["create 1"])
    guest.device.reset()
    #expect(renderer.calls == ["create 1", "remove 1"] && guest.device.ledger.totals == .nothing)
  }

  @Test("that are detached, or gone, before anybody draws never come there")
  func gone() throws {
    for id: UInt32 in 1...2 {
      try guest.picture(id)
      #expect(try attach(id) == .okNoData)
    }
    #expect(try guest.run(.contextDetachResource(ResourceID(rawValue: 1)), context: 1).code == .okNoData)
    #expect(try guest.unref(2) == .okNoData && submit() == .okNoData && renderer.calls.isEmpty)
  }

  @Test("beyond the limit do not come there, and are told of")
  func limit() throws {
    #expect(try guest.create(1, width: 512, height: 300) == .okNoData && attach() == .okNoData)
    var reasons: [GPUError] = []
    guest.device.refused = { error, _ in reasons.append(error) }
    #expect(try submit() == .okNoData && renderer.calls.isEmpty && reasons.count == 1)
  }
}
