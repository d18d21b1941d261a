/// The name a guest gave to a resource (virtio 1.3, 5.7.6.7). 0 names none.
public struct ResourceID: RawRepresentable, Hashable, Sendable {
  /// The number on the wire.
  public let rawValue: UInt32

  /// An id by its number.
  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The id that means "no resource".
  public static let none = ResourceID(rawValue: 0)
}

/// A head of the card, 0 to 15 (virtio 1.3, 5.7.4).
public struct ScanoutID: RawRepresentable, Hashable, Sendable, Comparable {
  /// The number on the wire.
  public let rawValue: UInt32

  /// An id by its number.
  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// VIRTIO_GPU_MAX_SCANOUTS: what a display-info answer has room for.
  public static let maximumCount = 16

  /// Ordered by number.
  @inlinable
  public static func < (left: ScanoutID, right: ScanoutID) -> Bool { left.rawValue < right.rawValue }
}

/// A number that a guest waits for (virtio 1.3, 5.7.6.7, VIRTIO_GPU_FLAG_FENCE). Any value is legal.
public struct FenceID: RawRepresentable, Hashable, Sendable {
  /// The number on the wire.
  public let rawValue: UInt64

  /// An id by its number.
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// A 3D rendering context (virtio 1.3, 5.7.6.7). 0 names none.
public struct ContextID: RawRepresentable, Hashable, Sendable {
  /// The number on the wire.
  public let rawValue: UInt32

  /// An id by its number.
  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The id that means "no context".
  public static let none = ContextID(rawValue: 0)
}

/// What RESOURCE_ASSIGN_UUID answers: the sixteen bytes of a UUID in network order, as two big-endian words.
public struct ResourceUUID: Hashable, Sendable {
  /// The first and the second eight bytes.
  public let high: UInt64, low: UInt64

  /// A UUID by its words.
  @inlinable
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }
}
