import Platform
import Testing
import VhostUser
import Virtqueue

@Suite("shared memory regions")
struct SharedMemoryTests {
  static let region = SharedMemoryRegion(id: 1, byteCount: 1 << 20)
  static let map = BackendRequestCode.shmemMap.rawValue
  static let unmap = BackendRequestCode.shmemUnmap.rawValue
  static let barrier = BackendRequestCode.sharedObjectRemove.rawValue

  /// A back-end whose device has one region, with rings that run and a channel.
  static func bench(protocolFeatures: ProtocolFeatures = .all) throws -> Bench {
    let bench = try Bench(device: LoopbackDevice(sharedMemoryRegions: [region]))
    try bench.negotiate(protocolFeatures: protocolFeatures)
    if protocolFeatures.contains(.sharedMemory) { try bench.frontend.readSharedMemoryRegions() }
    try bench.frontend.openBackendChannel()
    try bench.startRings()
    #expect(try bench.echoes(), "rings run once they are kicked")
    return bench
  }

  static func file(_ first: UInt8 = 7) throws -> SharedDescriptor {
    let file = SharedDescriptor(try SharedMemory.create(name: "window", count: 1 << 16))
    let mapping = try MemoryMapping(descriptor: file.raw, count: 1 << 16, access: .readWrite)
    withExtendedLifetime(mapping) { mapping.mutableBytes[0] = first }
    return file
  }

  static func piece(_ offset: UInt64, _ count: UInt64 = 1 << 16) -> SharedMemoryPiece {
    SharedMemoryPiece(region: 1, offset: offset, byteCount: count)
  }

  static func ask(
    _ bench: Bench, map file: SharedDescriptor?, at offset: UInt64, isWritable: Bool = true, ticket: UInt64
  ) -> Bool {
    let ticket = SharedMemoryTicket(number: ticket)
    guard let file else { return bench.device.window?.unmap(piece(offset), ticket) ?? false }
    return bench.device.window?.map(piece(offset), of: file, isWritable: isWritable, ticket) ?? false
  }

  static func answers(_ bench: Bench) -> [String] {
    bench.device.windowAnswers.map { "\($0.ticket.number) \($0.succeeded)" }
  }

  @Test("their sizes are told, 2056 bytes in all")
  func configuration() throws {
    let bench = try Bench(device: LoopbackDevice(sharedMemoryRegions: [Self.region]))
    try bench.frontend.negotiate()
    #expect(try bench.frontend.readSharedMemoryRegions() == [Self.region])
    #expect(SharedMemoryConfiguration.byteCount == 2056)
  }

