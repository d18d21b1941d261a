import Buffers

extension ResourceFormat {
  /// The same order of bytes as a DRM fourcc.
  public var pixelFormat: PixelFormat {
    switch self {
    case .b8g8r8a8: .argb8888
    case .b8g8r8x8: .xrgb8888
    case .a8r8g8b8: .bgra8888
    case .x8r8g8b8: .bgrx8888
    case .r8g8b8a8: .abgr8888
    case .x8b8g8r8: .rgbx8888
    case .a8b8g8r8: .rgba8888
    case .r8g8b8x8: .xbgr8888
    }
  }

  /// Which byte of a pixel, by address, holds red, green and blue.
  var channels: (red: UInt32, green: UInt32, blue: UInt32) {
    switch self {
    case .b8g8r8a8, .b8g8r8x8: (2, 1, 0)
    case .a8r8g8b8, .x8r8g8b8: (1, 2, 3)
    case .r8g8b8a8, .r8g8b8x8: (0, 1, 2)
    case .x8b8g8r8, .a8b8g8r8: (3, 2, 1)
    }
  }

  /// Which byte holds the opacity, or is unused: a cursor's opacity is there in both cases, since Linux keeps cursors in
  /// dumb buffers, which it always makes with an X format.
  var alpha: UInt32 {
    switch self {
    case .b8g8r8a8, .b8g8r8x8, .r8g8b8a8, .r8g8b8x8: 3
    case .a8r8g8b8, .x8r8g8b8, .a8b8g8r8, .x8b8g8r8: 0
    }
  }

  /// A cursor's pixel, read as a little-endian word, as ARGB8888.
  func argb(_ pixel: UInt32) -> UInt32 {
    let (red, green, blue) = channels
    return (pixel >> (8 * alpha) & 0xff) << 24 | (pixel >> (8 * red) & 0xff) << 16
      | (pixel >> (8 * green) & 0xff) << 8 | pixel >> (8 * blue) & 0xff
  }
}
