import Platform

/// A piece of guest memory that this process has mapped.
public struct MemoryRegion {
  /// Where the guest sees the first byte.
  public let guestAddress: GuestAddress
  /// The length in bytes.
  public let count: UInt64
  /// Where the front-end's process sees the first byte: vhost-user gives ring addresses in this space.
  public let userAddress: UInt64
  /// The mapping that holds the bytes; it lives for as long as the region does.
  public let mapping: MemoryMapping
  /// Where in the mapping the region begins.
  public let mappingOffset: UInt64
  /// The file that holds the bytes; nil where it is not known.
  public let file: MemoryRegionFile?
  /// Where in the file the region begins.
  public let fileOffset: UInt64

  /// Describes a region; ``GuestMemory`` checks it when it is added.
  public init(
    guestAddress: GuestAddress, count: UInt64, userAddress: UInt64, mapping: MemoryMapping, mappingOffset: UInt64 = 0,
    file: MemoryRegionFile? = nil, fileOffset: UInt64 = 0
  ) {
    self.guestAddress = guestAddress
    self.count = count
    self.userAddress = userAddress
    self.mapping = mapping
    self.mappingOffset = mappingOffset
    self.file = file
    self.fileOffset = fileOffset
  }

  /// The first byte in this process.
  public var base: UnsafeMutableRawPointer { mapping.base + Int(mappingOffset) }

  /// The first address behind the region.
  var end: UInt64 { guestAddress.rawValue + count }

  /// Throws unless every address of the region can be computed without overflow and lies in the mapping.
  func validate() throws(GuestMemoryError) {
    guard count > 0, count <= UInt64(Int.max) else { throw .invalidSize(at: guestAddress, count: count) }
    guard guestAddress.advanced(by: count) != nil, !userAddress.addingReportingOverflow(count).overflow else {
      throw .addressOverflow(at: guestAddress, count: count)
    }
    let (last, overflow) = mappingOffset.addingReportingOverflow(count)
    guard !overflow, last <= UInt64(mapping.count) else { throw .outsideMapping(at: guestAddress, count: count) }
  }
}

/// Why guest memory could not be changed or reached.
public enum GuestMemoryError: Error, Equatable, Sendable {
  /// A region without bytes, or with more than a process can hold.
  case invalidSize(at: GuestAddress, count: UInt64)
  /// A region whose end passes 2^64 in the guest's or the front-end's space.
  case addressOverflow(at: GuestAddress, count: UInt64)
  /// A region that claims more bytes than its mapping has.
  case outsideMapping(at: GuestAddress, count: UInt64)
  /// A region that covers addresses of another one.
  case overlap(at: GuestAddress, count: UInt64)
  /// More regions than ``GuestMemory/maximumRegions``.
  case tooManyRegions(Int)
  /// No such region to remove.
  case unknownRegion(at: GuestAddress, count: UInt64)
  /// A range that is not, or not wholly, guest memory.
  case notMapped(at: GuestAddress, count: UInt64)
}
