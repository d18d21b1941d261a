import Buffers

/// Bytes that a scanout can show, and how they are pixels.
public final class Picture {
  /// Where the bytes are.
  public enum Memory {
    /// A copy that the guest's transfers fill.
    case host(HostBuffer)
    /// Memory of the host's that the guest draws into.
    case hostBlob(HostMemory)
    /// The guest's own pages.
    case guest(GuestPages)
  }

  /// Its identity towards the hub.
  public let id: BufferID
  /// Where the pixels are in the bytes.
  public let layout: PixelLayout
  /// Where the bytes are.
  public let memory: Memory

  init(id: BufferID, layout: PixelLayout, memory: Memory) {
    self.id = id
    self.layout = layout
    self.memory = memory
  }

  convenience init(_ buffer: HostBuffer) {
    self.init(id: buffer.id, layout: buffer.layout, memory: .host(buffer))
  }

  /// Whether it differs from another picture of the same memory by its place alone.
  func isOtherImage(than other: Picture) -> Bool {
    layout.size == other.layout.size && layout.format == other.layout.format && layout.stride == other.layout.stride
  }

  /// Copies a rectangle's pixels out, row after row, `stride` bytes apart, from wherever they are.
  ///
  /// - Returns: whether they could be read: a VMM may have taken the memory away.
  public func copy(
    _ rectangle: Rectangle, to target: UnsafeMutableRawPointer, stride: Int
  ) -> Bool {
    guard rectangle.fits(in: layout.size), !rectangle.isEmpty else { return false }
    let rows = ScatterList.Rows(
      offset: layout.byteOffset(x: rectangle.x, y: rectangle.y), byteCount: Int(rectangle.width) * 4,
      count: Int(rectangle.height), stride: Int(layout.stride))
    switch memory {
    case .host(let buffer): return Self.copy(rows, from: UnsafeRawBufferPointer(buffer.bytes), to: target, stride)
    case .hostBlob(let memory):
      guard let bytes = try? memory.bytes() else { return false }
      return Self.copy(rows, from: bytes, to: target, stride)
    case .guest(let pages): return pages.copy(rows, to: target, stride: stride)
    }
  }

  private static func copy(
    _ rows: ScatterList.Rows, from bytes: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer, _ stride: Int
  ) -> Bool {
    guard let end = rows.end, end <= bytes.count, let base = bytes.baseAddress else { return false }
    for row in 0..<rows.count {
      (target + row * stride).copyMemory(from: base + rows.offset + row * rows.stride, byteCount: rows.byteCount)
    }
    return true
  }
}
