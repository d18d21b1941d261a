import Buffers

/// Where in a pixel's four bytes its colours are.
struct ColourOrder: Equatable {
  let red: Int, green: Int, blue: Int
  /// The byte that says how opaque the pixel is, or that nobody reads.
  let alpha: Int

  /// The order of a known format.
  init(_ format: PixelFormat) {
    switch format {
    case .bgra8888, .bgrx8888: (alpha, red, green, blue) = (0, 1, 2, 3)
    case .abgr8888, .xbgr8888: (red, green, blue, alpha) = (0, 1, 2, 3)
    case .rgba8888, .rgbx8888: (alpha, blue, green, red) = (0, 1, 2, 3)
    default: (blue, green, red, alpha) = (0, 1, 2, 3)
    }
  }

  /// An opaque pixel, as a little-endian word.
  func pixel(red: UInt32, green: UInt32, blue: UInt32) -> UInt32 {
    red << shift(self.red) | green << shift(self.green) | blue << shift(self.blue) | 255 << shift(alpha)
  }

  private func shift(_ byte: Int) -> UInt32 { UInt32(8 * byte) }
}

extension PixelFormat {
  /// Reads "XRGB8888" and its like.
  public init?(name: some StringProtocol) {
    let names: [(String, PixelFormat)] = [
      ("ARGB8888", .argb8888), ("XRGB8888", .xrgb8888), ("BGRA8888", .bgra8888), ("BGRX8888", .bgrx8888),
      ("ABGR8888", .abgr8888), ("XBGR8888", .xbgr8888), ("RGBA8888", .rgba8888), ("RGBX8888", .rgbx8888),
    ]
    guard let format = names.first(where: { $0.0 == name.uppercased() })?.1 else { return nil }
    self = format
  }
}
