import Buffers

/// What a card is when it is plugged in.
public struct GPUConfiguration: Sendable {
  /// One scanout each, the first 16; at least one.
  public var scanouts: [Size]
  /// The VM's name: the serial numbers of its displays are derived from it.
  public var name: String
  /// The most that the guest can make this host hold.
  public var limits: LedgerAmounts
  /// The most resources at a time.
  public var maximumResources: Int
  /// Whose memory the guest's pictures are in. A Linux guest decides by the features that it is offered.
  ///
  /// The guest's: blobs of its own pages, which it pays. The host's: blobs in the host-visible region, and 2D resources,
  /// which the VM's memory limit pays; without a region it is not offered blobs at all, and all its pictures are 2D
  /// resources.
  public var allocation = AllocationSide.guest
  /// Where host pictures are allocated: in the first of these whose memory all can use who are shown them.
  public var sources: [HostSource] = [.memoryFile]
  /// Length of the host-visible region; 0: there is none. Rounded up to whole `blobAlignment`s.
  public var hostVisible: UInt64 = 256 << 20
  /// What sizes and places of blobs are multiples of.
  public var blobAlignment = BlobAlignment.pages4K
  /// The most blobs in the host-visible region at a time.
  public var maximumMappings = 1024

  /// A card of that many scanouts.
  public init(
    scanouts: [Size] = [Size(width: 1280, height: 800)], name: String = "muntin", limits: LedgerAmounts = .usualLimits,
    maximumResources: Int = 65_536
  ) {
    self.scanouts = scanouts
    self.name = name
    self.limits = limits
    self.maximumResources = maximumResources
  }
}

/// What a device has done since it was made.
public struct GPUStatistics: Equatable, Sendable {
  /// Requests answered, refused ones included.
  public var commands: UInt64 = 0
  /// Requests refused.
  public var errors: UInt64 = 0
  /// Bytes copied by transfers.
  public var bytesTransferred: UInt64 = 0
  /// Flushes that showed something.
  public var flushes: UInt64 = 0
  /// Pixels that were read back from the renderer at flushes.
  public var pixelsRead: UInt64 = 0
  /// Pixels that a sink copied at flushes, because nobody can be shown the guest's own.
  public var pixelsCopied: UInt64 = 0

  /// Nothing yet.
  public init() {}
}
