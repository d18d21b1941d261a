import Buffers
import GPUDevice
import Testing
import Virtqueue

@Suite("Scanouts") struct ScanoutTests {
  static let two = [Size(width: 640, height: 480), Size(width: 800, height: 600)]

  @Test("a scanout shows a part of a picture, then another, then nothing")
  func show() throws {
    let guest = try Guest()
    try guest.picture(1)
    #expect(try guest.show(0) == .okNoData)
    #expect(guest.sink.scanoutChanges == 0)
    #expect(try guest.show(1, 8, 4, 16, 32) == .okNoData)
    #expect(guest.sink.contents[0]?.source == Rectangle(x: 8, y: 4, width: 16, height: 32))
    #expect(try guest.show(1, 8, 4, 16, 32) == .okNoData)
    #expect(guest.sink.scanoutChanges == 1, "the same again is no news")
    #expect(try guest.show(1) == .okNoData)
    #expect(guest.sink.contents[0]?.source == Rectangle(x: 0, y: 0, width: 64, height: 64))
    #expect(try guest.show(0) == .okNoData)
    #expect(guest.sink.contents[0] == nil && guest.sink.scanoutChanges == 3)
  }

  @Test("a refused change leaves the scanout as it was")
  func errors() throws {
    let guest = try Guest(scanouts: Self.two)
    try guest.picture(1, width: 100, height: 60)
    #expect(try guest.show(1, 0, 0, 100, 60) == .okNoData)
    for scanout: UInt32 in [2, 15, 16, 255, .max] {
      #expect(try guest.show(1, on: scanout, 0, 0, 100, 60) == .invalidScanoutID)
      #expect(try guest.show(0, on: scanout, 0, 0, 0, 0) == .invalidScanoutID)
    }
    #expect(try guest.show(9, 0, 0, 100, 60) == .invalidResourceID)
    let cases: [(UInt32, UInt32, UInt32, UInt32)] = [
      (0, 0, 101, 60), (0, 0, 100, 61), (60, 0, 41, 60), (4, 0, 0xffff_fffe, 60), (0, 4, 100, 0xffff_fffe),
      (0, 0, 0, 0), (0, 0, 100, 0),
    ]
    for (x, y, width, height) in cases { #expect(try guest.show(1, x, y, width, height) == .invalidParameter) }
    #expect(guest.sink.scanoutChanges == 1)
  }

  @Test("a flush reaches each scanout that shows the picture, cut to its part")
  func mirror() throws {
    let guest = try Guest(scanouts: Self.two)
    try guest.picture(1)
    #expect(try guest.show(1) == .okNoData)
    #expect(try guest.show(1, on: 1, 32, 0, 32, 64) == .okNoData)
    #expect(try guest.flush(1, 0, 0, 40, 10) == .okNoData)
    #expect(guest.sink.flushes.map(\.scanout) == [0, 1])
    #expect(
      guest.sink.flushes.map(\.damage) == [
        Rectangle(x: 0, y: 0, width: 40, height: 10), Rectangle(x: 32, y: 0, width: 8, height: 10),
      ])
    #expect(try guest.flush(1, 0, 0, 32, 64) == .okNoData)
    #expect(guest.sink.flushes.map(\.scanout) == [0, 1, 0])
    #expect(try guest.flush(1, 0, 0, 0, 0) == .okNoData)
    #expect(guest.sink.flushes.count == 3)
  }

