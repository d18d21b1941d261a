import Buffers
import GPUDevice
import Testing
import Virtqueue

@Suite("Cursor") struct CursorTests {
  static func update(
    scanout: UInt32 = 0, x: UInt32 = 10, y: UInt32 = 20, resource: UInt32, hotX: UInt32 = 3, hotY: UInt32 = 4
  ) -> Command.CursorUpdate {
    Command.CursorUpdate(
      scanout: ScanoutID(rawValue: scanout), x: x, y: y, resource: ResourceID(rawValue: resource), hotX: hotX,
      hotY: hotY)
  }

  func guest(_ format: ResourceFormat = .b8g8r8a8) throws -> Guest {
    let guest = try Guest(scanouts: ScanoutTests.two)
    try guest.picture(5, format: format)
    #expect(try guest.transfer(5, 0, 0, 64, 64) == .okNoData)
    return guest
  }

  /// The spare byte of X formats is the opacity: Linux keeps cursors in dumb buffers, which it makes with an X format.
  @Test("an update shows the picture as ARGB whatever its format was", arguments: ResourceFormat.allCases)
  func formats(_ format: ResourceFormat) throws {
    let guest = try guest(format)
    try guest.run(.updateCursor(Self.update(resource: 5)))
    let cursor = try #require(guest.sink.cursors[0])
    #expect(cursor.x == 10 && cursor.y == 20 && cursor.hotX == 3 && cursor.hotY == 4)
    let image = try #require(cursor.image).bytes
    let raw = Guest.pattern(16_384, seed: 1)
    let letters = Array("\(format)".filter(\.isLetter))
    for pixel in stride(from: 0, to: 16_384, by: 4) {
      let named = Dictionary(uniqueKeysWithValues: zip(letters, raw[pixel..<pixel + 4]))
      #expect(Array(image[pixel..<pixel + 4]) == [named["b"], named["g"], named["r"], named["a"] ?? named["x"]])
    }
  }

  @Test("the picture is that of the update, whatever the guest does to the resource later")
  func snapshot() throws {
    let guest = try guest()
    try guest.run(.updateCursor(Self.update(resource: 5)))
    let image = try #require(guest.sink.cursors[0]?.image)
    let before = Array(image.bytes)
    let page = try guest.arena.allocate(16_384)
    #expect(try guest.detach(5) == .okNoData)
    #expect(try guest.attach(5, [MemoryEntry(address: page, length: 16_384)]) == .okNoData)
    #expect(try guest.transfer(5, 0, 0, 64, 64) == .okNoData)
    #expect(Array(image.bytes) == before)
    #expect(try guest.unref(5) == .okNoData)
    #expect(Array(image.bytes) == before && guest.sink.cursors[0]?.isVisible == true)
  }

  @Test("moves count only their place, which may be negative")
  func move() throws {
    let guest = try guest()
    try guest.run(.moveCursor(Self.update(resource: 5)))
    #expect(guest.sink.cursorChanges == 0, "nothing is shown yet")
    try guest.run(.updateCursor(Self.update(resource: 5)))
    try guest.run(.moveCursor(Self.update(x: UInt32(bitPattern: -7), y: 9, resource: 0, hotX: 60)))
    #expect(guest.sink.moves.map { [$0.x, $0.y] } == [[10, 20], [-7, 9]])
    #expect(guest.sink.cursorChanges == 1)
  }

  @Test("the same picture at another place is a move")
  func sameAgain() throws {
    let guest = try guest()
    try guest.run(.updateCursor(Self.update(resource: 5)))
    try guest.run(.updateCursor(Self.update(x: 30, resource: 5)))
    #expect(guest.sink.cursorChanges == 1 && guest.sink.moves.map(\.x) == [30])
    try guest.run(.updateCursor(Self.update(x: 30, resource: 5, hotX: 5)))
    #expect(guest.sink.cursorChanges == 2)
  }

  @Test("resource 0 hides the cursor, once")
  func hide() throws {
    let guest = try guest()
    for _ in 0..<2 { try guest.run(.updateCursor(Self.update(resource: 0))) }
    #expect(guest.sink.cursorChanges == 0)
    try guest.run(.updateCursor(Self.update(resource: 5)))
    for _ in 0..<2 { try guest.run(.updateCursor(Self.update(resource: 0))) }
    #expect(guest.sink.cursorChanges == 2 && guest.sink.cursors[0]?.isVisible == false)
    try guest.run(.updateCursor(Self.update(resource: 5)))
    #expect(guest.sink.cursors[0]?.isVisible == true)
  }

  @Test("each scanout has its own")
  func scanouts() throws {
    let guest = try guest()
    try guest.run(.updateCursor(Self.update(scanout: 1, resource: 5)))
    #expect(guest.sink.cursors[0] == nil && guest.sink.cursors[1]?.isVisible == true)
  }

  @Test("wrong ids, sizes, scanouts and commands are completed and change nothing")
  func bad() throws {
    let guest = try guest()
    try guest.run(.updateCursor(Self.update(resource: 5)))
    #expect(try guest.create(6, width: 32, height: 32) == .okNoData)
    #expect(try guest.create(7, width: 128, height: 128) == .okNoData)
    #expect(try guest.code(.updateCursor(Self.update(x: 0, resource: 99))) == .invalidResourceID)
    #expect(try guest.code(.updateCursor(Self.update(x: 0, resource: 6))) == .invalidParameter)
    #expect(try guest.code(.updateCursor(Self.update(x: 0, resource: 7))) == .invalidParameter)
    #expect(try guest.code(.updateCursor(Self.update(scanout: 77, resource: 5))) == .invalidScanoutID)
    #expect(try guest.code(.moveCursor(Self.update(scanout: .max, resource: 5))) == .invalidScanoutID)
    #expect(guest.sink.cursorChanges == 1 && guest.sink.moves.isEmpty)
    let control = Command.getDisplayInfo.encoded()
    #expect(try guest.send(control, toCursorQueue: true)?.code == .unspecified)
    #expect(try guest.send(Array(control[..<8]), room: 0, toCursorQueue: true)?.bytes == [])
    let update = Command.updateCursor(Self.update(resource: 5)).encoded()
    #expect(try guest.send(update)?.code == .unspecified)
    #expect(try guest.send(update, room: 0, toCursorQueue: true)?.bytes == [])
  }

  @Test("a hot spot beyond the picture and extreme places are passed on as they are")
  func extremes() throws {
    let guest = try guest()
    try guest.run(.updateCursor(Self.update(x: 1 << 31, y: .max, resource: 5, hotX: .max, hotY: 64)))
    let cursor = try #require(guest.sink.cursors[0])
    #expect(cursor.x == .min && cursor.y == -1 && cursor.hotX == .max && cursor.hotY == 64)
  }

  @Test("two thousand updates reserve nothing and use one picture")
  func many() throws {
    let guest = try guest()
    let used = guest.device.memoryUsed
    try guest.run(.updateCursor(Self.update(resource: 5)))
    let image = guest.sink.cursors[0]?.image
    for index in 0..<2000 {
      try guest.run(.updateCursor(Self.update(x: UInt32(index), resource: 5, hotX: UInt32(index % 64))))
    }
    #expect(guest.sink.cursorChanges == 2001 && guest.device.memoryUsed == used)
    #expect(guest.sink.cursors[0]?.image === image)
  }
}
