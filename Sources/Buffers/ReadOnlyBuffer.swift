import Platform

/// A picture that another process made, mapped here for reading: a memory file, a dma-buf, or ranges of a VM's memory.
///
/// Its pixels change while they are read. Its size cannot where the system has a way to fix it; elsewhere a guard makes
/// memory that was taken away read as zeros.
public final class ReadOnlyBuffer {
  /// Why a buffer that a peer offered is not taken.
  public enum Refusal: Error, Equatable, Sendable {
    /// The file could shrink under the reader.
    case notSealed
    /// The memory has fewer bytes than the layout needs.
    case tooShort(byteCount: UInt64, needed: Int)
    /// Not a dma-buf.
    case notDMABuf
    /// Ranges that are none.
    case ranges(RangeTableError)
    /// The system refused.
    case system(SystemError)
  }

  /// Its identity.
  public let id: BufferID
  /// Where the pixels are.
  public let layout: PixelLayout
  /// How many pieces of files are mapped for it.
  public let pieceCount: Int
  private let mapping: MemoryMapping
  private let guardian: FaultGuard?
  private let dmaBuf: SharedDescriptor?

  init(
    id: BufferID, layout: PixelLayout, mapping: MemoryMapping, guardian: FaultGuard? = nil,
    dmaBuf: SharedDescriptor? = nil, pieceCount: Int = 1
  ) {
    self.id = id
    self.layout = layout
    self.mapping = mapping
    self.guardian = guardian
    self.dmaBuf = dmaBuf
    self.pieceCount = pieceCount
  }

  /// Maps a memory file from `offset`, whole pages; the caller may close it afterwards.
  public convenience init(
    id: BufferID, layout: PixelLayout, descriptor raw: Int32, offset: UInt64 = 0
  ) throws(Refusal) {
    let safety = try Self.check(layout: layout, descriptor: raw, offset: offset)
    do {
      let mapping = try MemoryMapping(descriptor: raw, offset: offset, count: layout.byteCount, access: .readOnly)
      let guardian = safety == .mustGuard ? try FaultGuard(mapping) : nil
      self.init(id: id, layout: layout, mapping: mapping, guardian: guardian)
    } catch {
      throw .system(error)
    }
  }

  /// Whether a file can hold the picture: large enough, and such that a reader is safe; how.
  @discardableResult
  public static func check(
    layout: PixelLayout, descriptor raw: Int32, offset: UInt64 = 0
  ) throws(Refusal) -> SharedMemory.ReaderSafety {
    guard let safety = SharedMemory.readerSafety(of: raw) else { throw .notSealed }
    let byteCount: UInt64
    do { byteCount = try SharedMemory.size(of: raw) } catch { throw .system(error) }
    guard offset <= byteCount, byteCount - offset >= UInt64(layout.byteCount) else {
      throw .tooShort(byteCount: byteCount, needed: layout.byteCount)
    }
    return safety
  }

  /// The memory. Only between `beginReading` and `endReading` it is sure to hold what a device wrote.
  public var bytes: UnsafeRawBufferPointer { mapping.bytes }

  /// Before pixels are read.
  public func beginReading() {
    if let dmaBuf { DMABuf.beginReading(dmaBuf.raw) }
  }

  /// After pixels were read.
  public func endReading() {
    if let dmaBuf { DMABuf.endReading(dmaBuf.raw) }
  }

  /// Whether its owner has taken the memory away: it reads as zeros from then on.
  public var isLost: Bool { guardian?.hasFaulted ?? false }
}
