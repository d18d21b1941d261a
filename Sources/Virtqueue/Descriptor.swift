/// One descriptor, copied out of guest memory: each byte was read once.
struct Descriptor {
  /// VIRTQ_DESC_F_NEXT.
  static let next: UInt16 = 1
  /// VIRTQ_DESC_F_WRITE.
  static let write: UInt16 = 2
  /// VIRTQ_DESC_F_INDIRECT.
  static let indirect: UInt16 = 4
  /// The size in memory.
  static let stride = 16

  var address: UInt64
  var count: UInt32
  var flags: UInt16
  /// The next descriptor's index in a split table, the buffer id in a packed ring.
  var link: UInt16

  /// Reads a descriptor of a split table (virtio 1.3, 2.7.5).
  @inline(__always)
  init(split pointer: UnsafeMutableRawPointer) {
    let low = pointer.word64(0)
    let high = pointer.word64(8)
    address = low
    count = UInt32(truncatingIfNeeded: high)
    flags = UInt16(truncatingIfNeeded: high >> 32)
    link = UInt16(truncatingIfNeeded: high >> 48)
  }

  /// Reads a descriptor of a packed ring (virtio 1.3, 2.8.13).
  @inline(__always)
  init(packed pointer: UnsafeMutableRawPointer) {
    let low = pointer.word64(0)
    let high = pointer.word64(8)
    address = low
    count = UInt32(truncatingIfNeeded: high)
    link = UInt16(truncatingIfNeeded: high >> 32)
    flags = UInt16(truncatingIfNeeded: high >> 48)
  }

  @inline(__always) var hasNext: Bool { flags & Self.next != 0 }
  @inline(__always) var isWritable: Bool { flags & Self.write != 0 }
  @inline(__always) var isIndirect: Bool { flags & Self.indirect != 0 }
}

/// What is wrong with a chain in a ring that is sound otherwise.
public enum ChainDefect: Error, Equatable, Sendable {
  /// A buffer that is not, or not wholly, guest memory.
  case notMapped(GuestAddress, count: UInt32)
  /// A readable buffer after a writable one (virtio 1.3, 2.7.4.2).
  case readableAfterWritable
  /// A link to a descriptor that the table does not have.
  case nextOutOfRange(UInt16)
  /// More descriptors than the table has: the links go round in circles.
  case loop
  /// More descriptors than this device accepts.
  case tooLong(Int)
  /// More than 2^32 bytes (virtio 1.3, 2.7.5).
  case tooLarge
  /// An indirect table though the feature was not negotiated.
  case indirectNotNegotiated
  /// An indirect table within an indirect table, or one that is not the end of its chain.
  case misplacedIndirect
  /// An indirect table whose size is 0, not a multiple of 16, or more than this device accepts.
  case indirectTableSize(UInt32)
  /// An indirect table that is not, or not wholly, guest memory.
  case indirectTableNotMapped(GuestAddress, count: UInt32)
  /// The memory of a chain in flight was taken away.
  case memoryRemoved
}
