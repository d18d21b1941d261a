import Buffers
import GPUDevice
import HubProtocol
import Platform
import Virtqueue

/// Chooses how consumers get each picture: as it lies in memory where they can see that, else as a copy.
///
/// A picture of the guest's pages goes as one dma-buf, as ranges of the VM's memory, or as a copy of what has changed,
/// the first of these that all its consumers take and the machine can make.
final class PictureSharing {
  private let client: ProducerClient
  private let files: GuestFiles
  private let dmaBufs = DMABufMaker()
  private let ledger: Ledger
  /// By the device's id.
  private var current: [BufferID: HandedPicture] = [:]
  /// Given up, but still read; by the hub's id.
  private var retired: [BufferID: HandedPicture] = [:]

  init(client: ProducerClient, ledger: Ledger) {
    self.client = client
    self.ledger = ledger
    files = GuestFiles(client: client)
  }

  /// The picture for consumers that take these kinds of memory; another one than before where that no longer suits.
  func picture(_ picture: Picture, for requirements: ScanoutRequirements) throws(HandOverRefusal) -> HandedPicture {
    if let known = current[picture.id], known.suits(requirements.memoryKinds) { return known }
    return try review(picture, for: requirements)
  }

  /// Looks for the best way again.
  func review(_ picture: Picture, for requirements: ScanoutRequirements) throws(HandOverRefusal) -> HandedPicture {
    let fresh = try handOver(picture, for: requirements)
    guard let known = current[picture.id] else {
      current[picture.id] = fresh
      return fresh
    }
    if known.isSame(as: fresh) { return known }
    current[picture.id] = fresh
    return fresh
  }

  /// How a picture was handed over.
  func known(_ picture: Picture) -> HandedPicture? { current[picture.id] }

  /// The guest has given the picture up.
  func retire(_ picture: Picture) {
    guard let known = current.removeValue(forKey: picture.id) else { return }
    retire(known)
  }

  /// The picture was handed over in another way.
  func retire(_ handed: HandedPicture) {
    if client.retire(handed.shared.id) { retired[handed.shared.id] = handed }
  }

  /// Nobody reads it any more.
  func freed(_ id: BufferID) { retired[id] = nil }

  /// A reader does not let go of a picture that was given up: its memory is emptied, so that it costs nothing.
  ///
  /// - Returns: whether it was; false for one that is not known.
  /// - Throws: what kept the system from it, as with memory that is the guest's.
  func punch(_ id: BufferID) throws(SystemError) -> Bool {
    guard let handed = retired[id] else { return false }
    try handed.punch()
    return true
  }

  // MARK: Ways

  private func handOver(_ picture: Picture, for needs: ScanoutRequirements) throws(HandOverRefusal) -> HandedPicture {
    switch picture.memory {
    case .host(let buffer): return try handOver(picture, buffer)
    case .hostBlob(let memory): return try handOver(picture, memory, for: needs)
    case .guest(let pages): return try handOver(picture, pages, for: needs)
    }
  }

  private func handOver(_ picture: Picture, _ buffer: HostBuffer) throws(HandOverRefusal) -> HandedPicture {
    do throws(SystemError) {
      return HandedPicture(picture, shared: try SharedPicture(buffer, reason: .transferred))
    } catch {
      throw HandOverRefusal(.systemLimit)
    }
  }

  private func handOver(
    _ picture: Picture, _ memory: HostMemory, for needs: ScanoutRequirements
  ) throws(HandOverRefusal) -> HandedPicture {
    guard needs.accepts(picture.layout, .file) else { return try copy(picture, for: needs, because: .layoutNotTaken) }
    do throws(SystemError) {
      let descriptor = SharedDescriptor(try memory.readOnlyDescriptor())
      let shared = SharedPicture(
        id: freeID(for: picture), layout: picture.layout,
        memory: .file(descriptor, byteCount: UInt64(memory.byteCount)), side: .host, reason: .hostAllocated)
      return HandedPicture(picture, shared: shared)
    } catch {
      throw HandOverRefusal(.systemLimit)
    }
  }

  private func handOver(
    _ picture: Picture, _ pages: GuestPages, for needs: ScanoutRequirements
  ) throws(HandOverRefusal) -> HandedPicture {
    do throws(HandOverRefusal) {
      return try uncopied(picture, pages, for: needs)
    } catch {
      guard pages.isWhole else { throw error }
      return try copy(picture, for: needs, because: error.reason)
    }
  }

