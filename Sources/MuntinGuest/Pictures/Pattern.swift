import Buffers

/// A picture that tells by each of its pixels which frame it is and where the pixel stands.
///
/// Of frame f, column x and row y the colour is red = x mod 256, green = y mod 256,
/// blue = (16 * (x / 256) + y / 256 + 37 * f) mod 256.
enum Pattern {
  /// Draws a frame into memory that begins as the layout says.
  static func draw(_ frame: UInt64, into bytes: UnsafeMutableRawBufferPointer, _ layout: PixelLayout) {
    let order = ColourOrder(layout.format)
    let seed = UInt32(truncatingIfNeeded: frame &* 37)
    for y in 0..<layout.size.height {
      let row = layout.byteOffset(x: 0, y: y)
      for x in 0..<layout.size.width {
        let blue = (16 * (x / 256) &+ y / 256 &+ seed) & 255
        let pixel = order.pixel(red: x & 255, green: y & 255, blue: blue)
        bytes.storeBytes(of: pixel.littleEndian, toByteOffset: row + 4 * Int(x), as: UInt32.self)
      }
    }
  }
}
