import Buffers
import GPUDevice
import Glibc
import Platform
import TestSupport
import Testing
import VhostUser
import Virtqueue

/// What goes on for ever takes nothing: neither memory nor descriptors of the process.
@Suite("Endurance", .serialized) struct EnduranceTests {
  /// A leak of 100 bytes in each round would show.
  private static let rounds = 20_000
  private static let allowedKilobytes = 2000

  private static let control: [Command] = {
    let (id, scanout) = (ResourceID(rawValue: 1), ScanoutID(rawValue: 0))
    let all = Rectangle(x: 0, y: 0, width: 64, height: 64)
    return [
      .getDisplayInfo, .getEDID(scanout), .resourceCreate2D(id, format: 2, size: all.size),
      .resourceAttachBacking(id, entryCount: 1), .setScanout(scanout, resource: id, source: all),
      .transferToHost2D(id, all, offset: 0), .resourceFlush(id, all), .resourceAssignUUID(id),
      .setScanout(scanout, resource: .none, source: .empty), .resourceDetachBacking(id), .resourceUnref(id),
    ]
  }()

  @Test(
    "requests of every kind, hundreds of thousands of them, leave the process as it was",
    arguments: [VirtqueueConfiguration.Format.split, .packed])
  func requests(_ format: VirtqueueConfiguration.Format) throws {
    let card = try Card()
    let guest = try CardGuest(card, format: format)
    let page = MemoryEntry(address: try guest.arena.allocate(16_384, alignment: 4096), length: 16_384)
    let control = try guest.batch(
      Self.control.map { command in
        if case .resourceAttachBacking = command { command.encoded() + page.encoded } else { command.encoded() }
      })
    let cursor = try prepareCursor(guest)
    func run(_ times: Int) throws {
      try guest.send(control, times: times)
      try guest.send(cursor, times: times, on: 1)
    }
    try run(2000)
    for index in Self.control.indices { #expect(try guest.code(of: control, index)?.isError == false) }
    for index in 0..<3 { #expect(try guest.code(of: cursor, index) == .okNoData) }
    let before = (card.descriptorCount, card.privateKilobytes)
    try run(Self.rounds)
    #expect(card.descriptorCount == before.0)
    #expect(card.privateKilobytes - before.1 < Self.allowedKilobytes)
  }

  private func prepareCursor(_ guest: CardGuest) throws -> CardGuest.Batch {
    let picture = ResourceID(rawValue: 9)
    let create = Command.resourceCreate2D(picture, format: 1, size: Size(width: 64, height: 64))
    try guest.send(try guest.batch([create.encoded()]))
    func update(_ resource: ResourceID, x: UInt32) -> Command.CursorUpdate {
      Command.CursorUpdate(scanout: ScanoutID(rawValue: 0), x: x, y: 7, resource: resource, hotX: x)
    }
    let commands: [Command] = [
      .updateCursor(update(picture, x: 1)), .moveCursor(update(picture, x: 2)), .updateCursor(update(.none, x: 3)),
    ]
    return try guest.batch(commands.map { $0.encoded() })
  }

  @Test("descriptors on any request, with any payload, are closed in the end")
  func descriptors() throws {
    let card = try Card()
    let before = card.descriptorCount
    let bell = try Doorbell()
    let file = try SharedMemory.create(name: "test", count: 4096)
    let socket = try UnixSocket.pair(.stream)
    let kinds = [bell.ringing.raw, file.raw, socket.first.raw]
    for code in Array(0...50) + [0xffff_ffff] as [UInt32] {
      let frontend = try VhostUserFrontend(path: card.path)
      for count in 0...8 {
        for size in [0, 8, 40] {
          var message: [UInt8] = []
          MessageHeader(request: code, flags: 9, payloadSize: UInt32(size)).encode(into: &message)
          let descriptors = (0..<count).map { kinds[($0 + Int(code % 3)) % 3] }
          try frontend.send(bytes: message + [UInt8](repeating: 0, count: size), descriptors: descriptors)
        }
      }
    }
    #expect(eventually { card.descriptorCount == before }, "\(card.descriptorCount) instead of \(before)")
    #expect(try VhostUserFrontend(path: card.path).word(.getFeatures) != 0)
  }

  @Test("front-ends that connect for ever, and go in the middle of anything, leave the process as it was")
  func reconnecting() throws {
    let card = try Card()
    func connect(_ round: Int) throws {
      switch round % 4 {
      case 0: _ = try VhostUserFrontend(path: card.path)
      case 1: try VhostUserFrontend(path: card.path).send(bytes: [2, 0, 0, 0, 1])
      case 2: try VhostUserFrontend(path: card.path).negotiate()
      default:
        let guest = try CardGuest(card)
        try guest.send(try guest.batch([Command.getDisplayInfo.encoded()]))
      }
    }
    let before = card.descriptorCount
    for round in 0..<100 { try connect(round) }
    #expect(eventually { card.descriptorCount == before })
    let kilobytes = card.privateKilobytes
    for round in 0..<2000 { try connect(round) }
    #expect(eventually { card.descriptorCount == before }, "\(card.descriptorCount) instead of \(before)")
    #expect(card.privateKilobytes - kilobytes < Self.allowedKilobytes)
    let lines = card.program.errorsSoFar.split(separator: "\n").count
    #expect(lines < 200, "a log line for each connection")
  }
}
