/// One guest's memory: regions by guest address, without overlap.
///
/// Pointers that come from here hold until ``generation`` changes; who keeps them looks at it before each use. The
/// bytes belong to the guest, which may change them at any time.
public final class GuestMemory {
  /// The most regions a guest may have (QEMU's own limit of memory slots is below it).
  public static let maximumRegions = 512

  /// Grows with each change of the regions; a pointer resolved under an older one must be resolved again.
  @exclusivity(unchecked) public private(set) var generation: UInt64 = 1
  /// The regions in the order of their guest addresses.
  public private(set) var regions: [MemoryRegion] = []

  /// The same regions, flat, for the look-ups of the hot path.
  @exclusivity(unchecked) private var spans: UnsafeMutableBufferPointer<Span>
  /// The span that answered last: neighbours in a request mostly lie in one region.
  @exclusivity(unchecked) private var recent = Span(
    start: 0, count: 0, base: UnsafeMutableRawPointer(bitPattern: 1).unsafelyUnwrapped)

  struct Span {
    var start: UInt64
    var count: UInt64
    var base: UnsafeMutableRawPointer
  }

  /// Memory without any region.
  public init() {
    spans = .allocate(capacity: 0)
  }

  deinit {
    spans.deallocate()
  }

  // MARK: Changes

  /// Puts `regions` in the place of all there were; nothing changes when it throws.
  public func replace(with regions: [MemoryRegion]) throws(GuestMemoryError) {
    guard regions.count <= Self.maximumRegions else { throw .tooManyRegions(regions.count) }
    for region in regions { try region.validate() }
    let sorted = regions.sorted { $0.guestAddress < $1.guestAddress }
    for (left, right) in zip(sorted, sorted.dropFirst()) where left.end > right.guestAddress.rawValue {
      throw .overlap(at: right.guestAddress, count: right.count)
    }
    install(sorted)
  }

  /// Adds one region; nothing changes when it throws.
  public func add(_ region: MemoryRegion) throws(GuestMemoryError) {
    try replace(with: regions + [region])
  }

  /// Removes the region that begins at `address` and has `count` bytes.
  ///
  /// Its mapping goes with the last reference to it; chains in flight find it gone when they are used next.
  public func remove(at address: GuestAddress, count: UInt64) throws(GuestMemoryError) {
    guard let index = regions.firstIndex(where: { $0.guestAddress == address && $0.count == count }) else {
      throw .unknownRegion(at: address, count: count)
    }
    var rest = regions
    rest.remove(at: index)
    install(rest)
  }

  private func install(_ sorted: [MemoryRegion]) {
    let fresh = UnsafeMutableBufferPointer<Span>.allocate(capacity: sorted.count)
    for (index, region) in sorted.enumerated() {
      fresh.initializeElement(
        at: index, to: Span(start: region.guestAddress.rawValue, count: region.count, base: region.base))
    }
    spans.deallocate()
    spans = fresh
    recent.count = 0
    regions = sorted
    generation += 1
  }

  // MARK: Look-ups

  /// The bytes at `address` when all of them lie in one region; nil for a hole, a range over two regions, no bytes.
  public func slice(at address: GuestAddress, count: UInt64) -> UnsafeMutableRawBufferPointer? {
    guard count > 0, let found = locate(address.rawValue), count <= found.count else { return nil }
    return UnsafeMutableRawBufferPointer(start: found.base, count: Int(count))
  }

  /// Calls `body` for each piece of a range that may pass from one region into the next, in order.
  ///
  /// Throws before the first call when a byte of the range is not guest memory.
  public func forEachSlice(
    at address: GuestAddress, count: UInt64, _ body: (UnsafeMutableRawBufferPointer) -> Void
  ) throws(GuestMemoryError) {
    guard contains(address, count: count) else { throw .notMapped(at: address, count: count) }
    var address = address.rawValue
    var rest = count
    while rest > 0, let found = locate(address) {
      let part = min(rest, found.count)
      body(UnsafeMutableRawBufferPointer(start: found.base, count: Int(part)))
      address &+= part
      rest -= part
    }
  }

  /// Whether each byte of the range is guest memory; true for no bytes.
  public func contains(_ address: GuestAddress, count: UInt64) -> Bool {
    var address = address.rawValue
    var rest = count
    while rest > 0 {
      guard let found = locate(address) else { return false }
      let part = min(rest, found.count)
      address &+= part
      rest -= part
    }
    return true
  }

  /// The region that holds the byte at `address`.
  public func region(containing address: GuestAddress) -> MemoryRegion? {
    var low = 0
    var high = regions.count
    while low < high {
      let middle = (low + high) / 2
      if regions[middle].guestAddress <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0, address.rawValue < regions[low - 1].end else { return nil }
    return regions[low - 1]
  }

  /// The bytes that the front-end sees at `address`, when all of them lie in one region.
  public func pointer(forUserAddress address: UInt64, count: UInt64) -> UnsafeMutableRawPointer? {
    for region in regions where address >= region.userAddress {
      let offset = address - region.userAddress
      if offset < region.count, count <= region.count - offset { return region.base + Int(offset) }
    }
    return nil
  }

  /// The byte at `address` and how many follow in its region, itself included.
  @inline(__always)
  func locate(_ address: UInt64) -> (base: UnsafeMutableRawPointer, count: UInt64)? {
    let offset = address &- recent.start
    if offset < recent.count { return (recent.base + Int(truncatingIfNeeded: offset), recent.count - offset) }
    return search(address)
  }

  @inline(never)
  private func search(_ address: UInt64) -> (base: UnsafeMutableRawPointer, count: UInt64)? {
    var low = 0
    var high = spans.count
    while low < high {
      let middle = (low + high) / 2
      if spans[middle].start <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0 else { return nil }
    let span = spans[low - 1]
    let offset = address - span.start
    guard offset < span.count else { return nil }
    recent = span
    return (span.base + Int(offset), span.count - offset)
  }
}
