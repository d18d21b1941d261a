import Platform

/// A guest's memory of our own making, for the driver's side: tests, benchmarks, fuzzers.
///
/// Every region is a sealed memory file of its own, so that it can be handed to a back-end in another process.
public final class GuestArena {
  /// A region and the file behind it, as SET_MEM_TABLE and ADD_MEM_REG want them; the file's offset is 0.
  public struct Region {
    /// Where the guest sees it.
    public let guestAddress: GuestAddress
    /// Its length in bytes.
    public let count: Int
    /// Where this process sees it.
    public let userAddress: UInt64
    /// The memory file.
    public let file: SharedDescriptor
    /// The bytes not handed out yet begin here.
    fileprivate(set) var used = 0
  }

  /// All regions as the driver sees them. A device has its own view: ``mapAgain()``.
  public let memory = GuestMemory()
  /// The regions in the order in which they were made.
  public private(set) var regions: [Region] = []

  /// Makes zeroed memory: one region at each of the addresses.
  public init(_ regions: [(guestAddress: GuestAddress, count: Int)]) throws(VirtqueueDriverError) {
    for region in regions { try addRegion(at: region.guestAddress, count: region.count) }
  }

  /// Makes one region, not at address 0.
  public convenience init(count: Int) throws(VirtqueueDriverError) {
    try self.init([(GuestAddress(0x10000), count)])
  }

  /// Adds a zeroed region and returns its index.
  @discardableResult
  public func addRegion(at address: GuestAddress, count: Int) throws(VirtqueueDriverError) -> Int {
    let file: SharedDescriptor
    let mapping: MemoryMapping
    do {
      file = SharedDescriptor(try SharedMemory.create(name: "guest", count: count))
      mapping = try MemoryMapping(descriptor: file.raw, count: count, access: .readWrite)
    } catch {
      throw .system(error)
    }
    let userAddress = UInt64(UInt(bitPattern: mapping.base))
    let named = MemoryRegionFile(
      identity: MemoryRegionFile.Identity(device: 0, number: UInt64(UInt32(bitPattern: file.raw))), descriptor: file)
    do {
      try memory.add(
        MemoryRegion(
          guestAddress: address, count: UInt64(count), userAddress: userAddress, mapping: mapping, file: named))
    } catch {
      throw .memory(error)
    }
    regions.append(Region(guestAddress: address, count: count, userAddress: userAddress, file: file))
    return regions.count - 1
  }

  /// The same memory mapped once more, as a back-end in another process has it.
  public func mapAgain() throws(VirtqueueDriverError) -> GuestMemory {
    var copies: [MemoryRegion] = []
    let memory = GuestMemory()
    do {
      for region in regions {
        let mapping = try MemoryMapping(descriptor: region.file.raw, count: region.count, access: .readWrite)
        copies.append(
          MemoryRegion(
            guestAddress: region.guestAddress, count: UInt64(region.count), userAddress: region.userAddress,
            mapping: mapping))
      }
    } catch {
      throw .system(error)
    }
    do {
      try memory.replace(with: copies)
    } catch {
      throw .memory(error)
    }
    return memory
  }

  /// Takes `count` bytes out of a region, for good.
  public func allocate(
    _ count: Int, alignment: Int = 16, region index: Int = 0
  ) throws(VirtqueueDriverError) -> GuestAddress {
    let region = regions[index]
    let start = (region.used + alignment - 1) / alignment * alignment
    guard count <= region.count - start else { throw .outOfMemory(count) }
    regions[index].used = start + count
    return GuestAddress(region.guestAddress.rawValue + UInt64(start))
  }

  func allocate(_ part: RingExtents.Part, region: Int) throws(VirtqueueDriverError) -> GuestAddress {
    try allocate(Int(part.count), alignment: Int(part.alignment), region: region)
  }

  /// Gives all of a region's bytes back and zeroes them.
  public func recycle(region index: Int = 0) {
    regions[index].used = 0
    bytes(at: regions[index].guestAddress, count: regions[index].count).initializeMemory(as: UInt8.self, repeating: 0)
  }

  /// The bytes themselves; empty where they are not in one region.
  public func bytes(at address: GuestAddress, count: Int) -> UnsafeMutableRawBufferPointer {
    memory.slice(at: address, count: UInt64(count)) ?? UnsafeMutableRawBufferPointer(start: nil, count: 0)
  }

  /// Copies bytes in, over region borders too.
  public func write(_ bytes: [UInt8], at address: GuestAddress) throws(VirtqueueDriverError) {
    var place = 0
    do {
      try memory.forEachSlice(at: address, count: UInt64(bytes.count)) { piece in
        piece.copyBytes(from: bytes[place..<place + piece.count])
        place += piece.count
      }
    } catch {
      throw .memory(error)
    }
  }

  /// Copies bytes out, over region borders too.
  public func read(at address: GuestAddress, count: Int) throws(VirtqueueDriverError) -> [UInt8] {
    var copy: [UInt8] = []
    do {
      try memory.forEachSlice(at: address, count: UInt64(count)) { copy.append(contentsOf: $0) }
    } catch {
      throw .memory(error)
    }
    return copy
  }

  /// Where this process sees a guest address; 0 for a hole.
  public func userAddress(of address: GuestAddress) -> UInt64 {
    UInt64(UInt(bitPattern: memory.slice(at: address, count: 1)?.baseAddress))
  }
}

/// Why the driver's side could not do something.
public enum VirtqueueDriverError: Error, Equatable, Sendable {
  /// The system refused.
  case system(SystemError)
  /// The regions do not fit together, or the range is not memory.
  case memory(GuestMemoryError)
  /// The arena has not so many bytes left.
  case outOfMemory(Int)
}
