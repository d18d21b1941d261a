import Buffers
import GPUDevice
import HubProtocol
import Platform
import Virtqueue

// The ways that a picture can go.

extension PictureSharing {
  /// The best way for these consumers.
  func handOver(_ picture: Picture, for needs: ScanoutRequirements) throws(HandOverRefusal) -> HandedPicture {
    guard let misfit = needs.misfit(of: picture) else { return try asItLies(picture, for: needs) }
    do throws(HandOverRefusal) {
      return try copy(picture, for: needs, because: needs.reason(of: misfit, picture))
    } catch {
      let whoCan = ScanoutRequirements(memoryKinds: needs.memoryKinds, isWithheld: needs.isWithheld)
      return try asItLies(picture, for: whoCan, misfit: error.misfit ?? misfit)
    }
  }

  private func asItLies(
    _ picture: Picture, for needs: ScanoutRequirements, misfit: Constraints.Unfit? = nil
  ) throws(HandOverRefusal) -> HandedPicture {
    switch picture.memory {
    case .host(let buffer): return try asItLies(picture, buffer, misfit)
    case .hostBlob(let memory): return try asItLies(picture, memory, misfit)
    case .guest(let pages): return try asItLies(picture, pages, for: needs, misfit)
    }
  }

  private func asItLies(
    _ picture: Picture, _ buffer: HostBuffer, _ misfit: Constraints.Unfit?
  ) throws(HandOverRefusal) -> HandedPicture {
    let charge = try chargeDescriptor()
    do throws(SystemError) {
      let shared = try SharedPicture(buffer, id: freeID(for: picture), reason: .transferred)
      return HandedPicture(picture, shared: shared, charges: [charge], misfit: misfit)
    } catch {
      throw HandOverRefusal(.systemLimit)
    }
  }

  private func asItLies(
    _ picture: Picture, _ memory: HostMemory, _ misfit: Constraints.Unfit?
  ) throws(HandOverRefusal) -> HandedPicture {
    let charge = try chargeDescriptor()
    do {
      let byteCount = memory.start + UInt64(memory.byteCount)
      guard let layout = picture.layout.moved(by: memory.start) else { throw HandOverRefusal(.systemLimit) }
      let given: BufferMemory =
        memory.isDMABuf
        ? .dmaBuf(try memory.guestDescriptor(), byteCount: byteCount)
        : .file(SharedDescriptor(try memory.readOnlyDescriptor()), byteCount: byteCount)
      let shared = SharedPicture(
        id: freeID(for: picture), layout: layout, memory: given, side: .host, reason: .hostAllocated)
      return HandedPicture(picture, shared: shared, charges: [charge], misfit: misfit)
    } catch {
      throw HandOverRefusal(.systemLimit)
    }
  }

  private func asItLies(
    _ picture: Picture, _ pages: GuestPages, for needs: ScanoutRequirements, _ misfit: Constraints.Unfit?
  ) throws(HandOverRefusal) -> HandedPicture {
    do throws(HandOverRefusal) {
      return try uncopied(picture, pages, for: needs, misfit)
    } catch {
      return try copy(picture, for: needs, because: error.reason, misfit: misfit)
    }
  }

  // MARK: The guest's pages

  /// The pages themselves: as a dma-buf if that can be, else as ranges.
  private func uncopied(
    _ picture: Picture, _ pages: GuestPages, for needs: ScanoutRequirements, _ misfit: Constraints.Unfit?
  ) throws(HandOverRefusal) -> HandedPicture {
    guard !needs.memoryKinds.isDisjoint(with: [.ranges, .dmaBuf]) else {
      throw HandOverRefusal(needs.isWithheld ? .memoryWithheld : .rangesNotTaken)
    }
    let needed = needs.constraints.needed(for: picture.layout) ?? UInt64(picture.layout.byteCount)
    guard let pieces = pages.filePieces(covering: needed) else { throw HandOverRefusal(.noMemoryFile) }
    do throws(HandOverRefusal) {
      guard needs.memoryKinds.contains(.dmaBuf) else { throw HandOverRefusal(.dmaBufNotTaken) }
      return try dmaBuf(picture, pieces, misfit)
    } catch {
      guard needs.memoryKinds.contains(.ranges) else { throw error }
      return try ranges(picture, pieces, because: error.reason, misfit)
    }
  }

  private func dmaBuf(
    _ picture: Picture, _ pieces: [MemoryFilePiece], _ misfit: Constraints.Unfit?
  ) throws(HandOverRefusal) -> HandedPicture {
    let byteCount = pieces.reduce(0) { $0 + $1.count }
    let charge = try ledger.keeper(of: Ledger.Demand(Int(clamping: byteCount), as: .guestMemory, descriptors: 1))
    let descriptor = try makeDMABuf(pieces)
    let shared = SharedPicture(
      id: freeID(for: picture), layout: picture.layout, memory: .dmaBuf(descriptor, byteCount: byteCount), side: .guest,
      reason: .udmabuf)
    return HandedPicture(picture, shared: shared, pieces: pieces, charges: [charge], misfit: misfit)
  }

