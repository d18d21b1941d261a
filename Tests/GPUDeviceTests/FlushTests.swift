import Buffers
import GPUDevice
import Testing
import Virtqueue

@Suite("Fences, and flushes that a sink holds") struct FlushTests {
  static let flush = Command.resourceFlush(
    ResourceID(rawValue: 1), Rectangle(x: 0, y: 0, width: 64, height: 64))

  func shown(_ scanouts: Int = 1) throws -> Guest {
    let guest = try Guest(scanouts: Array(repeating: Size(width: 64, height: 64), count: scanouts))
    try guest.picture(1)
    for scanout in 0..<scanouts { #expect(try guest.show(1, on: UInt32(scanout)) == .okNoData) }
    return guest
  }

  @Test("every command answers its fence, refused ones too", arguments: CodecTests.all)
  func everyCommand(_ command: Command) throws {
    let guest = try Guest()
    let header = try guest.run(command, flags: .fence, fence: 0xf00d_0000_0000_0001, context: 3).header
    #expect(header?.flags == .fence && header?.fence.rawValue == 0xf00d_0000_0000_0001)
    #expect(header?.context.rawValue == 3)
  }

  @Test("fence numbers may be 0, fall, repeat and be large", arguments: [0, 5, 4, 4, 1 << 63, .max] as [UInt64])
  func numbers(_ fence: UInt64) throws {
    let header = try Guest().run(Self.flush, flags: .fence, fence: fence).header
    #expect(header?.fence.rawValue == fence)
  }

  @Test(
    "a held flush and the fenced commands after it wait; unfenced ones overtake",
    arguments: [
      VirtqueueConfiguration.Format.split, .packed,
    ])
  func order(_ format: VirtqueueConfiguration.Format) throws {
    let guest = try Guest(format)
    try guest.picture(1)
    #expect(try guest.show(1) == .okNoData)
    guest.sink.result = .pending
    let held = try guest.post(Self.flush, fence: 1)
    let fenced = try guest.post(.getDisplayInfo, fence: 2)
    let plain = try guest.post(.getDisplayInfo)
    let failing = try guest.post(.resourceUnref(ResourceID(rawValue: 77)), fence: 3)
    guest.kick()
    #expect(guest.completed() == [plain])
    #expect(guest.device.heldAnswerCount == 3)
    guest.device.completeFlush(guest.sink.flushes[0].token)
    #expect(guest.completed() == [held, fenced, failing])
    #expect(try guest.answer(to: failing)?.type == ResponseCode.invalidResourceID.rawValue)
    #expect(try guest.answer(to: failing)?.fence.rawValue == 3)
    #expect(guest.device.heldAnswerCount == 0)
    let after = try guest.post(.getDisplayInfo, fence: 4)
    guest.kick()
    #expect(guest.completed() == [after])
  }

  @Test("flushes come back out of order, fences do not")
  func outOfOrder() throws {
    let guest = try shown()
    guest.sink.result = .pending
    let first = try guest.post(Self.flush, fence: 1)
    let second = try guest.post(Self.flush, fence: 2)
    let unfenced = try guest.post(Self.flush)
    guest.kick()
    #expect(guest.completed().isEmpty)
    let tokens = guest.sink.flushes.map(\.token)
    #expect(tokens.map(\.isFenced) == [true, true, false])
    guest.device.completeFlush(tokens[2])
    #expect(guest.completed() == [unfenced])
    guest.device.completeFlush(tokens[1])
    #expect(guest.completed().isEmpty)
    guest.device.completeFlush(tokens[0])
    #expect(guest.completed() == [first, second])
  }

  @Test("a mirrored flush waits for every scanout")
  func mirrored() throws {
    let guest = try shown(2)
    guest.sink.result = .pending
    let held = try guest.post(Self.flush)
    guest.kick()
    let tokens = guest.sink.flushes.map(\.token)
    #expect(tokens.count == 2 && tokens[0].serial == tokens[1].serial)
    guest.device.completeFlush(tokens[1])
    guest.device.completeFlush(tokens[1])
    #expect(guest.completed().isEmpty)
    guest.device.completeFlush(tokens[0])
    #expect(guest.completed() == [held])
  }

  @Test("one latch completes all flushes of its scanout up to a serial number")
  func through() throws {
    let guest = try shown(2)
    guest.sink.result = .pending
    let posted = try (0..<3).map { _ in try guest.post(Self.flush) }
    guest.kick()
    let serials = guest.sink.flushes.filter { $0.scanout == 0 }.map(\.token.serial)
    guest.device.completeFlushes(of: ScanoutID(rawValue: 0), through: serials[1])
    #expect(guest.completed().isEmpty)
    guest.device.completeFlushes(of: ScanoutID(rawValue: 1), through: serials[2])
    #expect(guest.completed() == Array(posted[..<2]))
    guest.device.completeFlushes(of: ScanoutID(rawValue: 0), through: .max)
    #expect(guest.completed() == [posted[2]])
  }

  @Test("a sink may complete a flush before it has said that it holds it")
  func early() throws {
    let guest = try shown()
    guest.sink.result = .pending
    guest.sink.whenFlushed = { [unowned guest] token in guest.device.completeFlush(token) }
    let posted = try guest.post(Self.flush, fence: 1)
    guest.kick()
    #expect(guest.completed() == [posted] && guest.device.heldAnswerCount == 0)
  }

  @Test("unknown, old and repeated tokens are ignored")
  func unknownTokens() throws {
    let guest = try shown()
    guest.sink.result = .pending
    let posted = try guest.post(Self.flush)
    guest.kick()
    let token = guest.sink.flushes[0].token
    let strange: [(UInt64, UInt32)] = [(token.serial + 1, 0), (token.serial, 1), (token.serial, .max), (0, 0)]
    for (serial, scanout) in strange {
      guest.device.completeFlush(
        FlushToken(serial: serial, scanout: ScanoutID(rawValue: scanout), isFenced: false))
    }
    #expect(guest.completed().isEmpty)
    guest.device.completeFlush(token)
    guest.device.completeFlush(token)
    #expect(guest.completed() == [posted])
  }

  @Test("stopping the queue answers what is held, and nothing afterwards")
  func stop() throws {
    let guest = try shown()
    guest.sink.result = .pending
    let posted = try guest.post(Self.flush, fence: 1)
    guest.kick()
    guest.device.stop(queue: 0)
    #expect(guest.completed() == [posted])
    guest.device.completeFlush(guest.sink.flushes[0].token)
    _ = try guest.post(Self.flush)
    guest.kick()
    #expect(guest.completed().isEmpty)
  }

  @Test("a reset forgets resources, scanouts, cursors and events, answers what is held, keeps the features")
  func reset() throws {
    let guest = try shown(2)
    try guest.picture(2)
    try guest.run(.updateCursor(CursorTests.update(resource: 2)))
    guest.device.setScanoutSize(ScanoutID(rawValue: 0), Size(width: 32, height: 32))
    guest.sink.result = .pending
    let posted = try guest.post(Self.flush, fence: 1)
    guest.kick()
    guest.device.reset()
    #expect(guest.completed() == [posted])
    #expect(guest.device.resourceCount == 0 && guest.device.memoryUsed == 0)
    #expect(guest.sink.contents.isEmpty && guest.sink.cursors[0]?.isVisible == false)
    #expect(guest.sink.retired.count == 1)
    #expect(ScanoutTests.configuration(guest.device)[0] == 0)
    #expect(try guest.flush(1) == .invalidResourceID)
    #expect(try guest.code(.getEDID(ScanoutID(rawValue: 0))) == .okEDID)
    #expect(try guest.run(.getDisplayInfo).word(32) == 32, "the host's wish outlives the driver")
    guest.device.completeFlush(guest.sink.flushes[0].token)
    guest.device.reset()
    #expect(guest.sink.scanoutChanges == 4)
  }

  @Test("giving up a picture does not lose the flush that a sink holds")
  func unrefWhileHeld() throws {
    let guest = try shown()
    guest.sink.result = .pending
    let held = try guest.post(Self.flush, fence: 1)
    let unref = try guest.post(.resourceUnref(ResourceID(rawValue: 1)), fence: 2)
    guest.kick()
    #expect(guest.completed().isEmpty && guest.sink.retired.count == 1)
    guest.device.completeFlush(guest.sink.flushes[0].token)
    #expect(guest.completed() == [held, unref])
  }

  @Test("a full ring of held flushes is answered, and the next one is taken")
  func fullRing() throws {
    let guest = try shown()
    guest.sink.result = .pending
    let posted = try (0..<64).map { try guest.post(Self.flush, fence: UInt64($0)) }
    guest.kick()
    #expect(guest.completed().isEmpty && guest.device.heldAnswerCount == 64)
    let last = try #require(guest.sink.flushes.last).token
    guest.device.completeFlushes(of: last.scanout, through: last.serial)
    #expect(guest.completed() == posted)
  }

  @Test("one wake rings the driver once")
  func oneNotification() throws {
    let guest = try shown()
    _ = guest.control.wasCalled()
    _ = guest.control.enableCalls()
    let posted = try (0..<40).map { _ in try guest.post(Self.flush) }
    guest.kick()
    #expect(guest.control.wasCalled() && !guest.control.wasCalled())
    #expect(guest.completed() == posted)
  }

  @Test("a long queue is served in shares when others want their turn")
  func shares() throws {
    let guest = try Guest(memory: 64 << 20, ringSize: 1024)
    var turns = 0
    guest.device.yield = { _ in turns += 1 }
    #expect(try guest.create(1, width: 1024, height: 1024) == .okNoData)
    let address = try guest.arena.allocate(4 << 20, alignment: 4096)
    #expect(try guest.attach(1, [MemoryEntry(address: address, length: 4 << 20)]) == .okNoData)
    let rectangle = Rectangle(x: 0, y: 0, width: 1024, height: 1024)
    let count = 40
    for _ in 0..<count { _ = try guest.post(.transferToHost2D(ResourceID(rawValue: 1), rectangle, offset: 0)) }
    guest.kick()
    #expect(turns == 1)
    #expect((1..<count).contains(guest.completed().count))
    for _ in 0..<10 where guest.control.inFlightCount > 0 {
      guest.kick()
      _ = guest.completed()
    }
    #expect(guest.control.inFlightCount == 0)
  }
}
