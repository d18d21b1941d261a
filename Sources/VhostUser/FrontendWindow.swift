import Platform
import Virtqueue

/// A device's shared memory regions as a VMM shows them to its guest, with what is mapped there. Stricter than some
/// VMMs: what the specification forbids is refused, and remembered.
public final class FrontendWindow {
  private struct Mapped {
    let piece: SharedMemoryPiece
    let memory: MemoryMapping
    let file: SharedDescriptor
  }

  /// The regions by GET_SHMEM_CONFIG.
  public internal(set) var regions: [SharedMemoryRegion] = []
  /// Requests that the specification forbids.
  public private(set) var violations: [String] = []
  private var mapped: [Mapped] = []

  init() {}

  /// What is mapped now.
  public var pieces: [SharedMemoryPiece] { mapped.map(\.piece) }

  /// What is mapped as a VMM tells of it that shows it to its guest from an address on: regions of the guest's memory,
  /// each with its file.
  public func guestRegions(from address: UInt64) -> [(region: RegionDescription, file: SharedDescriptor)] {
    mapped.map { entry in
      let place = UInt64(UInt(bitPattern: entry.memory.base))
      let region = RegionDescription(
        guestAddress: address + entry.piece.offset, size: entry.piece.byteCount, userAddress: place,
        mmapOffset: entry.piece.fileOffset)
      return (region, entry.file)
    }
  }

  /// The bytes that the guest sees; nil where they are not, or not in one mapping.
  public func bytes(at offset: UInt64, count: Int, region: UInt8) -> UnsafeMutableRawBufferPointer? {
    for entry in mapped where entry.piece.region == region && offset >= entry.piece.offset {
      let start = offset - entry.piece.offset
      guard start < entry.piece.byteCount, UInt64(count) <= entry.piece.byteCount - start else { continue }
      return UnsafeMutableRawBufferPointer(start: entry.memory.base + Int(start), count: count)
    }
    return nil
  }

  /// Forgets all mappings, as a reset of the device does.
  public func reset() {
    mapped.removeAll()
  }

  func map(_ change: SharedMemoryChange, _ descriptor: consuming FileDescriptor) -> Bool {
    let piece = change.piece
    let file = SharedDescriptor(descriptor)
    guard let fault = fault(of: piece) else {
      guard change.flags & ~SharedMemoryChange.writable == 0, let count = Int(exactly: piece.byteCount),
        let memory = try? MemoryMapping(
          descriptor: file.raw, offset: piece.fileOffset, count: count,
          access: change.flags == SharedMemoryChange.writable ? .readWrite : .readOnly)
      else { return refuse("not a file to map: \(piece)") }
      mapped.append(Mapped(piece: piece, memory: memory, file: file))
      return true
    }
    return refuse(fault)
  }

  func unmap(_ piece: SharedMemoryPiece) -> Bool {
    let place = mapped.firstIndex {
      $0.piece.region == piece.region && $0.piece.offset == piece.offset && $0.piece.byteCount == piece.byteCount
    }
    guard let place else { return refuse("never mapped: \(piece)") }
    mapped.remove(at: place)
    return true
  }

  private func fault(of piece: SharedMemoryPiece) -> String? {
    guard let region = regions.first(where: { $0.id == piece.region }) else { return "no region: \(piece)" }
    let page = UInt64(SharedMemory.pageSize)
    let numbers = [piece.offset, piece.byteCount, piece.fileOffset]
    guard numbers.allSatisfy({ $0 % page == 0 }), piece.byteCount > 0 else { return "misaligned: \(piece)" }
    let (end, overflow) = piece.offset.addingReportingOverflow(piece.byteCount)
    guard !overflow, end <= region.byteCount else { return "outside: \(piece)" }
    let overlaps = mapped.contains {
      $0.piece.region == piece.region && $0.piece.offset < end && piece.offset < $0.piece.offset + $0.piece.byteCount
    }
    return overlaps ? "overlap: \(piece)" : nil
  }

  private func refuse(_ reason: String) -> Bool {
    violations.append(reason)
    return false
  }
}
