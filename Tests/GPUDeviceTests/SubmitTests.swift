import Buffers
import GPUDevice
import Testing
import Virtqueue

@Suite("Contexts of a capability set") struct SubmitTests {
  let kind = FakeContexts()
  let guest: Guest

  init() throws {
    guest = try Guest(contextKinds: [kind])
  }

  /// A context of the capability set.
  func context(_ id: UInt32 = 1) throws -> FakeContext {
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 5), context: id).code == .okNoData)
    _ = try guest.create(99)
    return try #require(kind.made.last)
  }

  func submit(
    _ commands: [UInt8], claiming count: UInt32? = nil, fences: UInt32 = 0, context: UInt32 = 1
  ) throws -> ResponseCode? {
    let command = Command.submit3D(byteCount: count ?? UInt32(commands.count), fenceCount: fences)
    return try guest.send(command.encoded(context: ContextID(rawValue: context)) + commands)?.code
  }

  /// Posts a command that does nothing, with a fence on a ring.
  func post(fence: UInt64, ring: UInt8?, context: UInt32 = 1) throws -> UInt16 {
    try guest.post(
      .contextDetachResource(ResourceID(rawValue: 99)), fence: fence, context: context, ring: ring)
  }

  @Test("features, configuration and GET_CAPSET tell of the set")
  func capsets() throws {
    let offered = guest.device.deviceFeatures
    #expect(offered & GPUDevice.contextInitFeature != 0 && offered & GPUDevice.virglFeature != 0)
    #expect(ScanoutTests.configuration(guest.device)[3] == 1)
    let info = try guest.run(.getCapsetInfo(index: 0))
    #expect(info.bytes.count == 40 && (0..<4).map { info.word(24 + 4 * $0) } == [5, 1, 3, 0])
    let contents = try guest.run(.getCapset(id: 5, version: 1))
    #expect(contents.code == .okCapset && Array(contents.bytes[24...]) == [1, 2, 3])
    for refused: Command in [
      .getCapsetInfo(index: 1), .getCapsetInfo(index: .max), .getCapset(id: 4, version: 0),
      .getCapset(id: 5, version: 2),
    ] { #expect(try guest.code(refused) == .invalidParameter) }
  }

  @Test("what is submitted reaches the context whole")
  func submitted() throws {
    let context = try context()
    #expect(try submit([1, 2, 3, 4, 5]) == .okNoData)
    #expect(try submit([UInt8](repeating: 7, count: 4096)) == .okNoData)
    #expect(context.submitted.map(\.count) == [5, 4096] && context.submitted[0] == [1, 2, 3, 4, 5])
  }

  @Test("nothing, too much, less than it says, or fences to wait for are refused")
  func wrongLengths() throws {
    let context = try context()
    #expect(try submit([]) == .invalidParameter)
    #expect(try submit([UInt8](repeating: 0, count: 4097)) == .invalidParameter)
    #expect(try submit([1, 2], claiming: 3) == .invalidParameter)
    #expect(try submit([1, 2], claiming: .max) == .invalidParameter)
    #expect(try submit([1, 2, 3, 4, 5, 6, 7, 8], fences: 1) == .invalidParameter)
    #expect(context.submitted.isEmpty)
  }

  @Test("what a context refuses is answered with its reason")
  func refused() throws {
    let context = try context()
    context.refusal = .contextCommand("no")
    #expect(try submit([1]) == .invalidParameter)
  }

  @Test("contexts of unknown sets are refused, and those that cannot be made leave nothing")
  func notMade() throws {
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 2), context: 1).code == .invalidParameter)
    kind.refusal = .hostMemory(code: 12)
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 5), context: 1).code == .outOfMemory)
    #expect(guest.device.contextCount == 0 && guest.device.ledger.totals.contexts == 0)
  }

  @Test("without CONTEXT_INIT a context has no set, and its fences no ring")
  func notAccepted() throws {
    guest.device.featuresAccepted(guest.device.deviceFeatures & ~GPUDevice.contextInitFeature)
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 5), context: 1).code == .okNoData)
    #expect(kind.made.isEmpty)
    _ = try guest.create(99)
    #expect(try submit([1]) == .unspecified)
    let token = try post(fence: 3, ring: 1)
    guest.kick()
    #expect(guest.completed() == [token])
    #expect(try guest.answer(to: token)?.flags == .fence)
  }

  @Test("fences of a ring keep their order, and wait for nothing else")
  func rings() throws {
    let context = try context()
    context.slowRings = [1]
    let slow = [try post(fence: 1, ring: 1), try post(fence: 2, ring: 1), try post(fence: 3, ring: 1)]
    let others = [try post(fence: 4, ring: 0), try post(fence: 5, ring: nil)]
    guest.kick()
    #expect(guest.completed() == others && guest.device.ledger.totals.commands == 3)
    context.access.finishFences(ring: 1, through: FenceID(rawValue: 2))
    #expect(guest.completed() == Array(slow[..<2]))
    #expect(try guest.answer(to: slow[1])?.flags == [.fence, .ringIndex])
    context.access.finishFences(ring: 0, through: FenceID(rawValue: 3))
    context.access.finishFences(ring: 1, through: FenceID(rawValue: 77))
    #expect(guest.completed().isEmpty, "not its ring, not its fence")
    context.access.finishFences(ring: 1, through: FenceID(rawValue: 3))
    #expect(guest.completed() == [slow[2]] && guest.device.ledger.totals.commands == 0)
  }

  @Test(
    "a flush that waits for its display and for its ring counts once, until both are there", arguments: [true, false])
  func both(displayFirst: Bool) throws {
    let context = try context()
    context.slowRings = [1]
    try guest.picture(3)
    #expect(try guest.show(3) == .okNoData)
    guest.sink.result = .pending
    let rectangle = Rectangle(x: 0, y: 0, width: 64, height: 64)
    let token = try guest.post(.resourceFlush(ResourceID(rawValue: 3), rectangle), fence: 9, context: 1, ring: 1)
    guest.kick()
    #expect(guest.device.ledger.totals.commands == 1)
    let steps = [
      { guest.device.completeFlushes(of: ScanoutID(rawValue: 0), through: .max) },
      { context.access.finishFences(ring: 1, through: FenceID(rawValue: 9)) },
    ]
    steps[displayFirst ? 0 : 1]()
    #expect(guest.completed().isEmpty && guest.device.ledger.totals.commands == 1)
    steps[displayFirst ? 1 : 0]()
    #expect(guest.completed() == [token] && guest.device.ledger.totals.commands == 0)
  }

  @Test("a ring of another context is another timeline")
  func twoContexts() throws {
    let first = try context(1)
    let second = try context(2)
    first.slowRings = [1]
    second.slowRings = [1]
    let tokens = [try post(fence: 1, ring: 1), try post(fence: 1, ring: 1, context: 2)]
    guest.kick()
    second.access.finishFences(ring: 1, through: FenceID(rawValue: 1))
    #expect(guest.completed() == [tokens[1]])
    first.access.finishFences(ring: 1, through: FenceID(rawValue: 1))
    #expect(guest.completed() == [tokens[0]])
  }

  @Test("a context that ends, or a reset, answers what it held", arguments: [true, false])
  func ends(byReset: Bool) throws {
    let context = try context()
    context.slowRings = [1]
    let token = try post(fence: 1, ring: 1)
    guest.kick()
    #expect(guest.completed().isEmpty && !context.isDestroyed)
    if byReset {
      guest.device.reset()
    } else {
      _ = try guest.post(.contextDestroy, context: 1)
      guest.kick()
    }
    #expect(guest.completed().contains(token) && context.isDestroyed && guest.device.contextCount == 0)
    #expect(guest.device.ledger.totals.commands == 0)
  }

  @Test("a blob by number is the memory that its context knows")
  func blobs() throws {
    let context = try context()
    let memory = try HostMemory(byteCount: 8192)
    context.blobs[7] = memory
    let blob = Guest.blob(3, 8192, memory: 2, flags: 1, blob: 7)
    #expect(try guest.run(blob, context: 2).code == .invalidContextID)
    #expect(try guest.run(blob).code == .invalidParameter, "in no context")
    #expect(try guest.run(Guest.blob(3, 4096, memory: 2, flags: 1, blob: 7), context: 1).code == .invalidParameter)
    #expect(try guest.run(Guest.blob(3, 8192, memory: 2, flags: 1, blob: 8), context: 1).code == .invalidParameter)
    #expect(try guest.run(blob, context: 1).code == .okNoData)
    #expect(context.access.hostMemory(of: ResourceID(rawValue: 3)) == nil, "not attached")
    #expect(try guest.run(.contextAttachResource(ResourceID(rawValue: 3)), context: 1).code == .okNoData)
    #expect(context.access.hostMemory(of: ResourceID(rawValue: 3)) === memory)
  }

  @Test("a context writes into the guest's pages of its own resources, and nowhere else")
  func pages() throws {
    let context = try context()
    let entries = try guest.pages(2)
    let before = try guest.bytes(entries)
    #expect(try guest.createBlob(3, 8192, entries) == .okNoData)
    #expect(context.access.pages(of: ResourceID(rawValue: 3)) == nil)
    #expect(try guest.run(.contextAttachResource(ResourceID(rawValue: 3)), context: 1).code == .okNoData)
    let pages = try #require(context.access.pages(of: ResourceID(rawValue: 3)))
    let word: [UInt8] = [1, 2, 3, 4]
    #expect(word.withUnsafeBytes { pages.write($0, at: 4094) }, "across two pages that are not neighbours")
    for offset in [8189, 8192, .max, -1] { #expect(!word.withUnsafeBytes { pages.write($0, at: offset) }) }
    #expect(try guest.bytes(entries) == Array(before[..<4094]) + word + Array(before[4098...]))
    #expect(try guest.run(.contextDetachResource(ResourceID(rawValue: 3)), context: 1).code == .okNoData)
    #expect(context.access.pages(of: ResourceID(rawValue: 3)) == nil)
  }
}
