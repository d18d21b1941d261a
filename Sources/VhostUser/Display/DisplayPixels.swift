import Buffers

/// Where a scanout's pixels come from. They are read when a message is sent, not when it is asked for.
public enum DisplayPixels {
  /// Rows of x8r8g8b8 (little endian: bytes B, G, R, X) in memory that `owner` keeps in place. `base` is the scanout's
  /// upper left pixel and `stride` the distance of rows in bytes. Large areas go from here into the socket directly.
  case memory(base: UnsafeRawPointer, stride: Int, owner: AnyObject)
  /// Any other format: the closure writes the pixels of an area as x8r8g8b8, row after row without gaps.
  case converted((_ area: Rectangle, _ target: UnsafeMutableRawBufferPointer) -> Void)

  /// Copies an area out, row after row without gaps.
  func copy(_ area: Rectangle, into target: UnsafeMutableRawBufferPointer) {
    switch self {
    case .converted(let convert): convert(area, target)
    case .memory(let base, let stride, _):
      guard var row = target.baseAddress else { return }
      let rowBytes = 4 * Int(area.width)
      var source = base + Int(area.y) * stride + 4 * Int(area.x)
      for _ in 0..<area.height {
        row.copyMemory(from: source, byteCount: rowBytes)
        row += rowBytes
        source += stride
      }
    }
  }
}
