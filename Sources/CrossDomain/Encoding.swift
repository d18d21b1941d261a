extension CrossDomainCommand {
  /// The command's bytes; nil when it is longer than a command can be, or has too many identifiers.
  public var encoded: [UInt8]? {
    let code = code
    let body = body
    let count = CrossDomain.headerByteCount + body.count
    guard count <= CrossDomain.maximumCommandByteCount, identifierCount <= CrossDomain.maximumIdentifierCount else {
      return nil
    }
    var writer = ByteWriter()
    writer.byte(code.rawValue)
    writer.byte(code == .getImageRequirements ? CrossDomain.queryRing : CrossDomain.channelRing)
    writer.short(UInt16(count))
    writer.word(0)
    writer.copy(body)
    return writer.bytes
  }

  private var code: CommandCode {
    switch self {
    case .initialize: .initialize
    case .getImageRequirements: .getImageRequirements
    case .poll: .poll
    case .send: .send
    case .receive: .receive
    case .read: .read
    case .write: .write
    }
  }

  private var identifierCount: Int {
    switch self {
    case .send(let transmission), .receive(let transmission): transmission.identifiers.count
    default: 0
    }
  }

  private var body: [UInt8] {
    var writer = ByteWriter()
    switch self {
    case .initialize(let query, let channel, let type):
      for word in [query, channel, type.rawValue] { writer.word(word) }
    case .getImageRequirements(let query):
      for word in [query.width, query.height, query.format, query.flags] { writer.word(word) }
    case .poll: writer.long(0)
    case .send(let transmission), .receive(let transmission): writer.transmission(transmission)
    case .read(let data), .write(let data):
      for word in [data.pipe, data.isHangUp ? 1 : 0, UInt32(clamping: data.data.count), 0] { writer.word(word) }
      writer.copy(data.data)
    }
    return writer.bytes
  }
}

extension ByteWriter {
  fileprivate mutating func transmission(_ transmission: Transmission) {
    let identifiers = transmission.identifiers
    word(UInt32(clamping: identifiers.count))
    word(UInt32(clamping: transmission.data.count))
    list(identifiers.map(\.number))
    list(identifiers.map(\.kind.rawValue))
    list(identifiers.map(\.byteCount))
    copy(transmission.data)
  }

  private mutating func list(_ words: [UInt32]) {
    for index in 0..<CrossDomain.maximumIdentifierCount { word(index < words.count ? words[index] : 0) }
  }
}
