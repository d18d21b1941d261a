import Buffers
import Platform

// Pictures that are not host buffers, and the memory that they are ranges of.

extension ProducerClient {
  /// Gives the hub a VM's memory file, opened read-only, so that pictures can be ranges of it. It reaches only
  /// consumers that may see all of the VM's memory, and only when such a picture is shown there.
  ///
  /// At most ``Buffers/MemoryFileID/maximumCount`` at a time, announced with the first picture that needs one.
  public func registerMemory(_ descriptor: SharedDescriptor, byteCount: UInt64) -> MemoryFileID {
    buffers.addMemory(descriptor, byteCount: byteCount)
  }

  /// Takes a memory file back, after the pictures whose ranges are in it.
  public func unregisterMemory(_ memory: MemoryFileID) {
    buffers.removeMemory(memory)
    link.schedulePump()
  }

  /// Shows a part of a picture on the scanout, registering the picture when it is new; `retire` takes it back.
  ///
  /// The hub refuses a picture that breaks its rules (protocol.md, BUFFER_REGISTER) with the end of the connection: a
  /// file or VM's memory that the descriptor could write, ranges outside of their memory.
  ///
  /// - Throws: when the system has no descriptor left for a new picture; nothing changes then.
  public func show(_ picture: SharedPicture, source: Rectangle, on scanout: ScanoutIndex) throws(SystemError) {
    guard scanout.isValid else { return }
    try buffers.add(picture)
    setContent(ScanoutState.Content(buffer: picture.id, source: source), of: scanout)
  }

  /// What the consumers that show the scanout can use, as the hub said it last; the memory kinds that are safe before
  /// it has said anything.
  public func requirements(of scanout: ScanoutIndex) -> ScanoutRequirements {
    scanout.isValid ? scanouts[scanout.index].requirements : .unknown
  }

  func receive(_ requirements: ScanoutRequirements, of scanout: ScanoutIndex) {
    guard requirements != scanouts[scanout.index].requirements else { return }
    scanouts[scanout.index].requirements = requirements
    delegate?.producer(self, requires: requirements, of: scanout)
  }

  func receiveFreed(_ id: BufferID) {
    guard let isFromEarlierHub = buffers.noteFreed(id) else { return }
    if isFromEarlierHub { delegate?.producer(self, revoked: id) }
    delegate?.producer(self, freed: id)
  }
}

extension ProducerClientDelegate {
  /// Nothing: for producers that hand over host buffers only.
  public func producer(_ client: ProducerClient, requires requirements: ScanoutRequirements, of scanout: ScanoutIndex) {
  }
  /// Nothing: for producers that keep no account.
  public func producer(_ client: ProducerClient, freed buffer: BufferID) {}
  /// Nothing: for producers that cannot take memory back.
  public func producer(_ client: ProducerClient, revoked buffer: BufferID) {}
}