  private func makeDMABuf(_ pieces: [MemoryFilePiece]) throws(HandOverRefusal) -> SharedDescriptor {
    do throws(UDMABufFailure) {
      return try dmaBufs.make(pieces)
    } catch {
      throw HandOverRefusal(HandOverReason(error))
    }
  }

  /// The table of the ranges is a small file of the host's.
  private func ranges(
    _ picture: Picture, _ pieces: [MemoryFilePiece], because reason: HandOverReason, _ misfit: Constraints.Unfit?
  ) throws(HandOverRefusal) -> HandedPicture {
    let (table, files) = try files.table(of: pieces)
    let shared = SharedPicture(
      id: freeID(for: picture), layout: picture.layout, memory: .ranges(table), side: .guest, reason: reason)
    let charges = [
      try ledger.keeper(of: Ledger.Demand(Int(clamping: table.byteCount), as: .guestMemory)),
      try ledger.keeper(of: Ledger.Demand(table.fileByteCount, as: .bookkeeping, descriptors: 1)),
    ]
    return HandedPicture(picture, shared: shared, pieces: pieces, files: files, charges: charges, misfit: misfit)
  }

  // MARK: Copies

  /// A copy of what changes, in memory that all can use.
  private func copy(
    _ picture: Picture, for needs: ScanoutRequirements, because reason: HandOverReason,
    misfit: Constraints.Unfit? = nil
  ) throws(HandOverRefusal) -> HandedPicture {
    if case .guest(let pages) = picture.memory, !pages.isWhole { throw HandOverRefusal(reason) }
    let plan = try plan(picture.layout, for: needs)
    if let known = known(picture), known.isCopy(plan, because: reason) { return known }
    // One descriptor is for those who read.
    let keeper = try ledger.keeper(
      of: Ledger.Demand(plan.byteCount, as: .hostAllocated, isBuffer: true, descriptors: 2))
    do {
      let buffer = try HostBuffer(plan)
      try buffer.chargeSurplus(to: ledger)
      let shared = try SharedPicture(buffer, reason: reason)
      return HandedPicture(picture, shared: shared, copy: buffer, charges: [keeper], misfit: misfit)
    } catch {
      throw HandOverRefusal(.systemLimit)
    }
  }

  private func plan(_ layout: PixelLayout, for needs: ScanoutRequirements) throws(HandOverRefusal) -> HostPlan {
    do throws(Constraints.Unfit) {
      return try needs.constraints.plan(size: layout.size, format: layout.format, from: sources)
    } catch {
      throw HandOverRefusal(.layoutNotTaken, misfit: error)
    }
  }

  private func chargeDescriptor() throws(HandOverRefusal) -> ChargeKeeper {
    try ledger.keeper(of: Ledger.Demand(0, as: .hostAllocated, descriptors: 1))
  }
}

extension ScanoutRequirements {
  /// What they cannot use of a picture as it lies; nil when they can. Rows must begin between pixels, too.
  func misfit(of picture: Picture) -> Constraints.Unfit? {
    let layout = picture.layout
    do throws(Constraints.Unfit) {
      guard layout.stride % 4 == 0 else { throw .alignment(UInt64(layout.stride), of: 4) }
      guard layout.offset % 4 == 0 else { throw .alignment(layout.offset, of: 4) }
      try constraints.check(layout, in: picture.traits, byteCount: picture.byteCount)
      return nil
    } catch {
      return error
    }
  }

  /// Why a picture is copied.
  func reason(of misfit: Constraints.Unfit, _ picture: Picture) -> HandOverReason {
    guard case .memoryKind = misfit else { return .layoutNotTaken }
    guard case .guest = picture.memory else { return .dmaBufNotTaken }
    return isWithheld ? .memoryWithheld : .rangesNotTaken
  }
}

extension Picture {
  /// What its memory is, or can be made, to those who use it.
  fileprivate var traits: MemoryTraits {
    switch memory {
    case .host(let buffer): buffer.traits
    case .hostBlob(let memory): MemoryTraits(kind: memory.isDMABuf ? .dmaBuf : .file)
    case .guest: MemoryTraits(kind: [.dmaBuf, .ranges])
    }
  }

  fileprivate var byteCount: UInt64 {
    switch memory {
    case .host(let buffer): UInt64(buffer.byteCount)
    case .hostBlob(let memory): UInt64(memory.byteCount)
    case .guest(let pages): UInt64(pages.byteCount)
    }
  }
}
