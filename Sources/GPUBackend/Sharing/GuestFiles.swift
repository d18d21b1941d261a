import Buffers
import HubProtocol
import Platform
import Virtqueue

/// The VM's memory files, each given to the hub while a picture is in it.
final class GuestFiles {
  /// One of them, taken back when it goes.
  final class File {
    let id: MemoryFileID
    private weak var client: ProducerClient?
    private let charge: ChargeKeeper

    init(_ id: MemoryFileID, client: ProducerClient, charge: ChargeKeeper) {
      self.id = id
      self.client = client
      self.charge = charge
    }

    deinit { client?.unregisterMemory(id) }
  }

  private struct Known {
    weak var file: File?
  }

  private let client: ProducerClient
  private let ledger: Ledger
  private var known: [MemoryRegionFile.Identity: Known] = [:]

  /// The descriptor of each file is charged to `ledger`.
  init(client: ProducerClient, ledger: Ledger) {
    self.client = client
    self.ledger = ledger
  }

  /// The table of these pages, and the files in it.
  func table(of pieces: [MemoryFilePiece]) throws(HandOverRefusal) -> (RangeTable, [File]) {
    var files: [MemoryRegionFile.Identity: File] = [:]
    var ranges: [MemoryRange] = []
    ranges.reserveCapacity(pieces.count)
    for piece in pieces {
      let file: File
      if let known = files[piece.file.identity] { file = known } else { file = try self.file(piece.file) }
      files[piece.file.identity] = file
      ranges.append(MemoryRange(memory: file.id, offset: piece.offset, length: piece.count))
    }
    do throws(RangeTableError) {
      return (try RangeTable(joining: ranges), Array(files.values))
    } catch {
      throw HandOverRefusal(error)
    }
  }

  private func file(_ region: MemoryRegionFile) throws(HandOverRefusal) -> File {
    if let file = known[region.identity]?.file { return file }
    known = known.filter { $0.value.file != nil }
    guard SharedMemory.hasUsualPages(region.descriptor.raw) else { throw HandOverRefusal(.hugePages) }
    guard known.count < MemoryFileID.maximumCount else { throw HandOverRefusal(.tooManyRanges) }
    let charge = try ledger.keeper(of: Ledger.Demand(0, as: .bookkeeping, descriptors: 1))
    do throws(SystemError) {
      let raw = region.descriptor.raw
      let descriptor = SharedDescriptor(try SharedMemory.reopenReadOnly(raw))
      let size = try SharedMemory.size(of: raw)
      let file = File(client.registerMemory(descriptor, byteCount: size), client: client, charge: charge)
      known[region.identity] = Known(file: file)
      return file
    } catch {
      throw HandOverRefusal(.noMemoryFile)
    }
  }
}

/// What kept a picture from going a way.
struct HandOverRefusal: Error {
  let reason: HandOverReason
  /// What a consumer cannot use, where nothing can be made that it could.
  var misfit: Constraints.Unfit?

  init(_ reason: HandOverReason, misfit: Constraints.Unfit? = nil) {
    self.reason = reason
    self.misfit = misfit
  }

  init(_ error: RangeTableError) {
    reason =
      switch error {
      case .tooMany: .tooManyRanges
      case .overlap: .overlapping
      case .unaligned: .unaligned
      default: .systemLimit
      }
  }
}
