import Glibc
import Platform
import Virtqueue

/// The guest's memory as a front-end hands it over, region by region.
///
/// A front-end sends the whole table again whenever one region changes, so a region that stays the same keeps its
/// mapping, and with it the page tables that were filled.
final class RegionTable {
  private struct Entry {
    let description: RegionDescription
    let file: MemoryFile.Identity
    let region: MemoryRegion
    let guardian: FaultGuard
  }

  let memory = GuestMemory()
  private var entries: [Entry] = []
  /// Those that were there before the last change: mapped until the device has been told.
  private var former: [Entry] = []
  private let faultBell: Doorbell

  /// Rings `faultBell` when the front-end takes memory away.
  init(faultBell: Doorbell) {
    self.faultBell = faultBell
  }

  /// SET_MEM_TABLE: puts these regions in the place of all others. Nothing changes when it throws.
  func replaceAll(
    _ descriptions: [RegionDescription], _ descriptors: inout ReceivedDescriptors
  ) throws(VhostUserError) {
    var fresh: [Entry] = []
    for description in descriptions {
      guard let file = descriptors.take() else {
        throw .wrongDescriptorCount(.setMemTable, found: descriptors.count)
      }
      fresh.append(try entry(description, file))
    }
    try install(fresh, because: descriptions.last)
  }

  /// ADD_MEM_REG.
  func add(_ description: RegionDescription, _ file: consuming FileDescriptor) throws(VhostUserError) {
    guard entries.count < VhostUserLimits.memorySlots else { throw .tooManyRegions(entries.count + 1) }
    let fresh = try entry(description, file)
    try install(entries + [fresh], because: description)
  }

  /// REM_MEM_REG: the region is found by its addresses and its size.
  func remove(_ description: RegionDescription) throws(VhostUserError) {
    let place = entries.firstIndex {
      $0.description.guestAddress == description.guestAddress && $0.description.size == description.size
        && $0.description.userAddress == description.userAddress
    }
    guard let place else { throw .noSuchRegion(description) }
    var rest = entries
    rest.remove(at: place)
    try install(rest, because: description)
  }

  /// Gives all memory back.
  func removeAll() {
    try? install([], because: nil)
  }

  private func install(_ fresh: [Entry], because culprit: RegionDescription?) throws(VhostUserError) {
    do {
      try memory.replace(with: fresh.map(\.region))
    } catch {
      switch error {
      case .overlap(let address, let count):
        throw .badRegion(
          RegionDescription(guestAddress: address.rawValue, size: count, userAddress: 0, mmapOffset: 0))
      case .tooManyRegions(let count): throw .tooManyRegions(count)
      default:
        throw .badRegion(culprit ?? RegionDescription(guestAddress: 0, size: 0, userAddress: 0, mmapOffset: 0))
      }
    }
    former = entries
    entries = fresh
  }

  /// The device has let go of what was there before the last change.
  func forgetFormer() { former = [] }

  private func entry(_ description: RegionDescription, _ file: consuming FileDescriptor) throws(VhostUserError) -> Entry
  {
    let identity = try MemoryFile.Identity(of: file.raw, for: description)
    if let known = entries.first(where: { $0.description == description && $0.file == identity }) { return known }
    let (region, guardian) = try MemoryFile.map(description, SharedDescriptor(file), identity, bell: faultBell)
    return Entry(description: description, file: identity, region: region, guardian: guardian)
  }
}

/// A file that holds guest memory.
enum MemoryFile {
  /// Which file it is, and what limits the mapping of it.
  struct Identity: Equatable {
    let identity: MemoryRegionFile.Identity
    /// Mappings begin and end at multiples of this: a page, or a huge page.
    let granule: UInt64

    /// Looks at the file; throws when the region cannot lie in it.
    init(of raw: Int32, for description: RegionDescription) throws(VhostUserError) {
      var status = stat()
      guard fstat(raw, &status) == 0 else { throw .system(.last("fstat")) }
      // What the device had mapped into its shared memory comes back as a region, and may be a dma-buf.
      guard status.st_mode & S_IFMT == S_IFREG || DMABuf.isDMABuf(raw) else { throw .regionNoFile(description) }
      let size = UInt64(clamping: status.st_size)
      let (end, overflow) = description.mmapOffset.addingReportingOverflow(description.size)
      guard description.size > 0, !overflow else { throw .badRegion(description) }
      guard end <= size else { throw .regionBeyondFile(description, fileSize: size) }
      identity = MemoryRegionFile.Identity(device: UInt64(status.st_dev), number: UInt64(status.st_ino))
      granule = Self.granule(blockSize: UInt64(clamping: status.st_blksize))
    }

    /// The block size of a file in huge pages is the size of a huge page.
    private static func granule(blockSize: UInt64) -> UInt64 {
      let page = UInt64(SharedMemory.pageSize)
      return blockSize > page && blockSize & (blockSize - 1) == 0 ? blockSize : page
    }
  }

  /// Maps one region and guards it.
  static func map(
    _ description: RegionDescription, _ descriptor: SharedDescriptor, _ file: Identity, bell: Doorbell
  ) throws(VhostUserError) -> (MemoryRegion, FaultGuard) {
    let lead = description.mmapOffset & (file.granule - 1)
    // The end is within the file, so none of these sums can wrap.
    let (padded, overflow) = (lead + description.size).addingReportingOverflow(file.granule - 1)
    guard !overflow, let count = Int(exactly: padded & ~(file.granule - 1)) else { throw .badRegion(description) }
    do {
      let mapping = try MemoryMapping(
        descriptor: descriptor.raw, offset: description.mmapOffset - lead, count: count, access: .readWrite)
      let region = MemoryRegion(
        guestAddress: GuestAddress(description.guestAddress), count: description.size,
        userAddress: description.userAddress, mapping: mapping, mappingOffset: lead,
        file: MemoryRegionFile(identity: file.identity, descriptor: descriptor), fileOffset: description.mmapOffset)
      return (region, try FaultGuard(mapping, bell: bell))
    } catch {
      throw .system(error)
    }
  }
}
