import Buffers
import Testing

@testable import GPUDevice
@testable import GPUProtocol

@Suite("Commands and their bytes") struct CodecTests {
  static let id = ResourceID(rawValue: 0x0102_0304)
  static let rectangle = Rectangle(x: 1, y: 2, width: 3, height: 4)
  static let cursor = Command.CursorUpdate(
    scanout: ScanoutID(rawValue: 7), x: 8, y: 9, resource: id, hotX: 10, hotY: 11)
  static let transfer3D = Command.Transfer3D(
    x: 1, y: 2, z: 3, width: 4, height: 5, depth: 6, offset: 1 << 40, resource: id, level: 8, stride: 9,
    layerStride: 10)

  /// One of each command, with a different number in each field.
  static let all: [Command] = [
    .getDisplayInfo, .resourceCreate2D(id, format: 5, size: Size(width: 6, height: 7)), .resourceUnref(id),
    .setScanout(ScanoutID(rawValue: 9), resource: id, source: rectangle), .resourceFlush(id, rectangle),
    .transferToHost2D(id, rectangle, offset: 0x1122_3344_5566_7788), .resourceAttachBacking(id, entryCount: 12),
    .resourceDetachBacking(id), .getCapsetInfo(index: 13), .getCapset(id: 14, version: 15),
    .getEDID(ScanoutID(rawValue: 16)), .resourceAssignUUID(id),
    .resourceCreateBlob(
      Command.CreateBlob(resource: id, memory: 1, flags: 2, entryCount: 3, blob: 1 << 33, byteCount: 1 << 34)),
    .setScanoutBlob(
      Command.SetScanoutBlob(
        source: rectangle, scanout: ScanoutID(rawValue: 1), resource: id, size: Size(width: 5, height: 6), format: 7,
        stride: 8, offset: 9)),
    .contextCreate(nameLength: 17, kind: 18), .contextDestroy, .contextAttachResource(id),
    .contextDetachResource(id),
    .resourceCreate3D(
      Command.Create3D(
        resource: id, target: 1, format: 2, bind: 3, size: Size(width: 4, height: 5), depth: 6, arraySize: 7,
        lastLevel: 8, sampleCount: 9, flags: 10)),
    .transferToHost3D(transfer3D), .transferFromHost3D(transfer3D), .submit3D(byteCount: 19, fenceCount: 20),
    .resourceMapBlob(id, offset: 1 << 35), .resourceUnmapBlob(id), .updateCursor(cursor), .moveCursor(cursor),
  ]

  @Test("every command code has a case, and every case its code")
  func complete() {
    #expect(Self.all.map(\.code) == CommandCode.allCases)
  }

  @Test("a command decodes to what was encoded", arguments: all)
  func roundTrip(_ command: Command) throws {
    let bytes = command.encoded(
      flags: .fence, fence: FenceID(rawValue: 1 << 63), context: ContextID(rawValue: 5), ring: 63)
    #expect(bytes.count == command.code.byteCount)
    try bytes.withUnsafeBytes { bytes in
      let header = try #require(CommandHeader(decoding: bytes))
      #expect(header.fence.rawValue == 1 << 63 && header.context.rawValue == 5 && header.ring == 63)
      #expect(try Command.decode(header, bytes) == command)
    }
  }

  @Test("a command cut at any length is an error that says so", arguments: all)
  func cut(_ command: Command) throws {
    let bytes = command.encoded()
    for length in 0..<bytes.count {
      bytes[..<length].withUnsafeBytes { bytes in
        guard let header = CommandHeader(decoding: bytes) else { return #expect(length < 24) }
        #expect(throws: CommandError.truncated(command.code, byteCount: length)) {
          try Command.decode(header, bytes)
        }
      }
    }
  }

  @Test("surplus bytes do not matter", arguments: all)
  func surplus(_ command: Command) throws {
    let bytes = command.encoded() + [UInt8](repeating: 0xff, count: 100)
    try bytes.withUnsafeBytes { bytes in
      let header = try #require(CommandHeader(decoding: bytes))
      #expect(try Command.decode(header, bytes) == command)
    }
  }

  @Test(
    "an unknown type is an error that names it",
    arguments: [0, 0xff, 0x10e, 0x1ff, 0x20a, 0x302, 0x1100, 0x1200, 0xffff_ffff] as [UInt32])
  func unknown(_ type: UInt32) {
    var bytes = [UInt8](repeating: 0, count: 96)
    bytes.withUnsafeMutableBytes { bytes in
      bytes.storeBytes(of: type.littleEndian, as: UInt32.self)
      let bytes = UnsafeRawBufferPointer(bytes)
      let header = CommandHeader(decoding: bytes)
      #expect(throws: CommandError.unknown(type)) { try Command.decode(#require(header), bytes) }
    }
  }

  @Test("a transfer's fields lie where the specification puts them")
  func offsets() {
    let bytes = Command.transferToHost2D(Self.id, Self.rectangle, offset: 0x1122_3344_5566_7788).encoded()
    #expect(Array(bytes[0..<8]) == [5, 1, 0, 0, 0, 0, 0, 0])
    #expect(Array(bytes[24..<40]) == [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0])
    #expect(Array(bytes[40..<56]) == [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 4, 3, 2, 1, 0, 0, 0, 0])
  }

