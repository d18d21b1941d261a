import Buffers
import GPUDevice
import HubProtocol
import Platform
import Virtqueue

/// A buffer of a program's that is in its VM's own pages: ranges of the VM's memory files.
///
/// The pages stay the guest's, which may change them and take them away: whoever reads them has a copy of his own.
final class PageExport {
  private let pages: GuestPages
  private let resource: ResourceID
  private let pieces: [MemoryFilePiece]
  /// What others are given of the VM's memory, and the table.
  private let charges: [Keeper]

  private final class Keeper {
    private let charge: Ledger.Charge
    init(_ charge: consuming Ledger.Charge) { self.charge = consume charge }
  }

  fileprivate init(
    _ pages: GuestPages, of resource: ResourceID, _ pieces: [MemoryFilePiece], _ table: RangeTable, _ ledger: Ledger?
  ) throws(GPUError) {
    self.pages = pages
    self.resource = resource
    self.pieces = pieces
    guard let ledger else { throw .contextCommand("the card is gone") }
    do throws(Ledger.OverLimit) {
      charges = [
        Keeper(try ledger.charge(Ledger.Demand(Int(clamping: table.byteCount), as: .guestMemory))),
        Keeper(try ledger.charge(Ledger.Demand(table.fileByteCount, as: .bookkeeping, descriptors: 1))),
      ]
    } catch {
      throw .overLimit(error)
    }
  }

  /// Whether the resource has the pages still, where they were when it was offered.
  func isInPlace(_ access: ContextAccess) -> Bool {
    guard access.pages(of: resource) === pages else { return false }
    let byteCount = pieces.reduce(0) { $0 + $1.count }
    return pages.isWhole && pages.filePieces(covering: byteCount) == pieces
  }
}

/// The VM's memory files as the hub knows them on one channel: each is told once, before the first buffer in it.
final class PageExports {
  /// A file that the hub is to be told of.
  struct File {
    let id: MemoryFileID
    let descriptor: SharedDescriptor
    let byteCount: UInt64
  }

  private var known: [MemoryRegionFile.Identity: MemoryFileID] = [:]
  private var untold: [File] = []

  /// The files that the hub has not been told of.
  func takeUntold() -> [File] {
    defer { untold.removeAll() }
    return untold
  }

  /// Offers pages: what keeps them, and the table that says where they are.
  func add(
    _ pages: GuestPages, of resource: ResourceID, _ layout: PixelLayout, images: Int, _ ledger: Ledger?
  ) throws(GPUError) -> (export: PageExport, table: RangeTable, file: SharedDescriptor) {
    guard layout.byteCount <= pages.byteCount else {
      throw .pictureBeyondBlob(layout.size, stride: layout.stride, offset: UInt32(clamping: layout.offset))
    }
    guard let chain = ImageChain(count: images, byteCount: UInt64(pages.byteCount), layout: layout) else {
      throw .contextCommand("pages that are not \(images) images")
    }
    guard pages.isWhole, let pieces = pages.filePieces(covering: chain.byteCount) else {
      throw .contextCommand("the VM's memory is in no file that others can map")
    }
    do {
      let table = try RangeTable(joining: try pieces.map { try range($0) })
      let export = try PageExport(pages, of: resource, pieces, table, ledger)
      return (export, table, SharedDescriptor(try table.makeFile()))
    } catch let error as GPUError {
      throw error
    } catch {
      throw .contextCommand("pages that cannot be shared: \(error)")
    }
  }

  private func range(_ piece: MemoryFilePiece) throws -> MemoryRange {
    MemoryRange(memory: try number(of: piece.file), offset: piece.offset, length: piece.count)
  }

  private func number(of region: MemoryRegionFile) throws -> MemoryFileID {
    if let known = known[region.identity] { return known }
    guard known.count < MemoryFileID.maximumCount, SharedMemory.hasUsualPages(region.descriptor.raw) else {
      throw GPUError.contextCommand("memory in too many files, or in huge pages")
    }
    let descriptor = SharedDescriptor(try SharedMemory.reopenReadOnly(region.descriptor.raw))
    let byteCount = try SharedMemory.size(of: region.descriptor.raw)
    let id = MemoryFileID(rawValue: UInt32(known.count + 1))
    known[region.identity] = id
    untold.append(File(id: id, descriptor: descriptor, byteCount: byteCount))
    return id
  }
}
