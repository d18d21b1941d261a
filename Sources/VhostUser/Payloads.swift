import Virtqueue

/// A vring state description: a ring and a number (vhost-user.rst, "Payload").
public struct VringState: Equatable, Sendable {
  /// The ring.
  public var index: UInt32
  /// Size, base or on/off, as the request says.
  public var num: UInt32

  /// A state by its fields.
  public init(index: UInt32, num: UInt32) {
    self.index = index
    self.num = num
  }

  init?(_ reader: inout ByteReader) {
    guard let index: UInt32 = reader.next(), let num: UInt32 = reader.next() else { return nil }
    self.init(index: index, num: num)
  }

  func encode(into bytes: inout [UInt8]) {
    bytes.append(word: index)
    bytes.append(word: num)
  }
}

/// A vring address description: where the three parts of a ring are, in the front-end's own addresses.
public struct VringAddress: Equatable, Sendable {
  /// The ring.
  public var index: UInt32
  /// Bit 0 (`VHOST_VRING_F_LOG`) asks for dirty logging, which is never offered.
  public var flags: UInt32
  /// Descriptor table, or the packed descriptor ring.
  public var descriptor: UInt64
  /// Used ring, or the device event suppression area.
  public var used: UInt64
  /// Available ring, or the driver event suppression area.
  public var available: UInt64
  /// Guest address for logging.
  public var log: UInt64

  /// An address description by its fields.
  public init(index: UInt32, flags: UInt32 = 0, descriptor: UInt64, used: UInt64, available: UInt64, log: UInt64 = 0) {
    self.index = index
    self.flags = flags
    self.descriptor = descriptor
    self.used = used
    self.available = available
    self.log = log
  }

  init?(_ reader: inout ByteReader) {
    guard let index: UInt32 = reader.next(), let flags: UInt32 = reader.next(), let descriptor: UInt64 = reader.next(),
      let used: UInt64 = reader.next(), let available: UInt64 = reader.next(), let log: UInt64 = reader.next()
    else { return nil }
    self.init(index: index, flags: flags, descriptor: descriptor, used: used, available: available, log: log)
  }

  func encode(into bytes: inout [UInt8]) {
    bytes.append(word: index)
    bytes.append(word: flags)
    for word in [descriptor, used, available, log] { bytes.append(word: word) }
  }
}

/// A memory region description: one range of guest memory and where it lies in its file.
public struct RegionDescription: Equatable, Sendable {
  /// First guest address.
  public var guestAddress: UInt64
  /// Bytes.
  public var size: UInt64
  /// Where the front-end itself has mapped it; ring addresses refer to this.
  public var userAddress: UInt64
  /// Where the region starts in its file.
  public var mmapOffset: UInt64

  /// A description by its fields.
  public init(guestAddress: UInt64, size: UInt64, userAddress: UInt64, mmapOffset: UInt64) {
    self.guestAddress = guestAddress
    self.size = size
    self.userAddress = userAddress
    self.mmapOffset = mmapOffset
  }

  init?(_ reader: inout ByteReader) {
    guard let guestAddress: UInt64 = reader.next(), let size: UInt64 = reader.next(),
      let userAddress: UInt64 = reader.next(), let mmapOffset: UInt64 = reader.next()
    else { return nil }
    self.init(guestAddress: guestAddress, size: size, userAddress: userAddress, mmapOffset: mmapOffset)
  }

  func encode(into bytes: inout [UInt8]) {
    for word in [guestAddress, size, userAddress, mmapOffset] { bytes.append(word: word) }
  }
}

/// Which ring a descriptor in the ancillary data is for (SET_VRING_KICK, _CALL, _ERR).
public struct VringDescriptor: Equatable, Sendable {
  /// Bit 8: no descriptor comes with the message.
  static let noDescriptor: UInt64 = 1 << 8

  /// The ring, from bits 0 to 7.
  public var index: UInt32
  /// Whether a descriptor comes with the message.
  public var hasDescriptor: Bool

