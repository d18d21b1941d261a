import Platform

/// What a buffer's bytes are.
public enum BufferMemory: Sendable {
  /// A sealed memory file from `offset`, a multiple of the page size. The descriptor cannot write.
  case file(SharedDescriptor, offset: UInt64 = 0, byteCount: UInt64)
  /// A dma-buf.
  case dmaBuf(SharedDescriptor, byteCount: UInt64)
  /// Ranges of a VM's memory files, one after the other.
  case ranges(RangeTable)

  /// Which kind it is.
  public var kind: MemoryKind {
    switch self {
    case .file: .file
    case .dmaBuf: .dmaBuf
    case .ranges: .ranges
    }
  }

  /// How many bytes the buffer has.
  public var byteCount: UInt64 {
    switch self {
    case .file(_, _, let byteCount), .dmaBuf(_, let byteCount): byteCount
    case .ranges(let table): table.byteCount
    }
  }

  /// Where in the file the buffer begins.
  public var offset: UInt64 {
    if case .file(_, let offset, _) = self { offset } else { 0 }
  }
}

/// A picture that is handed to consumers as it lies in memory: what `ProducerClient.show` takes.
public struct SharedPicture: Sendable {
  /// Its identity towards the hub, and towards the guest (RESOURCE_ASSIGN_UUID).
  public let id: BufferID
  /// Where the pixels are in its bytes.
  public let layout: PixelLayout
  /// Where its bytes are.
  public let memory: BufferMemory
  /// Who gave the memory.
  public let side: AllocationSide
  /// Why it is handed over this way.
  public let reason: HandOverReason
  /// Whether its memory is one piece for devices.
  public let isContiguous: Bool

  /// A picture.
  public init(
    id: BufferID = .random(), layout: PixelLayout, memory: BufferMemory, side: AllocationSide, reason: HandOverReason,
    isContiguous: Bool = false
  ) {
    self.id = id
    self.layout = layout
    self.memory = memory
    self.side = side
    self.reason = reason
    self.isContiguous = isContiguous
  }

  /// A picture in memory that the host allocated; drawn into, or copied into for `reason`.
  public init(_ buffer: HostBuffer, id: BufferID? = nil, reason: HandOverReason) throws(SystemError) {
    self.init(
      id: id ?? buffer.id, layout: buffer.layout, memory: try buffer.memory(), side: .host, reason: reason,
      isContiguous: buffer.traits.isContiguous)
  }

  /// What its memory is to those who use it.
  public var traits: MemoryTraits { MemoryTraits(kind: memory.kind, isContiguous: isContiguous) }
}
