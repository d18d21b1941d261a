/// `cmd` of a header.
enum CommandCode: UInt8 {
  case initialize = 1
  case getImageRequirements = 2
  case poll = 3
  case send = 4
  case receive = 5
  case read = 6
  case write = 7
}

/// One command, or one entry of a ring.
public enum CrossDomainCommand: Hashable, Sendable {
  /// INIT: which resources are the rings, and what is at the other end.
  case initialize(queryRing: UInt32, channelRing: UInt32, ChannelType)
  /// GET_IMAGE_REQUIREMENTS: what a picture has to be like.
  case getImageRequirements(ImageQuery)
  /// POLL: the fence that goes with it completes when the channel ring has something new.
  case poll
  /// SEND: to the other end.
  case send(Transmission)
  /// RECEIVE: from the other end.
  case receive(Transmission)
  /// READ: what came through a pipe.
  case read(PipeData)
  /// WRITE: what goes into a pipe.
  case write(PipeData)
}

/// A picture that somebody wants to make.
public struct ImageQuery: Hashable, Sendable {
  /// Columns and rows.
  public var width: UInt32, height: UInt32
  /// DRM fourcc.
  public var format: UInt32
  /// Uses (GBM_BO_USE of minigbm).
  public var flags: UInt32

  /// A picture of that size and format.
  public init(width: UInt32, height: UInt32, format: UInt32, flags: UInt32 = 0) {
    self.width = width
    self.height = height
    self.format = format
    self.flags = flags
  }
}

/// Data with what it refers to: `struct CrossDomainSendReceive`.
public struct Transmission: Hashable, Sendable {
  /// Something that goes with the data, in the place of a descriptor.
  public struct Identifier: Hashable, Sendable {
    /// What it is.
    public enum Kind: UInt32, Sendable {
      /// In a SEND a resource; in a RECEIVE the number to make a blob of.
      case blob = 1
      case sync = 2
      case readPipe = 3
      case writePipe = 4
    }

    /// Its number.
    public var number: UInt32
    /// What it is.
    public var kind: Kind
    /// Bytes of a blob.
    public var byteCount: UInt32

    /// Something of that number.
    public init(number: UInt32, kind: Kind, byteCount: UInt32 = 0) {
      self.number = number
      self.kind = kind
      self.byteCount = byteCount
    }
  }

  /// What goes with the data; at most ``CrossDomain/maximumIdentifierCount``.
  public var identifiers: [Identifier]
  /// Bytes that only the ends understand.
  public var data: [UInt8]

  /// Data with what goes with it.
  public init(_ data: [UInt8], identifiers: [Identifier] = []) {
    self.data = data
    self.identifiers = identifiers
  }
}

/// A piece of a pipe's contents: `struct CrossDomainReadWrite`.
public struct PipeData: Hashable, Sendable {
  /// Which pipe.
  public var pipe: UInt32
  /// Whether it is the end.
  public var isHangUp: Bool
  /// The bytes.
  public var data: [UInt8]

  /// A piece of a pipe's contents.
  public init(pipe: UInt32, isHangUp: Bool, data: [UInt8]) {
    self.pipe = pipe
    self.isHangUp = isHangUp
    self.data = data
  }
}

/// The answer to GET_IMAGE_REQUIREMENTS, on the query ring: `struct CrossDomainImageRequirements`.
public struct ImageRequirements: Hashable, Sendable {
  /// Bytes on the wire.
  public static let byteCount = 64

  /// Bytes from row to row of the only plane.
  public var stride: UInt32
  /// Bytes before its first pixel.
  public var offset: UInt32
  /// DRM format modifier.
  public var modifier: UInt64
  /// Bytes of the whole.
  public var byteCount: UInt64
  /// The number to make a blob of.
  public var blob: UInt32
  /// `map_info`, as virtio-gpu has it.
  public var mapInfo: UInt32

  /// A picture of one plane.
  public init(stride: UInt32, offset: UInt32, modifier: UInt64, byteCount: UInt64, blob: UInt32, mapInfo: UInt32) {
    self.stride = stride
    self.offset = offset
    self.modifier = modifier
    self.byteCount = byteCount
    self.blob = blob
    self.mapInfo = mapInfo
  }

  /// Reads an answer; nil when there are fewer than 64 bytes.
  public init?(decoding bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.byteCount else { return nil }
    var reader = ByteReader(bytes)
    stride = reader.word()
    reader = ByteReader(bytes, at: 16)
    offset = reader.word()
    reader = ByteReader(bytes, at: 32)
    modifier = reader.long()
    byteCount = reader.long()
    blob = reader.word()
    mapInfo = reader.word()
  }

  /// The 64 bytes; the picture is no memory of a graphics device.
  public var encoded: [UInt8] {
    var writer = ByteWriter()
    for word in [stride, 0, 0, 0, offset, 0, 0, 0] { writer.word(word) }
    writer.long(modifier)
    writer.long(byteCount)
    for word in [blob, mapInfo, .max, .max] { writer.word(word) }
    return writer.bytes
  }
}
