import Buffers
import HubProtocol
import Platform

/// The memory of a buffer that a peer offers, found to be what the peer says. Pixels are not looked at.
struct CheckedMemory {
  /// The file, the dma-buf, or the table of ranges.
  let descriptor: SharedDescriptor
  /// What is charged for it.
  let byteCount: UInt64
  /// Where its ranges are; each file once.
  let files: [MemoryEntry]

  /// Checks what BUFFER_REGISTER brings: memory of its kind, of the size that it says, large enough for the picture,
  /// that nobody who is given it can change in size or content.
  init(
    _ memory: MemoryDescription, of layout: PixelLayout, _ descriptor: consuming FileDescriptor,
    in memories: ProducerMemories
  ) throws(Refusal) {
    guard memory.byteCount >= UInt64(layout.byteCount) else {
      throw Refusal(.badBuffer, reason: "the memory is shorter than its layout (\(layout.byteCount) bytes)")
    }
    let shared = SharedDescriptor(descriptor)
    switch memory.kind {
    case .dmaBuf:
      self.descriptor = shared
      byteCount = try Self.dmaBuf(shared.raw, memory)
      files = []
    case .ranges:
      byteCount = memory.byteCount
      let table = try Self.ranges(shared.raw, memory, memories)
      files = table.memories.compactMap { memories[$0] }
      self.descriptor = try Self.settled(table, shared)
    default:
      self.descriptor = shared
      byteCount = try Self.file(shared.raw, offset: memory.offset, byteCount: memory.byteCount)
      files = []
    }
  }

  /// A memory file outside a VM's buffers, as a display's frame is.
  static func file(_ raw: Int32, offset: UInt64, byteCount: UInt64) throws(Refusal) -> UInt64 {
    guard SharedMemory.mayBeShared(raw) else {
      throw Refusal(.badBuffer, reason: "not \(SharedMemory.whatPeersOffer)")
    }
    guard SharedMemory.isReadOnly(raw) else {
      throw Refusal(.badBuffer, reason: "the descriptor can write: open it read-only")
    }
    guard offset % UInt64(SharedMemory.pageSize) == 0 else {
      throw Refusal(.badBuffer, reason: "the buffer does not begin at a page of its file")
    }
    guard let size = try? SharedMemory.size(of: raw), offset <= size, byteCount <= size - offset else {
      throw Refusal(.badBuffer, reason: "the file is shorter than the buffer (\(byteCount) bytes)")
    }
    return size
  }

  private static func dmaBuf(_ raw: Int32, _ memory: MemoryDescription) throws(Refusal) -> UInt64 {
    guard DMABuf.isDMABuf(raw) else { throw Refusal(.badBuffer, reason: "not a dma-buf") }
    guard let size = try? DMABuf.size(of: raw), size >= memory.byteCount else {
      throw Refusal(.badBuffer, reason: "the dma-buf is shorter than \(memory.byteCount) bytes")
    }
    return size
  }

  private static func ranges(
    _ raw: Int32, _ memory: MemoryDescription, _ memories: ProducerMemories
  ) throws(Refusal) -> RangeTable {
    do throws(RangeTableError) {
      let table = try RangeTable(file: raw)
      try table.check { memories[$0]?.byteCount }
      guard table.byteCount == memory.byteCount else { throw .badLength(table.byteCount) }
      return table
    } catch {
      throw Refusal(.badBuffer, reason: error.description)
    }
  }

  /// The table as consumers get it: the producer's file where that cannot change any more, else a copy of our own.
  private static func settled(
    _ table: RangeTable, _ file: SharedDescriptor
  ) throws(Refusal) -> SharedDescriptor {
    if SharedMemory.fixesContents { return file }
    do {
      return SharedDescriptor(try table.makeFile())
    } catch {
      throw Refusal(.limit, reason: error.description)
    }
  }
}