  /// The pages themselves: as a dma-buf if that can be, else as ranges.
  private func uncopied(
    _ picture: Picture, _ pages: GuestPages, for needs: ScanoutRequirements
  ) throws(HandOverRefusal) -> HandedPicture {
    guard needs.accepts(picture.layout, .all) else { throw HandOverRefusal(.layoutNotTaken) }
    guard needs.memoryKinds.contains(.ranges) || needs.memoryKinds.contains(.dmaBuf) else {
      throw HandOverRefusal(needs.isWithheld ? .memoryWithheld : .rangesNotTaken)
    }
    guard let pieces = pages.filePieces(covering: UInt64(picture.layout.byteCount)) else {
      throw HandOverRefusal(.noMemoryFile)
    }
    do throws(HandOverRefusal) {
      guard needs.memoryKinds.contains(.dmaBuf) else { throw HandOverRefusal(.dmaBufNotTaken) }
      return try dmaBuf(picture, pieces)
    } catch {
      guard needs.memoryKinds.contains(.ranges) else { throw error }
      return try ranges(picture, pieces, because: error.reason)
    }
  }

  private func dmaBuf(_ picture: Picture, _ pieces: [MemoryFilePiece]) throws(HandOverRefusal) -> HandedPicture {
    let descriptor = try dmaBufs.make(pieces)
    let byteCount = pieces.reduce(0) { $0 + $1.count }
    let shared = SharedPicture(
      id: freeID(for: picture), layout: picture.layout, memory: .dmaBuf(descriptor, byteCount: byteCount), side: .guest,
      reason: .udmabuf)
    let charge = try charge(Ledger.Demand(Int(clamping: byteCount), as: .guestMemory, descriptors: 1))
    return HandedPicture(picture, shared: shared, pieces: pieces, charge: charge)
  }

  private func ranges(
    _ picture: Picture, _ pieces: [MemoryFilePiece], because reason: HandOverReason
  ) throws(HandOverRefusal) -> HandedPicture {
    let (table, files) = try files.table(of: pieces)
    let shared = SharedPicture(
      id: freeID(for: picture), layout: picture.layout, memory: .ranges(table), side: .guest, reason: reason)
    let charge = try charge(Ledger.Demand(Int(clamping: table.byteCount), as: .guestMemory))
    return HandedPicture(picture, shared: shared, pieces: pieces, files: files, charge: charge)
  }

  private func copy(
    _ picture: Picture, for needs: ScanoutRequirements, because reason: HandOverReason
  ) throws(HandOverRefusal) -> HandedPicture {
    let layout = try needs.layout(for: picture)
    let demand = Ledger.Demand(
      HostBuffer.byteCount(for: layout), as: .hostAllocated, isBuffer: true, descriptors: 1)
    let keeper = try charge(demand)
    do throws(SystemError) {
      let buffer = try HostBuffer(layout: layout)
      let handed = HandedPicture(
        picture, shared: try SharedPicture(buffer, reason: reason), copy: buffer, charge: keeper)
      return handed
    } catch {
      throw HandOverRefusal(.systemLimit)
    }
  }

  private func charge(_ demand: Ledger.Demand) throws(HandOverRefusal) -> ChargeKeeper {
    do throws(Ledger.OverLimit) {
      return ChargeKeeper(try ledger.charge(demand))
    } catch {
      throw HandOverRefusal(.systemLimit)
    }
  }

  /// The guest's own id of the picture, which it may have told others, unless somebody still reads what had it before.
  private func freeID(for picture: Picture) -> BufferID {
    let isTaken = retired[picture.id] != nil || current[picture.id]?.shared.id == picture.id
    return isTaken ? .random() : picture.id
  }
}

extension ScanoutRequirements {
  /// Whether a picture can be used as it lies in memory of one of these kinds: rows must begin between pixels, too.
  func accepts(_ layout: PixelLayout, _ kinds: MemoryKind) -> Bool {
    layout.stride % 4 == 0 && layout.offset % 4 == 0 && constraints.accepts(layout, kind: kinds)
  }

  /// Where the pixels of a copy stand.
  func layout(for picture: Picture) throws(HandOverRefusal) -> PixelLayout {
    do throws(Constraints.Unfit) {
      return try constraints.layout(size: picture.layout.size, format: picture.layout.format)
    } catch {
      throw HandOverRefusal(.layoutNotTaken)
    }
  }
}
