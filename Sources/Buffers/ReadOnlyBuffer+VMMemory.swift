import Platform

// Memory that is not a file of its own.

extension ReadOnlyBuffer {
  /// A memory file of a VM, as a consumer has it.
  public struct VMMemory {
    /// The file.
    public let descriptor: SharedDescriptor
    /// How many bytes its owner says that it has.
    public let byteCount: UInt64

    /// A memory file.
    public init(descriptor: SharedDescriptor, byteCount: UInt64) {
      self.descriptor = descriptor
      self.byteCount = byteCount
    }
  }

  /// Maps a dma-buf. `bell` rings if its driver takes the memory away.
  public convenience init(
    id: BufferID, layout: PixelLayout, dmaBuf: SharedDescriptor, bell: Doorbell? = nil
  ) throws(Refusal) {
    guard DMABuf.isDMABuf(dmaBuf.raw) else { throw .notDMABuf }
    let byteCount: UInt64
    do { byteCount = try DMABuf.size(of: dmaBuf.raw) } catch { throw .system(error) }
    guard byteCount >= UInt64(layout.byteCount) else {
      throw .tooShort(byteCount: byteCount, needed: layout.byteCount)
    }
    do {
      let mapping = try MemoryMapping(descriptor: dmaBuf.raw, count: layout.byteCount, access: .readOnly)
      let guardian = try FaultGuard(mapping, bell: bell)
      self.init(id: id, layout: layout, mapping: mapping, guardian: guardian, dmaBuf: dmaBuf)
    } catch {
      throw .system(error)
    }
  }

  /// Maps ranges of a VM's memory side by side, as many of them as the picture needs. The files may be closed
  /// afterwards. `bell` rings if the VM's memory is taken away.
  public convenience init(
    id: BufferID, layout: PixelLayout, ranges table: RangeTable, of memory: (MemoryFileID) -> VMMemory?,
    bell: Doorbell? = nil
  ) throws(Refusal) {
    do { try table.check { memory($0)?.byteCount } } catch { throw .ranges(error) }
    guard table.byteCount >= UInt64(layout.byteCount) else {
      throw .tooShort(byteCount: table.byteCount, needed: layout.byteCount)
    }
    let pieces = table.prefix(UInt64(layout.byteCount)).compactMap { range in
      memory(range.memory).map {
        MappingPiece(descriptor: $0.descriptor.raw, offset: range.offset, count: Int(range.length))
      }
    }
    do {
      let mapping = try MemoryMapping(pieces)
      let guardian = try FaultGuard(mapping, bell: bell)
      self.init(id: id, layout: layout, mapping: mapping, guardian: guardian, pieceCount: pieces.count)
    } catch {
      throw .system(error)
    }
  }
}