  @Test("a device with regions is offered without memory slots, one without regions without shared memory")
  func offer() throws {
    let with = try Bench(device: LoopbackDevice(sharedMemoryRegions: [Self.region]))
    try with.frontend.negotiate()
    #expect(with.frontend.offeredProtocolFeatures == .all.subtracting(.configureMemorySlots))
    let without = try Bench()
    try without.frontend.negotiate()
    #expect(without.frontend.offeredProtocolFeatures == .all.subtracting(.sharedMemory))
    #expect(throws: VhostUserError.unexpectedReply(request: RequestCode.getShmemConfig.rawValue)) {
      try without.frontend.readSharedMemoryRegions()
    }
    #expect(without.recorder.refusals == [.unsupported(.getShmemConfig)])
  }

  @Test("what is mapped is seen, and the answer waits for the barrier")
  func mapAndUnmap() throws {
    let bench = try Self.bench()
    #expect(Self.ask(bench, map: try Self.file(), at: 4096, ticket: 1))
    #expect(try bench.frontend.nextBackendRequest() == Self.map)
    #expect(bench.frontend.window.bytes(at: 4096, count: 1, region: 1)?[0] == 7)
    bench.turn(3)
    #expect(Self.answers(bench).isEmpty)
    #expect(try bench.frontend.nextBackendRequest() == Self.barrier)
    bench.turn(3)
    #expect(Self.answers(bench) == ["1 true"])
    #expect(Self.ask(bench, map: nil, at: 4096, ticket: 2))
    #expect(try bench.frontend.nextBackendRequest() == Self.unmap)
    #expect(try bench.frontend.nextBackendRequest(answer: 5) == Self.barrier, "whatever it is answered with")
    bench.turn(3)
    #expect(Self.answers(bench) == ["1 true", "2 true"])
    #expect(bench.frontend.window.pieces.isEmpty && bench.frontend.window.violations.isEmpty)
  }

  @Test("changes keep their order, one at a time, and configuration changes find their place")
  func order() throws {
    let bench = try Self.bench()
    let file = try Self.file()
    for round in 0..<20 as Range<UInt64> {
      #expect(Self.ask(bench, map: file, at: 0, ticket: 2 * round))
      #expect(Self.ask(bench, map: nil, at: 0, ticket: 2 * round + 1))
    }
    bench.backend.configurationChanged()
    var codes: [UInt32] = []
    for _ in 0..<81 { codes.append(try bench.frontend.nextBackendRequest()) }
    bench.turn(3)
    #expect(codes.count { $0 == BackendRequestCode.configChange.rawValue } == 1)
    #expect(Self.answers(bench) == (0..<40).map { "\($0) true" })
    #expect(bench.frontend.window.violations.isEmpty)
  }

  @Test("the main socket is served while an answer is awaited")
  func noDeadlock() throws {
    let bench = try Self.bench()
    #expect(Self.ask(bench, map: try Self.file(), at: 0, ticket: 1))
    bench.turn(2)
    try bench.frontend.share(bench.arena, asTable: true)
    #expect(try bench.echoes())
    _ = try bench.frontend.nextBackendRequest()
    try bench.frontend.share(bench.arena, asTable: true)
    _ = try bench.frontend.nextBackendRequest()
    bench.turn(3)
    #expect(Self.answers(bench) == ["1 true"])
  }

  @Test("a refused change has failed, and the next one follows")
  func refused() throws {
    let bench = try Self.bench()
    let file = try Self.file()
    #expect(Self.ask(bench, map: file, at: 0, ticket: 1) && Self.ask(bench, map: file, at: 0, ticket: 2))
    #expect(try bench.frontend.nextBackendRequest(answer: 1) == Self.map)
    #expect(try bench.frontend.nextBackendRequest() == Self.map)
    _ = try bench.frontend.nextBackendRequest()
    bench.turn(3)
    #expect(Self.answers(bench) == ["1 false", "2 true"])
  }

  @Test(
    "without any one of the features that it needs, nothing is mapped",
    arguments: [
      ProtocolFeatures.sharedMemory, .replyAck, .backendSendsDescriptors,
    ])
  func unsettled(_ missing: ProtocolFeatures) throws {
    let bench = try Self.bench(protocolFeatures: .all.subtracting(missing))
    #expect(!Self.ask(bench, map: try Self.file(), at: 0, ticket: 1))
    bench.frontend.timeLimit = .milliseconds(20)
    #expect(throws: VhostUserError.timeout) { try bench.frontend.nextBackendRequest() }
  }

  @Test("nothing is sent while all rings are stopped; it follows when they run again")
  func suspended() throws {
    let bench = try Self.bench()
    for index in 0..<2 as Range<UInt32> { _ = try bench.frontend.stop(index: index) }
    #expect(Self.ask(bench, map: try Self.file(), at: 0, ticket: 1))
    bench.frontend.timeLimit = .milliseconds(20)
    #expect(throws: VhostUserError.timeout) { try bench.frontend.nextBackendRequest() }
    bench.frontend.timeLimit = .seconds(2)
    try bench.startRings()
    #expect(try bench.echoes())
    #expect(try bench.frontend.nextBackendRequest() == Self.map)
  }

  @Test("what was not answered has failed when the front-end goes, each once, and its files are closed")
  func disconnect() throws {
    let bench = try Self.bench()
    let tracer = try Tracer()
    let file = SharedDescriptor(try FileDescriptor(duplicating: tracer.raw))
    for ticket in 0..<3 as Range<UInt64> { #expect(Self.ask(bench, map: file, at: 0, ticket: ticket)) }
    #expect(Self.ask(bench, map: nil, at: 0, ticket: 3))
    try bench.reconnect()
    #expect(Self.answers(bench) == (0..<4).map { "\($0) false" })
    bench.turn(3)
    #expect(bench.device.windowAnswers.count == 4)
  }

  @Test("a front-end that never answers holds a bounded number of changes")
  func silent() throws {
    let bench = try Self.bench()
    let file = try Self.file()
    var taken = 0
    for ticket in 0..<100_000 as Range<UInt64> where Self.ask(bench, map: file, at: 0, ticket: ticket) { taken += 1 }
    #expect(taken == VhostUserLimits.pendingWindowChanges)
    #expect(try bench.echoes())
  }

  @Test("answers that nobody asked for mean nothing")
  func unasked() throws {
    let bench = try Self.bench()
    try bench.frontend.sendOnBackendChannel(message(Self.map, flags: 5, [UInt8](repeating: 0, count: 8)))
    bench.turn(3)
    #expect(Self.answers(bench).isEmpty)
    #expect(Self.ask(bench, map: try Self.file(), at: 0, ticket: 1))
    #expect(try bench.frontend.nextBackendRequest() == Self.map)
  }
}
