import Platform

/// A picture that another process made, mapped here for reading.
///
/// Its pixels change while they are read. Its size cannot: only sealed memory files are taken.
public final class ReadOnlyBuffer {
  /// Why a buffer that a peer offered is not taken.
  public enum Refusal: Error, Equatable, Sendable {
    /// The file could shrink under the reader.
    case notSealed
    /// The file has fewer bytes than the layout needs.
    case tooShort(byteCount: UInt64, needed: Int)
    /// The system refused.
    case system(SystemError)
  }

  /// Its identity.
  public let id: BufferID
  /// Where the pixels are.
  public let layout: PixelLayout
  private let mapping: MemoryMapping

  /// Maps the memory file, which the caller may close afterwards.
  public init(id: BufferID, layout: PixelLayout, descriptor raw: Int32) throws(Refusal) {
    try Self.check(layout: layout, descriptor: raw)
    self.id = id
    self.layout = layout
    do {
      mapping = try MemoryMapping(descriptor: raw, count: layout.byteCount, access: .readOnly)
    } catch {
      throw .system(error)
    }
  }

  /// Whether a file can hold the picture for good: sealed, and large enough.
  public static func check(layout: PixelLayout, descriptor raw: Int32) throws(Refusal) {
    guard SharedMemory.isSealedAgainstShrinking(raw) else { throw .notSealed }
    let byteCount: UInt64
    do { byteCount = try SharedMemory.size(of: raw) } catch { throw .system(error) }
    guard byteCount >= UInt64(layout.byteCount) else {
      throw .tooShort(byteCount: byteCount, needed: layout.byteCount)
    }
  }

  /// The memory.
  public var bytes: UnsafeRawBufferPointer { mapping.bytes }
}
