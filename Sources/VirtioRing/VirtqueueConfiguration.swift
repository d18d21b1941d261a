/// Feature bits that concern every virtqueue (virtio 1.3, 6).
public enum RingFeature {
  /// VIRTIO_F_INDIRECT_DESC.
  public static let indirectDescriptors: UInt64 = 1 << 28
  /// VIRTIO_F_EVENT_IDX.
  public static let eventIndex: UInt64 = 1 << 29
  /// VIRTIO_F_VERSION_1.
  public static let version1: UInt64 = 1 << 32
  /// VIRTIO_F_RING_PACKED.
  public static let packed: UInt64 = 1 << 34
  /// All that this module can do.
  public static let all = indirectDescriptors | eventIndex | version1 | packed
}

/// Where the three parts of a ring lie.
public struct VirtqueueAddresses: Equatable, Sendable {
  /// Whose addresses they are.
  public enum Space: Sendable {
    /// The front-end's process, as in vhost-user's SET_VRING_ADDR.
    case user
    /// The guest's physical memory.
    case guest
  }

  /// The descriptor table (split) or descriptor ring (packed).
  public var descriptors: UInt64
  /// The driver area: available ring (split) or driver event suppression (packed).
  public var driver: UInt64
  /// The device area: used ring (split) or device event suppression (packed).
  public var device: UInt64
  /// Whose addresses they are.
  public var space: Space

  /// Names the three parts.
  public init(descriptors: UInt64, driver: UInt64, device: UInt64, space: Space = .user) {
    self.descriptors = descriptors
    self.driver = driver
    self.device = device
    self.space = space
  }
}

/// What a driver settled about one queue before it starts.
public struct VirtqueueConfiguration: Equatable, Sendable {
  /// The layout of the ring (virtio 1.3, 2.7 and 2.8).
  public enum Format: Sendable, CaseIterable {
    case split
    case packed
  }

  /// The number of descriptors: 1...32768, a power of two for a split ring.
  public var size: UInt32
  /// The layout.
  public var format: Format
  /// Whether VIRTIO_F_EVENT_IDX was negotiated.
  public var eventIndex: Bool
  /// Whether VIRTIO_F_INDIRECT_DESC was negotiated.
  public var indirectDescriptors: Bool
  /// Where the ring lies.
  public var addresses: VirtqueueAddresses
  /// Where to go on, as ``Virtqueue/base`` answers it.
  public var base: UInt32

  /// Describes a queue part by part.
  public init(
    size: UInt32, format: Format, eventIndex: Bool, indirectDescriptors: Bool, addresses: VirtqueueAddresses,
    base: UInt32? = nil
  ) {
    self.size = size
    self.format = format
    self.eventIndex = eventIndex
    self.indirectDescriptors = indirectDescriptors
    self.addresses = addresses
    self.base = base ?? Self.initialBase(format)
  }

  /// Describes a queue by the feature bits that were negotiated.
  public init(size: UInt32, features: UInt64, addresses: VirtqueueAddresses, base: UInt32? = nil) {
    self.init(
      size: size, format: features & RingFeature.packed != 0 ? .packed : .split,
      eventIndex: features & RingFeature.eventIndex != 0,
      indirectDescriptors: features & RingFeature.indirectDescriptors != 0, addresses: addresses, base: base)
  }

  /// The base of a queue that was never used: a packed ring starts with both wrap counters at 1.
  public static func initialBase(_ format: Format) -> UInt32 {
    format == .split ? 0 : 0x8000_8000
  }

  /// Throws unless size and base are legal.
  package func validate() throws(VirtqueueError) {
    guard (1...32768).contains(size) else { throw .invalidSize(size) }
    switch format {
    case .split: guard size & (size - 1) == 0 else { throw .invalidSize(size) }
    case .packed: guard base & 0x7fff < size, base >> 16 & 0x7fff < size else { throw .invalidBase(base) }
    }
  }
}

/// Why a queue cannot be started, or goes no further.
public enum VirtqueueError: Error, Equatable, Sendable {
  /// A size outside 1...32768, or not a power of two for a split ring.
  case invalidSize(UInt32)
  /// A position outside the ring.
  case invalidBase(UInt32)
  /// A part of the ring that is not, or not wholly, in one region of guest memory.
  case ringNotMapped(address: UInt64)
  /// A part of the ring at an address that the specification forbids.
  case misalignedRing(address: UInt64)
  /// The available index ran ahead of ours by more than the ring holds.
  case availableIndexJumped(from: UInt16, to: UInt16)
  /// The available ring names a descriptor that the table does not have.
  case headOutOfRange(UInt16)
  /// A chain in a packed ring that does not end within the free part of the ring.
  case chainLongerThanRing
  /// The driver offered a chain while every descriptor was in flight.
  case tooManyInFlight
}
