/// Where the three parts of a ring are in this process.
public struct RingParts {
  /// The descriptor table (split) or descriptor ring (packed).
  public var descriptors: UnsafeMutableRawPointer
  /// The driver area.
  public var driver: UnsafeMutableRawPointer
  /// The device area.
  public var device: UnsafeMutableRawPointer

  /// Names the three parts.
  public init(
    descriptors: UnsafeMutableRawPointer, driver: UnsafeMutableRawPointer, device: UnsafeMutableRawPointer
  ) {
    self.descriptors = descriptors
    self.driver = driver
    self.device = device
  }
}

/// How many bytes the three parts of a ring have, and how each is aligned (virtio 1.3, 2.7 and 2.8).
public struct RingExtents {
  /// The extent of one part.
  public struct Part {
    /// Its bytes.
    public var count: UInt64
    /// What its address is a multiple of: a power of two.
    public var alignment: UInt
  }

  /// The descriptor table (split) or descriptor ring (packed).
  public let descriptors: Part
  /// The driver area.
  public let driver: Part
  /// The device area.
  public let device: Part

  /// What a ring of that many descriptors needs.
  public init(size: UInt32, format: VirtqueueConfiguration.Format, eventIndex: Bool) {
    let size = UInt64(size)
    descriptors = Part(count: 16 * size, alignment: 16)
    switch format {
    case .split:
      let event: UInt64 = eventIndex ? 2 : 0
      driver = Part(count: 4 + 2 * size + event, alignment: 2)
      device = Part(count: 4 + 8 * size + event, alignment: 4)
    case .packed:
      driver = Part(count: 4, alignment: 4)
      device = Part(count: 4, alignment: 4)
    }
  }
}
