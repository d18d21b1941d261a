import Buffers
import GPUDevice
import Testing
import Virtqueue

/// Host pictures lie as all can use them who are shown them.
@Suite("Where host pictures lie") struct PictureMemoryTests {
  static func constraints(_ change: (inout Constraints) -> Void) -> Constraints {
    var constraints = Constraints.unstated
    change(&constraints)
    return constraints
  }

  private static let wide = constraints { $0.strideAlignment = 512 }

  /// The pixels that a scanout shows, without the gaps between rows.
  private static func shown(_ guest: Guest, on scanout: UInt32 = 0) throws -> [UInt8] {
    let layout = try #require(guest.sink.contents[scanout]).picture.layout
    let bytes = try guest.pixels(on: scanout)
    return (0..<Int(layout.size.height)).flatMap { row in
      bytes[row * Int(layout.stride)..<row * Int(layout.stride) + layout.rowByteCount]
    }
  }

  private static func layout(_ guest: Guest, on scanout: UInt32 = 0) throws -> PixelLayout {
    try #require(guest.sink.contents[scanout]).picture.layout
  }

  @Test("rows are as long as consumers want them, and transfers fill them, whole or in part")
  func strides() throws {
    let guest = try Guest()
    guest.sink.allConstraints = Self.wide
    let backing = try guest.picture(1, seed: 3)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData && guest.show(1) == .okNoData)
    #expect(try Self.layout(guest).stride == 512 && Self.shown(guest) == Guest.pattern(64 * 64 * 4, seed: 3))
    #expect(guest.device.ledger.totals.hostAllocated == 64 * 512 && guest.device.ledger.promised == 0)
    try guest.arena.write([UInt8](repeating: 9, count: 64 * 256), at: backing)
    #expect(try guest.transfer(1, 3, 2, 5, 7, offset: UInt64(2 * 256 + 3 * 4)) == .okNoData)
    var expected = Guest.pattern(64 * 64 * 4, seed: 3)
    for row in 2..<9 { for byte in 12..<32 { expected[row * 256 + byte] = 9 } }
    #expect(try Self.shown(guest) == expected)
  }

  @Test("pieces of backing that end in the middle of rows are put together in longer rows")
  func scattered() throws {
    let guest = try Guest()
    guest.sink.allConstraints = Self.wide
    #expect(try guest.create(1) == .okNoData)
    var entries: [MemoryEntry] = []
    var left = 64 * 256
    while left > 0 {
      let count = min(left, 1000)
      entries.append(MemoryEntry(address: try guest.arena.allocate(1024), length: UInt32(count)))
      try guest.arena.write(Guest.pattern(count, seed: UInt8(entries.count)), at: entries[entries.count - 1].address)
      left -= count
    }
    #expect(try guest.attach(1, entries) == .okNoData && guest.transfer(1, 0, 0, 64, 64) == .okNoData)
    #expect(try guest.show(1) == .okNoData)
    #expect(try Self.shown(guest) == guest.bytes(entries))
  }

  @Test("there is room for multiples of width and height, and it is charged")
  func multiples() throws {
    let guest = try Guest()
    guest.sink.allConstraints = Self.constraints {
      $0.widthMultiple = 48
      $0.heightMultiple = 80
    }
    try guest.picture(1)
    #expect(try guest.show(1) == .okNoData)
    #expect(try Self.layout(guest).stride == 96 * 4)
    #expect(guest.device.ledger.totals.hostAllocated == (80 * 96 * 4 + 4095) / 4096 * 4096)
  }

  @Test("when a stricter consumer comes, what is shown moves with its pixels, under a new identity")
  func moves() throws {
    let guest = try Guest(scanouts: Array(repeating: Size(width: 64, height: 64), count: 2))
    guest.sink.isReading = true
    try guest.picture(1, seed: 5)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData)
    for scanout: UInt32 in 0...1 { #expect(try guest.show(1, on: scanout) == .okNoData) }
    let former = try #require(guest.sink.contents[0]).picture
    guest.sink.constraints[1] = Self.wide
    try guest.device.constraintsChanged(of: ScanoutID(rawValue: 1))
    let picture = try #require(guest.sink.contents[0]).picture
    #expect(picture !== former && guest.sink.contents[1]?.picture === picture && picture.layout.stride == 512)
    #expect(try Self.shown(guest) == Guest.pattern(64 * 64 * 4, seed: 5))
    #expect(guest.sink.retired == [former.id] && picture.id != former.id)
    #expect(guest.device.ledger.totals.hostAllocated == 64 * 256 + 64 * 512, "both, while the former is read")
    guest.sink.read.removeAll()
    #expect(guest.device.ledger.totals.hostAllocated > 0)
    let reply = try guest.run(.resourceAssignUUID(ResourceID(rawValue: 1)))
    #expect(reply.bytes.dropFirst(24).withUnsafeBytes { BufferID(bytes: $0) } == picture.id)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData && guest.flush(1) == .okNoData)
    #expect(guest.sink.flushes.last?.scanout == 1)
  }

  @Test("what suits everybody stays where it is, also when consumers ask for less")
  func stays() throws {
    let guest = try Guest()
    guest.sink.allConstraints = Self.wide
    try guest.picture(1)
    #expect(try guest.show(1) == .okNoData)
    let changes = guest.sink.scanoutChanges
    guest.sink.constraints[0] = Self.constraints { $0.strideAlignment = 128 }
    try guest.device.constraintsChanged(of: ScanoutID(rawValue: 0))
    guest.sink.constraints[0] = Constraints()
    try guest.device.constraintsChanged(of: ScanoutID(rawValue: 0))
    #expect(guest.sink.scanoutChanges == changes && guest.sink.retired.isEmpty)
  }

  @Test("a picture that is not shown moves when it is; beyond the limit SET_SCANOUT is refused and changes nothing")
  func movesWhenShown() throws {
    let guest = try Guest(limits: .usualLimits(hostAllocated: 64 * 256 + 64 * 512))
    try guest.picture(1, seed: 8)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData)
    guest.sink.constraints[0] = Self.constraints { $0.strideAlignment = 1024 }
    let totals = guest.device.ledger.totals
    #expect(try guest.show(1) == .outOfMemory && guest.sink.contents[0] == nil)
    #expect(guest.device.ledger.totals == totals)
    guest.sink.constraints[0] = Self.wide
    #expect(try guest.show(1) == .okNoData)
    #expect(try Self.shown(guest) == Guest.pattern(64 * 64 * 4, seed: 8) && Self.layout(guest).stride == 512)
    #expect(guest.device.ledger.totals.hostAllocated == 64 * 512)
  }

  @Test("a move beyond the limit, which no command has asked for, is an error and changes nothing")
  func refusedMove() throws {
    let guest = try Guest(limits: .usualLimits(hostAllocated: 64 * 256))
    try guest.picture(1)
    #expect(try guest.show(1) == .okNoData)
    guest.sink.constraints[0] = Self.wide
    let totals = guest.device.ledger.totals
    #expect(throws: GPUError.self) { try guest.device.constraintsChanged(of: ScanoutID(rawValue: 0)) }
    #expect(guest.device.ledger.totals == totals && guest.sink.retired.isEmpty)
    #expect(try Self.layout(guest).stride == 256)
  }

  @Test("what was promised follows the consumers that have come until the first use")
  func promise() throws {
    let guest = try Guest(limits: .usualLimits(hostAllocated: 64 * 512))
    try guest.picture(1)
    #expect(guest.device.ledger.promised == 64 * 256)
    guest.sink.allConstraints = Self.constraints { $0.strideAlignment = 1024 }
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .outOfMemory)
    #expect(guest.device.ledger.promised == 64 * 256 && guest.device.ledger.totals.hostAllocated == 64 * 256)
    guest.sink.allConstraints = Self.wide
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData)
    #expect(guest.device.ledger.promised == 0 && guest.device.ledger.totals.hostAllocated == 64 * 512)
    #expect(try guest.unref(1) == .okNoData && guest.device.ledger.totals == .nothing)
  }

  @Test(
    "where no memory of ours suits, a picture lies as if nobody had asked: the sink says who is not shown it",
    arguments: [
      constraints { $0.formats = [.abgr8888] }, constraints { $0.modifiers = [7] },
      constraints { $0.maximumWidth = 32 },
      constraints { $0.maximumStride = 128 }, constraints { $0.isContiguous = true },
      constraints { $0.cacheability = .uncached }, constraints { $0.memoryKinds = .dmaBuf },
    ])
  func nothingSuits(_ constraints: Constraints) throws {
    let guest = try Guest()
    guest.sink.allConstraints = constraints
    guest.sink.constraints[0] = constraints
    try guest.picture(1, seed: 2)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData && guest.show(1) == .okNoData)
    try guest.device.constraintsChanged(of: ScanoutID(rawValue: 0))
    #expect(try Self.layout(guest).stride == 256 && Self.shown(guest) == Guest.pattern(64 * 64 * 4, seed: 2))
    #expect(guest.sink.retired.isEmpty)
  }

  @Test("a cursor is read from rows as they lie")
  func cursor() throws {
    let guest = try Guest()
    guest.sink.allConstraints = Self.wide
    try guest.picture(1, format: .b8g8r8a8, seed: 6)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData)
    let update = Command.CursorUpdate(
      scanout: ScanoutID(rawValue: 0), x: 0, y: 0, resource: ResourceID(rawValue: 1), hotX: 0)
    #expect(try guest.code(.updateCursor(update)) == .okNoData)
    let image = try #require(guest.sink.cursors[0]?.image)
    #expect(Array(image.bytes) == Guest.pattern(64 * 64 * 4, seed: 6))
  }
}
