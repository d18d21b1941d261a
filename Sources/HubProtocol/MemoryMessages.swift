import Buffers

/// What BUFFER_REGISTER and LAYER_CONTENT say of a buffer's memory; the descriptor beside them is the memory itself, or
/// the table of its ranges.
public struct MemoryDescription: Hashable, Sendable {
  /// What it is made of: exactly one kind.
  public var kind: MemoryKind
  /// Who gave it.
  public var side: AllocationSide
  /// Why it is handed over this way.
  public var reason: HandOverReason
  /// How many bytes the buffer has.
  public var byteCount: UInt64
  /// Where in a file the buffer begins; 0 for the other kinds.
  public var offset: UInt64
  /// Whether it is one piece for devices, as its owner says.
  public var isContiguous: Bool

  /// Memory.
  public init(
    kind: MemoryKind, side: AllocationSide, reason: HandOverReason, byteCount: UInt64, offset: UInt64 = 0,
    isContiguous: Bool = false
  ) {
    self.kind = kind
    self.side = side
    self.reason = reason
    self.byteCount = byteCount
    self.offset = offset
    self.isContiguous = isContiguous
  }

  /// The memory of a picture.
  public init(_ picture: SharedPicture) {
    self.init(
      kind: picture.memory.kind, side: picture.side, reason: picture.reason, byteCount: picture.memory.byteCount,
      offset: picture.memory.offset, isContiguous: picture.isContiguous)
  }

  /// Memory that the host allocated for a picture: a file that holds nothing else.
  public init(hostFileOf layout: PixelLayout, reason: HandOverReason = .transferred) {
    self.init(kind: .file, side: .host, reason: reason, byteCount: UInt64(layout.byteCount))
  }

  /// What it is to those who use it.
  public var traits: MemoryTraits { MemoryTraits(kind: kind, isContiguous: isContiguous) }

  /// The way that the pixels go.
  public var way: HandOverWay { reason.way(of: kind) }
}

/// The memory files of one producer's connection, as consumers know them: a number that the hub never gives twice.
public struct MemorySpace: RawRepresentable, Hashable, Sendable {
  /// The number, above 0.
  public let rawValue: UInt64

  /// A space by its number.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }
}

/// MEMORY_SET, MEMORY_REMOVE: which memory file of which producer.
public struct MemoryKey: Hashable, Sendable {
  /// Of which producer's connection.
  public var space: MemorySpace
  /// Which of its files.
  public var memory: MemoryFileID

  /// A memory file.
  public init(space: MemorySpace, memory: MemoryFileID) {
    self.space = space
    self.memory = memory
  }
}

/// SCANOUT_REQUIREMENTS: what the consumers that show a scanout can use.
public struct ScanoutRequirements: Equatable, Sendable {
  /// What all of them can use.
  public var constraints: Constraints
  /// Whether one of them could take more kinds of memory but may not see the VM's.
  public var isWithheld: Bool
  /// When there is nothing that all of them can use: which two disagree on what. The constraints are then those of a
  /// consumer that said nothing; who cannot use that is shown nothing.
  public var disagreement: String?

  /// Requirements.
  public init(constraints: Constraints, isWithheld: Bool = false, disagreement: String? = nil) {
    self.constraints = constraints
    self.isWithheld = isWithheld
    self.disagreement = disagreement
  }

  /// Requirements of consumers that say nothing but what memory they take.
  public init(memoryKinds: MemoryKind, isWithheld: Bool = false) {
    var constraints = Constraints.unstated
    constraints.memoryKinds = memoryKinds
    self.init(constraints: constraints, isWithheld: isWithheld)
  }

  /// The kinds of memory that all of them take.
  public var memoryKinds: MemoryKind { constraints.memoryKinds }

  /// What is safe before the hub has said anything.
  public static let unknown = ScanoutRequirements(constraints: .unstated)
}

// MARK: Reading and writing

extension MemoryDescription {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    let kind = MemoryKind(rawValue: try reader.u32())
    guard kind.isOne else { throw reader.bad("memory kind") }
    self.kind = kind
    guard let side = AllocationSide(rawValue: try reader.u32()) else { throw reader.bad("allocation side") }
    self.side = side
    guard let reason = HandOverReason(rawValue: try reader.u32()) else { throw reader.bad("hand-over reason") }
    self.reason = reason
    let flags = try reader.u32()
    guard flags <= 1 else { throw reader.bad("memory flags") }
    isContiguous = flags == 1
    byteCount = try reader.u64()
    offset = try reader.u64()
    guard byteCount > 0, !byteCount.addingReportingOverflow(offset).overflow, kind == .file || offset == 0 else {
      throw reader.bad("memory size")
    }
  }

  func write(to writer: inout WireWriter) {
    writer.u32(kind.rawValue)
    writer.u32(side.rawValue)
    writer.u32(reason.rawValue)
    writer.u32(isContiguous ? 1 : 0)
    writer.u64(byteCount)
    writer.u64(offset)
  }
}

extension WireReader {
  mutating func memoryFile() throws(ProtocolError) -> MemoryFileID {
    let memory = MemoryFileID(rawValue: try u32())
    try zero32()
    return memory
  }

  mutating func memoryKey() throws(ProtocolError) -> MemoryKey {
    let space = MemorySpace(rawValue: try u64())
    guard space.rawValue > 0 else { throw bad("memory space") }
    return MemoryKey(space: space, memory: try memoryFile())
  }

  mutating func memoryKinds() throws(ProtocolError) -> MemoryKind {
    let kinds = MemoryKind(rawValue: try u32())
    guard kinds.isSubset(of: .all) else { throw bad("memory kinds") }
    return kinds
  }

  mutating func byteCount() throws(ProtocolError) -> UInt64 {
    let count = try u64()
    guard count > 0 else { throw bad("byte count") }
    return count
  }
}

extension WireWriter {
  mutating func memoryFile(_ memory: MemoryFileID) {
    u32(memory.rawValue)
    u32(0)
  }

  mutating func memoryKey(_ key: MemoryKey) {
    u64(key.space.rawValue)
    memoryFile(key.memory)
  }
}

extension ScanoutRequirements {
  init(_ reader: inout WireReader) throws(ProtocolError) {
    let flags = try reader.u32()
    guard flags <= 3 else { throw reader.bad("flags") }
    isWithheld = flags & 1 != 0
    let reason = try reader.text(120, "reason")
    guard (flags & 2 != 0) == !reason.isEmpty else { throw reader.bad("reason") }
    disagreement = reason.isEmpty ? nil : reason
    constraints = try reader.constraints()
  }

  func write(to writer: inout WireWriter) {
    writer.u32((isWithheld ? 1 : 0) | (disagreement == nil ? 0 : 2))
    writer.text(disagreement ?? "", 120)
    writer.constraints(constraints)
  }
}
