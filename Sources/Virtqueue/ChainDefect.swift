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