  @Test("a flush of what is not shown, or outside, tells nobody")
  func flushErrors() throws {
    let guest = try Guest()
    #expect(try guest.create(1, width: 100, height: 60) == .okNoData)
    #expect(try guest.flush(1, 0, 0, 100, 60) == .okNoData)
    #expect(try guest.flush(7) == .invalidResourceID)
    #expect(try guest.flush(0) == .invalidResourceID)
    let cases: [(UInt32, UInt32, UInt32, UInt32)] = [
      (101, 0, 1, 1), (0, 0, 101, 1), (99, 0, 2, 1), (0, 59, 1, 2), (8, 8, 0xffff_fff8, 0xffff_fff8),
      (0, 0, 40_000, 16),
    ]
    for (x, y, width, height) in cases { #expect(try guest.flush(1, x, y, width, height) == .invalidParameter) }
    #expect(guest.sink.flushes.isEmpty)
  }

  @Test("giving up a picture turns off each scanout that shows it, then retires its memory")
  func unref() throws {
    let guest = try Guest(scanouts: Self.two)
    try guest.picture(1)
    for scanout: UInt32 in 0...1 { #expect(try guest.show(1, on: scanout) == .okNoData) }
    let id = try #require(guest.sink.contents[0]?.picture.id)
    #expect(try guest.unref(1) == .okNoData)
    #expect(guest.sink.contents.isEmpty && guest.sink.retired == [id])
    #expect(try guest.flush(1) == .invalidResourceID)
  }

  @Test("pictures in turn on one scanout: only the shown one is flushed")
  func flip() throws {
    let guest = try Guest()
    try guest.picture(1)
    try guest.picture(2)
    for turn: UInt32 in 0..<6 {
      #expect(try guest.show(1 + turn % 2) == .okNoData)
      #expect(try guest.flush(1) == .okNoData && guest.flush(2) == .okNoData)
    }
    #expect(guest.sink.scanoutChanges == 6 && guest.sink.flushes.count == 6)
    #expect(try guest.unref(1) == .okNoData)
    #expect(guest.sink.contents[0] != nil)
  }

  @Test("display info lists the scanouts side by side")
  func displayInfo() throws {
    let guest = try Guest(scanouts: Self.two)
    let reply = try guest.run(.getDisplayInfo)
    #expect(reply.code == .okDisplayInfo && reply.bytes.count == 408)
    #expect((0..<6).map { reply.word(24 + 4 * $0) } == [0, 0, 640, 480, 1, 0])
    #expect((6..<12).map { reply.word(24 + 4 * $0) } == [640, 0, 800, 600, 1, 0])
    #expect(reply.bytes[72...].allSatisfy { $0 == 0 })
  }

  @Test("an EDID comes for each scanout and for no other")
  func edid() throws {
    let guest = try Guest(scanouts: Self.two)
    let replies = try (0..<2).map { try guest.run(.getEDID(ScanoutID(rawValue: $0))) }
    #expect(replies.allSatisfy { $0.code == .okEDID && $0.bytes.count == 1056 && $0.word(24) == 128 })
    #expect(replies[0] != replies[1])
    for scanout: UInt32 in [2, 16, .max] {
      #expect(try guest.code(.getEDID(ScanoutID(rawValue: scanout))) == .invalidScanoutID)
    }
    guest.device.featuresAccepted(0)
    #expect(try guest.code(.getEDID(ScanoutID(rawValue: 0))) == .unspecified)
  }

  @Test("another size is an event until the driver clears it, and is in display info and EDID")
  func displayChange() throws {
    let guest = try Guest(scanouts: Self.two)
    var changes = 0
    guest.device.configurationChanged = { changes += 1 }
    let before = try guest.run(.getEDID(ScanoutID(rawValue: 1)))
    guest.device.setScanoutSize(ScanoutID(rawValue: 1), Size(width: 800, height: 600))
    #expect(changes == 0 && Self.configuration(guest.device) == [0, 0, 2, 0, 4096])
    guest.device.setScanoutSize(ScanoutID(rawValue: 1), Size(width: 1024, height: 768))
    #expect(changes == 1 && Self.configuration(guest.device) == [1, 0, 2, 0, 4096])
    #expect(try guest.run(.getEDID(ScanoutID(rawValue: 1))) != before)
    #expect(try guest.run(.getDisplayInfo).word(24 + 24 + 8) == 1024)
    [1, 0, 0, 0].withUnsafeBytes { (bytes: UnsafeRawBufferPointer) in
      guest.device.writeConfiguration(at: 0, UnsafeRawBufferPointer(rebasing: bytes[..<4]))
    }
    #expect(Self.configuration(guest.device)[0] == 1, "events_read is read-only")
    ([0, 0, 0, 0, 1, 0, 0, 0, 9, 9, 9, 9] as [UInt8]).withUnsafeBytes { guest.device.writeConfiguration(at: 0, $0) }
    #expect(Self.configuration(guest.device) == [0, 0, 2, 0, 4096])
    guest.device.setScanoutSize(ScanoutID(rawValue: 1), nil)
    #expect(changes == 2)
    #expect(try guest.run(.getDisplayInfo).word(24 + 24 + 16) == 0)
    #expect(try guest.code(.getEDID(ScanoutID(rawValue: 1))) == .okEDID)
    guest.device.setScanoutSize(ScanoutID(rawValue: 16), Size(width: 1, height: 1))
    guest.device.setScanoutSize(ScanoutID(rawValue: 0), Size(width: 0, height: 1))
    #expect(changes == 2)
  }

  static func configuration(_ device: GPUDevice) -> [UInt32] {
    var words = [UInt32](repeating: 0xee, count: device.configurationSize / 4)
    words.withUnsafeMutableBytes { device.readConfiguration(at: 0, into: $0) }
    return words
  }

  @Test("configuration space is read at any offset, and is zero behind its end")
  func configurationOffsets() throws {
    let guest = try Guest(scanouts: Self.two)
    var bytes = [UInt8](repeating: 0xee, count: 8)
    bytes.withUnsafeMutableBytes { guest.device.readConfiguration(at: 7, into: $0) }
    #expect(bytes == [0, 2, 0, 0, 0, 0, 0, 0])
    bytes.withUnsafeMutableBytes { guest.device.readConfiguration(at: .max - 1, into: $0) }
    #expect(bytes.allSatisfy { $0 == 0 })
    bytes.withUnsafeBytes { guest.device.writeConfiguration(at: .max - 1, $0) }
  }

  @Test("the number of scanouts can change between 1 and 16; what is left out is off")
  func count() throws {
    let guest = try Guest(scanouts: Self.two)
    try guest.picture(1)
    guest.device.setScanoutCount(16)
    #expect(try guest.show(1, on: 15) == .okNoData)
    guest.device.setScanoutCount(4)
    #expect(guest.sink.contents.isEmpty)
    #expect(try guest.show(1, on: 4) == .invalidScanoutID)
    #expect(try guest.show(0, on: 3) == .okNoData)
    guest.device.setScanoutCount(0)
    #expect(Self.configuration(guest.device)[2] == 1)
  }

  @Test("capability sets there are none")
  func capsets() throws {
    let guest = try Guest()
    #expect(try guest.code(.getCapsetInfo(index: 0)) == .invalidParameter)
    #expect(try guest.code(.getCapset(id: 1, version: 1)) == .invalidParameter)
  }
}
