import CrossDomain
import TestSupport
import Testing

@Suite("Cross-domain commands") struct CommandTests {
  static let identifiers = (0..<UInt32(CrossDomain.maximumIdentifierCount)).map {
    Transmission.Identifier(number: $0 &* 0x0101_0101, kind: .blob, byteCount: .max - $0)
  }
  static let samples: [CrossDomainCommand] = [
    .initialize(queryRing: 3, channelRing: 4, .hub),
    .getImageRequirements(ImageQuery(width: 640, height: 480, format: 0x3432_5258, flags: 1)),
    .poll,
    .send(Transmission([1, 2, 3, 4, 5], identifiers: identifiers)),
    .receive(Transmission([], identifiers: [Transmission.Identifier(number: 7, kind: .writePipe)])),
    .read(PipeData(pipe: 0x8000_0000, isHangUp: true, data: [])),
    .write(PipeData(pipe: 9, isHangUp: false, data: [0xff, 0])),
  ]

  static func decode(_ bytes: [UInt8]) throws -> (command: CrossDomainCommand, byteCount: Int) {
    try bytes.withUnsafeBytes { try CrossDomainCommand.decode($0) }
  }

  @Test("each is read as it was written, whatever follows it", arguments: samples)
  func roundTrip(_ command: CrossDomainCommand) throws {
    let bytes = try #require(command.encoded)
    let read = try Self.decode(bytes + [0xee, 0xee])
    #expect(read.command == command && read.byteCount == bytes.count)
  }

  @Test("none is read from fewer bytes than it has", arguments: samples)
  func cut(_ command: CrossDomainCommand) throws {
    let bytes = try #require(command.encoded)
    for count in bytes.indices { #expect(throws: CrossDomainError.self) { try Self.decode(Array(bytes[..<count])) } }
  }

  @Test("fields lie where the published layouts have them")
  func layout() throws {
    let send = Transmission([0xaa], identifiers: [Transmission.Identifier(number: 2, kind: .readPipe, byteCount: 5)])
    let bytes = try #require(CrossDomainCommand.send(send).encoded)
    #expect(bytes.count == 353 && bytes[0] == 4 && bytes[2] == 97 && bytes[3] == 1)
    #expect(bytes[8] == 1 && bytes[12] == 1 && bytes[16] == 2 && bytes[128] == 3 && bytes[240] == 5)
    #expect(bytes[352] == 0xaa)
    let start = try #require(CrossDomainCommand.initialize(queryRing: 1, channelRing: 2, .wayland).encoded)
    #expect(start == [1, 1, 20, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0])
  }

  @Test("an INIT of the first version has one ring for both uses")
  func firstVersion() throws {
    let bytes: [UInt8] = [1, 0, 16, 0, 0, 0, 0, 0, 9, 0, 0, 0, 24, 0, 0, 0]
    #expect(try Self.decode(bytes).command == .initialize(queryRing: 9, channelRing: 9, .hub))
  }

  @Test("lengths that cannot be are refused")
  func lengths() throws {
    var bytes = try #require(CrossDomainCommand.send(Transmission([1, 2])).encoded)
    bytes[12] = 3
    #expect(throws: CrossDomainError.self) { try Self.decode(bytes) }
    bytes[12...15] = [0xff, 0xff, 0xff, 0xff]
    #expect(throws: CrossDomainError.self) { try Self.decode(bytes) }
    bytes[8...11] = [29, 0, 0, 0]
    #expect(throws: CrossDomainError.tooManyIdentifiers(29)) { try Self.decode(bytes) }
    bytes[8...11] = [0xff, 0xff, 0xff, 0xff]
    #expect(throws: CrossDomainError.tooManyIdentifiers(.max)) { try Self.decode(bytes) }
  }

  @Test("unknown commands and identifiers are refused")
  func unknown() throws {
    #expect(throws: CrossDomainError.unknownCommand(0)) { try Self.decode([UInt8](repeating: 0, count: 64)) }
    #expect(throws: CrossDomainError.unknownCommand(8)) {
      try Self.decode([8, 0, 64, 0] + [UInt8](repeating: 0, count: 60))
    }
    let sample = Transmission([], identifiers: [Transmission.Identifier(number: 1, kind: .sync)])
    var bytes = try #require(CrossDomainCommand.send(sample).encoded)
    bytes[128] = 5
    #expect(throws: CrossDomainError.unknownIdentifier(5)) { try Self.decode(bytes) }
  }

  @Test("what is too long for a command, or refers to too much, is not written")
  func tooLong() {
    #expect(CrossDomainCommand.send(Transmission([UInt8](repeating: 0, count: 65_183))).encoded?.count == 65_535)
    #expect(CrossDomainCommand.send(Transmission([UInt8](repeating: 0, count: 65_184))).encoded == nil)
    let many = Self.identifiers + Self.identifiers
    #expect(CrossDomainCommand.send(Transmission([], identifiers: many)).encoded == nil)
  }

  @Test("any bytes give a command or an error")
  func random() {
    var random = SplitMix(seed: 7)
    for _ in 0..<20_000 {
      var bytes = (0..<Int.random(in: 0...420, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      if bytes.count >= 4 {
        bytes[0] = UInt8.random(in: 0...8, using: &random)
        bytes[3] = UInt8.random(in: 0...1, using: &random)
      }
      if bytes.count >= 16, Bool.random(using: &random) {
        bytes.replaceSubrange(8..<16, with: [2, 0, 0, 0, 9, 0, 0, 0])
      }
      guard let read = try? Self.decode(bytes) else { continue }
      #expect(read.byteCount <= bytes.count && read.byteCount >= 8)
    }
  }

  @Test("capabilities and image requirements are read as they were written")
  func others() {
    let capabilities = CrossDomainCapabilities(channels: [.wayland, .hub], supportsDMABuf: true)
    #expect(capabilities.encoded.count == 16 && capabilities.offers(.hub) && !capabilities.offers(.init(rawValue: 2)))
    #expect(capabilities.encoded.withUnsafeBytes { CrossDomainCapabilities(decoding: $0) } == capabilities)
    let requirements = ImageRequirements(
      stride: 2560, offset: 64, modifier: 0x0102_0304_0506_0708, byteCount: 1 << 33, blob: 5, mapInfo: 1)
    #expect(requirements.encoded.count == 64)
    #expect(requirements.encoded.withUnsafeBytes { ImageRequirements(decoding: $0) } == requirements)
  }
}
