import Platform

/// A picture that another process made, mapped here for reading.
///
/// Its pixels change while they are read. Its size cannot where the system has a way to fix it; elsewhere memory that
/// its owner takes away reads as zeros from then on.
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
  private let guardian: FaultGuard?

  /// Maps the memory file, which the caller may close afterwards.
  public init(id: BufferID, layout: PixelLayout, descriptor raw: Int32) throws(Refusal) {
    let safety = try Self.check(layout: layout, descriptor: raw)
    self.id = id
    self.layout = layout
    do {
      mapping = try MemoryMapping(descriptor: raw, count: layout.byteCount, access: .readOnly)
      guardian = safety == .mustGuard ? try FaultGuard(mapping) : nil
    } catch {
      throw .system(error)
    }
  }

  /// Whether its owner has taken the memory away. Never so where the system fixes the size of files.
  public var isLost: Bool { guardian?.hasFaulted ?? false }

  /// Whether a file can hold the picture: large enough, and such that a reader is safe; how.
  @discardableResult
  public static func check(
    layout: PixelLayout, descriptor raw: Int32
  ) throws(Refusal) -> SharedMemory.ReaderSafety {
    guard let safety = SharedMemory.readerSafety(of: raw) else { throw .notSealed }
    let byteCount: UInt64
    do { byteCount = try SharedMemory.size(of: raw) } catch { throw .system(error) }
    guard byteCount >= UInt64(layout.byteCount) else {
      throw .tooShort(byteCount: byteCount, needed: layout.byteCount)
    }
    return safety
  }

  /// The memory.
  public var bytes: UnsafeRawBufferPointer { mapping.bytes }
}
