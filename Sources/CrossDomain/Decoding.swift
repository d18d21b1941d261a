/// Why bytes are no command.
public enum CrossDomainError: Error, Equatable, Sendable {
  /// A command that nobody specified.
  case unknownCommand(UInt8)
  /// A command that is shorter than what it consists of, or longer than what there is.
  case wrongLength(command: UInt8, byteCount: Int)
  /// More identifiers than fit.
  case tooManyIdentifiers(UInt32)
  /// An identifier of a kind that nobody specified.
  case unknownIdentifier(UInt32)
}

extension CrossDomainCommand {
  /// Reads the command at the beginning of private memory, and how many bytes it has.
  ///
  /// - Throws: every input gives a command or an error.
  public static func decode(
    _ bytes: UnsafeRawBufferPointer
  ) throws(CrossDomainError) -> (command: CrossDomainCommand, byteCount: Int) {
    guard bytes.count >= CrossDomain.headerByteCount else { throw .wrongLength(command: 0, byteCount: bytes.count) }
    var reader = ByteReader(bytes)
    let number = reader.byte()
    _ = reader.byte()
    let count = Int(reader.short())
    guard let code = CommandCode(rawValue: number) else { throw .unknownCommand(number) }
    guard count >= shortest(code), count <= bytes.count else { throw .wrongLength(command: number, byteCount: count) }
    return (try body(code, UnsafeRawBufferPointer(rebasing: bytes[..<count])), count)
  }

  /// Bytes of the command without data.
  private static func shortest(_ code: CommandCode) -> Int {
    switch code {
    // A first version named one ring for both uses.
    case .initialize: 16
    case .getImageRequirements: 24
    case .poll: CrossDomain.headerByteCount
    case .send, .receive: CrossDomain.transmissionByteCount
    case .read, .write: CrossDomain.pipeByteCount
    }
  }

  private static func body(
    _ code: CommandCode, _ bytes: UnsafeRawBufferPointer
  ) throws(CrossDomainError) -> CrossDomainCommand {
    var reader = ByteReader(bytes, at: CrossDomain.headerByteCount)
    switch code {
    case .initialize:
      let ring = reader.word()
      let channelRing = bytes.count >= 20 ? reader.word() : ring
      return .initialize(queryRing: ring, channelRing: channelRing, ChannelType(rawValue: reader.word()))
    case .getImageRequirements:
      return .getImageRequirements(
        ImageQuery(width: reader.word(), height: reader.word(), format: reader.word(), flags: reader.word()))
    case .poll: return .poll
    case .send: return .send(try transmission(bytes, &reader))
    case .receive: return .receive(try transmission(bytes, &reader))
    case .read: return .read(try pipeData(bytes, &reader, code))
    case .write: return .write(try pipeData(bytes, &reader, code))
    }
  }

  private static func transmission(
    _ bytes: UnsafeRawBufferPointer, _ reader: inout ByteReader
  ) throws(CrossDomainError) -> Transmission {
    let count = reader.word()
    let byteCount = reader.word()
    guard count <= UInt32(CrossDomain.maximumIdentifierCount) else { throw .tooManyIdentifiers(count) }
    let data = try data(bytes, at: CrossDomain.transmissionByteCount, byteCount, .send)
    var identifiers: [Transmission.Identifier] = []
    for index in 0..<Int(count) { identifiers.append(try identifier(bytes, index)) }
    return Transmission(data, identifiers: identifiers)
  }

  /// Numbers, kinds and sizes are three lists of the same length.
  private static func identifier(
    _ bytes: UnsafeRawBufferPointer, _ index: Int
  ) throws(CrossDomainError) -> Transmission.Identifier {
    func word(_ list: Int) -> UInt32 {
      var reader = ByteReader(bytes, at: 16 + 4 * (list * CrossDomain.maximumIdentifierCount + index))
      return reader.word()
    }
    guard let kind = Transmission.Identifier.Kind(rawValue: word(1)) else { throw .unknownIdentifier(word(1)) }
    return Transmission.Identifier(number: word(0), kind: kind, byteCount: word(2))
  }

  private static func pipeData(
    _ bytes: UnsafeRawBufferPointer, _ reader: inout ByteReader, _ code: CommandCode
  ) throws(CrossDomainError) -> PipeData {
    let pipe = reader.word()
    let isHangUp = reader.word() != 0
    let data = try data(bytes, at: CrossDomain.pipeByteCount, reader.word(), code)
    return PipeData(pipe: pipe, isHangUp: isHangUp, data: data)
  }

  private static func data(
    _ bytes: UnsafeRawBufferPointer, at offset: Int, _ count: UInt32, _ code: CommandCode
  ) throws(CrossDomainError) -> [UInt8] {
    guard Int(count) <= bytes.count - offset else {
      throw .wrongLength(command: code.rawValue, byteCount: bytes.count)
    }
    return [UInt8](bytes[offset..<offset + Int(count)])
  }
}