  /// A ring with or without a descriptor.
  public init(index: UInt32, hasDescriptor: Bool) {
    self.index = index
    self.hasDescriptor = hasDescriptor
  }

  init(word: UInt64) {
    self.init(index: UInt32(word & 0xff), hasDescriptor: word & Self.noDescriptor == 0)
  }

  var word: UInt64 { UInt64(index & 0xff) | (hasDescriptor ? 0 : Self.noDescriptor) }
}

/// An access to the device's configuration space (GET_CONFIG, SET_CONFIG and their answers).
public struct ConfigurationAccess: Equatable, Sendable {
  /// First byte.
  public var offset: UInt32
  /// Bytes.
  public var size: UInt32
  /// 0: the driver's writable fields, 1: live migration.
  public var flags: UInt32
  /// The bytes; in a GET_CONFIG they mean nothing.
  public var bytes: [UInt8]

  /// An access by its fields.
  public init(offset: UInt32, size: UInt32, flags: UInt32 = 0, bytes: [UInt8]) {
    self.offset = offset
    self.size = size
    self.flags = flags
    self.bytes = bytes
  }

  init?(_ reader: inout ByteReader) {
    guard let offset: UInt32 = reader.next(), let size: UInt32 = reader.next(), let flags: UInt32 = reader.next()
    else { return nil }
    self.init(offset: offset, size: size, flags: flags, bytes: Array(reader.rest))
  }

  func encode(into buffer: inout [UInt8]) {
    buffer.append(word: offset)
    buffer.append(word: size)
    buffer.append(word: flags)
    buffer.append(contentsOf: bytes)
  }
}

/// A device's shared memory regions (the answer to GET_SHMEM_CONFIG): how many there are, then a size for each id.
public struct SharedMemoryConfiguration: Equatable, Sendable {
  /// Bytes on the wire.
  public static let byteCount = 8 + 8 * VhostUserLimits.sharedMemoryRegions

  /// Those that have a size, by id.
  public var regions: [SharedMemoryRegion]

  /// A configuration of these regions.
  public init(_ regions: [SharedMemoryRegion]) {
    self.regions = regions
  }

  init?(_ reader: inout ByteReader) {
    guard reader.next(UInt32.self) != nil, reader.next(UInt32.self) != nil else { return nil }
    regions = []
    for id in 0...UInt8.max {
      guard let size: UInt64 = reader.next() else { return nil }
      if size > 0 { regions.append(SharedMemoryRegion(id: id, byteCount: size)) }
    }
  }

  func encode(into bytes: inout [UInt8]) {
    bytes.append(word: UInt32(clamping: regions.count))
    bytes.append(word: UInt32(0))
    for id in 0...UInt8.max {
      bytes.append(word: regions.first { $0.id == id }?.byteCount ?? 0)
    }
  }
}

/// `VhostUserMMap`: what SHMEM_MAP and SHMEM_UNMAP change.
public struct SharedMemoryChange: Equatable, Sendable {
  /// Bytes on the wire.
  static let byteCount = 40
  /// `VHOST_USER_FLAG_MAP_RW`.
  static let writable: UInt64 = 1

  /// Which bytes.
  public var piece: SharedMemoryPiece
  /// Bit 0: the guest may write.
  public var flags: UInt64

  init(_ piece: SharedMemoryPiece, flags: UInt64) {
    self.piece = piece
    self.flags = flags
  }

  init?(_ reader: inout ByteReader) {
    guard let word: UInt64 = reader.next(), let fileOffset: UInt64 = reader.next(), let offset: UInt64 = reader.next(),
      let count: UInt64 = reader.next(), let flags: UInt64 = reader.next()
    else { return nil }
    let id = UInt8(truncatingIfNeeded: UInt64(littleEndian: word))
    self.init(
      SharedMemoryPiece(region: id, offset: offset, byteCount: count, fileOffset: fileOffset), flags: flags)
  }

  func encode(into bytes: inout [UInt8]) {
    bytes.append(word: UInt64(piece.region).littleEndian)
    for word in [piece.fileOffset, piece.offset, piece.byteCount, flags] { bytes.append(word: word) }
  }
}
