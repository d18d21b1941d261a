import Buffers
import GPUProtocol
import Platform
import Virtqueue

/// A blob in the host-visible region.
final class BlobMapping {
  let piece: SharedMemoryPiece
  /// Kept, with what is charged for it, until the guest sees it no more.
  let memory: HostMemory
  /// How the guest is told to map it.
  let caching: MapCaching

  init(piece: SharedMemoryPiece, memory: HostMemory, caching: MapCaching) {
    self.piece = piece
    self.memory = memory
    self.caching = caching
  }

  func overlaps(_ other: SharedMemoryPiece) -> Bool {
    piece.offset < other.offset + other.byteCount && other.offset < piece.offset + piece.byteCount
  }
}

/// The host-visible region (virtio 1.3, 5.7.6.10): which blobs the guest sees where, and what the transport has yet to
/// answer.
///
/// A place is free again as soon as its end has been asked for: the transport keeps the order.
struct HostVisibleWindow {
  /// VIRTIO_GPU_SHM_ID_HOST_VISIBLE.
  static let regionID: UInt8 = 1

  let byteCount: UInt64
  let maximumCount: Int
  weak var transport: (any SharedMemoryWindow)?
  private var mappings: [BlobMapping] = []
  /// What the transport has taken and not answered.
  private var pending: [SharedMemoryTicket: Change] = [:]
  private var lastTicket: UInt64 = 0

  /// What the transport was asked for.
  enum Change {
    case map(BlobMapping)
    case unmap(BlobMapping)
  }

  init(byteCount: UInt64, maximumCount: Int) {
    self.byteCount = byteCount
    self.maximumCount = maximumCount
  }

  /// How many blobs the guest sees or is about to see.
  var count: Int { mappings.count }
  /// How many changes the transport owes an answer to.
  var pendingCount: Int { pending.count }

  /// Asks for a blob at `offset`, which fits and overlaps nothing.
  mutating func map(
    _ memory: HostMemory, _ caching: MapCaching, at offset: UInt64
  ) throws(GPUError) -> (BlobMapping, SharedMemoryTicket) {
    let length = UInt64(memory.byteCount)
    let (end, overflow) = offset.addingReportingOverflow(length)
    guard !overflow, end <= byteCount else { throw .outsideWindow(offset: offset, byteCount: length) }
    let piece = SharedMemoryPiece(
      region: Self.regionID, offset: offset, byteCount: length, fileOffset: memory.start)
    guard !mappings.contains(where: { $0.overlaps(piece) }) else { throw .windowOverlap(offset: offset) }
    guard mappings.count < maximumCount else { throw .tooManyMappings(limit: maximumCount) }
    let mapping = BlobMapping(piece: piece, memory: memory, caching: caching)
    let ticket = nextTicket()
    guard let transport else { throw .windowUnavailable }
    let descriptor = try Self.descriptor(of: memory)
    guard transport.map(piece, of: descriptor, isWritable: memory.isWritable, ticket) else { throw .windowUnavailable }
    mappings.append(mapping)
    pending[ticket] = .map(mapping)
    return (mapping, ticket)
  }

  private static func descriptor(of memory: HostMemory) throws(GPUError) -> SharedDescriptor {
    do throws(SystemError) {
      return try memory.guestDescriptor()
    } catch {
      throw .hostMemory(code: error.code)
    }
  }

  /// Asks for the end of a mapping; nil when nobody has to be waited for.
  mutating func unmap(_ mapping: BlobMapping) -> SharedMemoryTicket? {
    mappings.removeAll { $0 === mapping }
    let ticket = nextTicket()
    guard transport?.unmap(mapping.piece, ticket) == true else { return nil }
    pending[ticket] = .unmap(mapping)
    return ticket
  }

  /// The transport has answered.
  ///
  /// - Returns: what it was about; nil for a ticket that is not known.
  mutating func answered(_ ticket: SharedMemoryTicket) -> Change? {
    pending.removeValue(forKey: ticket)
  }

  /// A mapping that the transport has refused was never there.
  mutating func forget(_ mapping: BlobMapping) {
    mappings.removeAll { $0 === mapping }
  }

  /// Whether a file is shown there: to the guest its pages look like its own.
  func shows(_ file: MemoryRegionFile) -> Bool {
    mappings.contains { $0.memory.isSameFile(as: file.descriptor.raw) }
  }

  func contains(_ mapping: BlobMapping) -> Bool { mappings.contains { $0 === mapping } }

  /// The transport has gone, and all that it mapped.
  mutating func forgetAll() {
    mappings.removeAll()
    pending.removeAll()
  }

  /// A number for what is waited for.
  mutating func nextTicket() -> SharedMemoryTicket {
    lastTicket += 1
    return SharedMemoryTicket(number: lastTicket)
  }
}