  @Test("a cursor's fields lie where the specification puts them")
  func cursorOffsets() {
    let bytes = Command.moveCursor(Self.cursor).encoded()
    #expect(Array(bytes[24..<40]) == [7, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0])
    #expect(Array(bytes[40..<56]) == [4, 3, 2, 1, 10, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0])
  }

  static let responses: [(Response, Int)] = [
    (.okNoData, 24), (.okDisplayInfo([]), 408),
    (.okDisplayInfo([DisplayMode(area: Rectangle(x: 1, y: 2, width: 3, height: 4), isEnabled: true)]), 408),
    (.okEDID(EDID(size: Size(width: 640, height: 480), name: "x", serial: 1).bytes), 1056),
    (.okResourceUUID(ResourceUUID(high: 1, low: 2)), 40), (.error(.outOfMemory), 24), (.okMapInfo(.cached), 32),
    (.okCapsetInfo(CapsetInfo(id: 5, maximumVersion: 1, maximumByteCount: 16)), 40),
  ]

  @Test("an answer has the length of its struct and leaves no byte of it unset", arguments: responses)
  func responseLength(_ response: Response, _ count: Int) {
    let encoded = [0x00, 0xff].map { (fill: UInt8) in
      var bytes = [UInt8](repeating: fill, count: Response.maximumByteCount)
      let length = bytes.withUnsafeMutableBytes { response.encode(answering: CommandHeader(.getEDID), into: $0) }
      return Array(bytes[..<length])
    }
    #expect(encoded[0] == encoded[1])
    #expect(encoded[0].count == count)
  }

  @Test("an answer is read back as it was stored, and cut at any length is an error", arguments: responses)
  func responseRoundTrip(_ response: Response, _ count: Int) throws {
    var bytes = [UInt8](repeating: 0, count: Response.maximumByteCount)
    let length = bytes.withUnsafeMutableBytes { response.encode(answering: CommandHeader(.getEDID), into: $0) }
    #expect(try bytes[..<length].withUnsafeBytes { try Response.decode($0) } == Self.padded(response))
    for cut in 0..<length {
      #expect(throws: ResponseError.self) { try bytes[..<cut].withUnsafeBytes { try Response.decode($0) } }
    }
  }

  /// A display-info answer always has the lines of sixteen scanouts.
  private static func padded(_ response: Response) -> Response {
    guard case .okDisplayInfo(let modes) = response else { return response }
    return .okDisplayInfo(modes + Array(repeating: .disabled, count: ScanoutID.maximumCount - modes.count))
  }

  @Test("an answer that claims a longer EDID than fits, or of a type that is none, is an error")
  func wrongResponses() {
    var bytes = [UInt8](repeating: 0, count: Response.maximumByteCount)
    _ = bytes.withUnsafeMutableBytes { Response.okEDID([]).encode(answering: CommandHeader(.getEDID), into: $0) }
    bytes[26] = 1
    #expect(throws: ResponseError.truncated(.okEDID, byteCount: bytes.count)) {
      try bytes.withUnsafeBytes { try Response.decode($0) }
    }
    bytes[0] = 0xff
    #expect(throws: ResponseError.unknown(0x11ff)) { try bytes.withUnsafeBytes { try Response.decode($0) } }
  }

  @Test("a fence is echoed with its context and ring, and only when it was asked for")
  func fenceEcho() {
    let asked = CommandHeader(
      .resourceFlush, flags: [.fence, .ringIndex], fence: FenceID(rawValue: 9), context: ContextID(rawValue: 4), ring: 2
    )
    #expect(asked.answer(.okNoData).fence.rawValue == 9)
    #expect(asked.answer(.okNoData).context.rawValue == 4)
    #expect(asked.answer(.okNoData).flags == [.fence, .ringIndex] && asked.answer(.okNoData).ring == 2)
    let plain = CommandHeader(.resourceFlush, fence: FenceID(rawValue: 9))
    #expect(plain.answer(.okNoData).flags == [] && plain.answer(.okNoData).fence.rawValue == 0)
  }

  @Test("a format's DRM fourcc and its channels agree about every byte", arguments: ResourceFormat.allCases)
  func formats(_ format: ResourceFormat) {
    // Bytes by address, named as in the format's own name; the fourcc's name is the same letters reversed.
    let bytes = "\(format)".filter(\.isLetter)
    let fourcc = format.pixelFormat
    let order: [PixelFormat: String] = [
      .argb8888: "bgra", .xrgb8888: "bgrx", .bgra8888: "argb", .bgrx8888: "xrgb", .abgr8888: "rgba",
      .xbgr8888: "rgbx", .rgba8888: "abgr", .rgbx8888: "xbgr",
    ]
    #expect(order[fourcc] == bytes)
    let values: [Character: UInt32] = ["a": 0x40, "x": 0x99, "r": 1, "g": 2, "b": 3]
    let word = bytes.reversed().reduce(UInt32(0)) { $0 << 8 | (values[$1] ?? 0) }
    #expect(format.argb(word) == (bytes.contains("a") ? 0x4001_0203 : 0x9901_0203))
  }
}
