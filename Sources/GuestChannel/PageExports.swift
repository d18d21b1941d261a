import Buffers
import GPUDevice
import HubProtocol
import Platform
import Virtqueue

/// A buffer of a program's that is in its VM's own pages.
///
/// The pages stay the guest's. When it takes them back, it has them when this object is gone.
final class PageExport {
  /// What the hub is given: one dma-buf of the pages, or a table of ranges of the VM's memory files.
  let descriptor: SharedDescriptor
  /// How that is described.
  let memory: MemoryDescription
  /// Whether the guest has asked for its pages.
  var isRecalled = false
  private let pages: GuestPages
  private let loan: PageLoan
  private let charges: [Keeper]

  /// What others are given of the VM's memory, and what it takes to do so.
  private final class Keeper {
    private let charge: Ledger.Charge
    init(_ charge: consuming Ledger.Charge) { self.charge = consume charge }
  }

  fileprivate init(
    _ pages: GuestPages, _ loan: PageLoan, _ memory: MemoryDescription, _ descriptor: SharedDescriptor,
    _ demands: [Ledger.Demand], _ ledger: Ledger
  ) throws(Ledger.OverLimit) {
    self.pages = pages
    self.loan = loan
    self.memory = memory
    self.descriptor = descriptor
    var charges: [Keeper] = []
    for demand in demands { charges.append(Keeper(try ledger.charge(demand))) }
    self.charges = charges
  }

  /// Whether a resource has the pages still, where they were when it was offered.
  func isInPlace(_ pages: GuestPages?) -> Bool { !isRecalled && self.pages === pages && loan.isInPlace }
}

/// Gives pages of a guest's to others: as one dma-buf, which shows them alone, where this machine makes such; else as ranges
/// of the VM's memory files, each of which the hub is told of once, before the first buffer in it.
final class PageExports {
  /// A file that the hub is to be told of.
  struct File {
    let id: MemoryFileID
    let descriptor: SharedDescriptor
    let byteCount: UInt64
  }

  private let dmaBufs: DMABufMaker
  private var known: [MemoryRegionFile.Identity: MemoryFileID] = [:]
  private var untold: [File] = []

  init(_ dmaBufs: DMABufMaker) { self.dmaBufs = dmaBufs }

  /// The files that the hub has not been told of.
  func takeUntold() -> [File] {
    defer { untold.removeAll() }
    return untold
  }

  /// Pages for an offer. `recalled` is called when the guest wants them back.
  ///
  /// - Throws: why others cannot have them, for the program.
  func add(
    _ pages: GuestPages, for offer: BufferOffer, _ access: ContextAccess, recalled: @escaping () -> Void
  ) throws(Refusal) -> PageExport {
    let layout = offer.buffer.layout
    guard layout.byteCount <= pages.byteCount,
      let chain = ImageChain(count: offer.images, byteCount: UInt64(pages.byteCount), layout: layout)
    else { throw Self.refusal("its pages are not \(offer.images) equal shares of whole pages for its layout") }
    guard let ledger = access.ledger, let loan = pages.lend(covering: chain.byteCount, recalled: recalled) else {
      throw Self.refusal("the VM's memory is in no file that others can map")
    }
    guard !access.isForeign(loan) else { throw Self.refusal("they are not the guest's own, but shown to it") }
    switch makeDMABuf(loan.pieces) {
    case .success(let dmaBuf): return try Self.export(pages, loan, dmaBuf, ledger)
    case .failure(let reason) where offer.isWritable:
      throw Self.refusal("guests' pages can be written by others as a dma-buf only: \(reason)")
    case .failure(let reason): return try export(pages, loan, because: reason, ledger)
    }
  }

  private func makeDMABuf(_ pieces: [MemoryFilePiece]) -> Result<SharedDescriptor, HandOverReason> {
    do throws(UDMABufFailure) {
      return .success(try dmaBufs.make(pieces))
    } catch {
      return .failure(HandOverReason(error))
    }
  }

  private static func export(
    _ pages: GuestPages, _ loan: PageLoan, _ dmaBuf: SharedDescriptor, _ ledger: Ledger
  ) throws(Refusal) -> PageExport {
    let memory = MemoryDescription(kind: .dmaBuf, side: .guest, reason: .udmabuf, byteCount: loan.byteCount)
    let demands = [
      Ledger.Demand(Int(clamping: loan.byteCount), as: .guestMemory, descriptors: 1),
      Ledger.Demand(loan.footprint, as: .bookkeeping),
    ]
    return try export(pages, loan, memory, dmaBuf, demands, ledger)
  }

  private func export(
    _ pages: GuestPages, _ loan: PageLoan, because reason: HandOverReason, _ ledger: Ledger
  ) throws(Refusal) -> PageExport {
    let table = try table(of: loan.pieces)
    let demands = [
      Ledger.Demand(Int(clamping: table.byteCount), as: .guestMemory),
      Ledger.Demand(table.fileByteCount + loan.footprint, as: .bookkeeping, descriptors: 1),
    ]
    let memory = MemoryDescription(kind: .ranges, side: .guest, reason: reason, byteCount: table.byteCount)
    return try Self.export(pages, loan, memory, try Self.file(of: table), demands, ledger)
  }

  private static func export(
    _ pages: GuestPages, _ loan: PageLoan, _ memory: MemoryDescription, _ descriptor: SharedDescriptor,
    _ demands: [Ledger.Demand], _ ledger: Ledger
  ) throws(Refusal) -> PageExport {
    do throws(Ledger.OverLimit) {
      return try PageExport(pages, loan, memory, descriptor, demands, ledger)
    } catch {
      throw Refusal(.overLimit, reason: "\(error)")
    }
  }

  // MARK: Ranges

  private func table(of pieces: [MemoryFilePiece]) throws(Refusal) -> RangeTable {
    var ranges: [MemoryRange] = []
    for piece in pieces {
      ranges.append(MemoryRange(memory: try number(of: piece.file), offset: piece.offset, length: piece.count))
    }
    do throws(RangeTableError) {
      return try RangeTable(joining: ranges)
    } catch {
      throw Self.refusal("\(error)")
    }
  }

  private static func file(of table: RangeTable) throws(Refusal) -> SharedDescriptor {
    do throws(SystemError) {
      return SharedDescriptor(try table.makeFile())
    } catch {
      throw refusal("\(error)")
    }
  }

  private func number(of region: MemoryRegionFile) throws(Refusal) -> MemoryFileID {
    if let known = known[region.identity] { return known }
    guard known.count < MemoryFileID.maximumCount, SharedMemory.hasUsualPages(region.descriptor.raw) else {
      throw Self.refusal("the VM's memory is in too many files, or in huge pages")
    }
    let id = MemoryFileID(rawValue: UInt32(known.count + 1))
    do throws(SystemError) {
      let descriptor = SharedDescriptor(try SharedMemory.reopenReadOnly(region.descriptor.raw))
      untold.append(File(id: id, descriptor: descriptor, byteCount: try SharedMemory.size(of: region.descriptor.raw)))
    } catch {
      throw Self.refusal("\(error)")
    }
    known[region.identity] = id
    return id
  }

  private static func refusal(_ reason: String) -> Refusal { Refusal(.disagreement, reason: reason) }
}
