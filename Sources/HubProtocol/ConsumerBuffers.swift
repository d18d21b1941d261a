import Buffers
import Glibc
import Platform

/// The pictures that a consumer has mapped, and the VMs' memory files that it maps ranges of.
struct ConsumerBuffers {
  private var buffers: [BufferID: ReadOnlyBuffer] = [:]
  private var memories: [MemoryKey: ReadOnlyBuffer.VMMemory] = [:]
  private var budget = PieceBudget()
  private var unmappable: MemoryKind = []
  /// Rings when memory that is mapped was taken away.
  private(set) var bell: Doorbell?

  subscript(id: BufferID) -> ReadOnlyBuffer? { buffers[id] }

  /// A new connection: nothing of the one before can be named any more.
  mutating func removeAll() {
    buffers.removeAll()
    memories.removeAll()
    budget = PieceBudget()
    unmappable = []
  }

  /// The kinds of memory that nothing more can be mapped of: there is too much already, or the system will not.
  var refusedKinds: MemoryKind { budget.isExhausted ? unmappable.union(.ranges) : unmappable }

  private mutating func note(_ error: SystemError, _ kind: MemoryKind) {
    if error.code == ENOMEM || error.code == ENOSPC {
      budget.exhaust()
    } else if kind != .file {
      unmappable.insert(kind)
    }
  }

  // MARK: VMs' memory

  mutating func set(_ key: MemoryKey, _ descriptor: consuming FileDescriptor, byteCount: UInt64) {
    memories[key] = ReadOnlyBuffer.VMMemory(descriptor: SharedDescriptor(descriptor), byteCount: byteCount)
  }

  mutating func remove(_ key: MemoryKey) { memories[key] = nil }

  // MARK: Buffers

  /// Maps a buffer that is new to this connection. Without memory for one more mapping it is not there.
  mutating func map(
    _ buffer: BufferDescription, _ memory: MemoryDescription, _ space: MemorySpace?,
    _ descriptor: consuming FileDescriptor
  ) {
    forget(buffer.id)
    do throws(ReadOnlyBuffer.Refusal) {
      let mapped = try map(buffer, memory, space, SharedDescriptor(descriptor))
      buffers[buffer.id] = mapped
      budget.add(mapped.pieceCount)
    } catch {
      if case .system(let error) = error { note(error, memory.kind) }
    }
  }

  private mutating func map(
    _ buffer: BufferDescription, _ memory: MemoryDescription, _ space: MemorySpace?, _ descriptor: SharedDescriptor
  ) throws(ReadOnlyBuffer.Refusal) -> ReadOnlyBuffer {
    switch memory.kind {
    case .dmaBuf:
      return try ReadOnlyBuffer(id: buffer.id, layout: buffer.layout, dmaBuf: descriptor, bell: try makeBell())
    case .ranges:
      let table: RangeTable
      do { table = try RangeTable(file: descriptor.raw) } catch { throw .ranges(error) }
      let bell = try makeBell()
      return try ReadOnlyBuffer(
        id: buffer.id, layout: buffer.layout, ranges: table,
        of: { memory in space.flatMap { memories[MemoryKey(space: $0, memory: memory)] } }, bell: bell)
    default:
      return try ReadOnlyBuffer(
        id: buffer.id, layout: buffer.layout, descriptor: descriptor.raw, offset: memory.offset)
    }
  }

  private mutating func makeBell() throws(ReadOnlyBuffer.Refusal) -> Doorbell {
    if let bell { return bell }
    do {
      let bell = try Doorbell()
      self.bell = bell
      return bell
    } catch {
      throw .system(error)
    }
  }

  /// Lets go of a buffer.
  mutating func forget(_ id: BufferID) {
    guard let buffer = buffers.removeValue(forKey: id) else { return }
    budget.remove(buffer.pieceCount)
  }
}
