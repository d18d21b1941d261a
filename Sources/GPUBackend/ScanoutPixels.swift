import Buffers
import GPUDevice
import VhostUser

extension DisplayPixels {
  /// The pixels that a scanout shows, as the display socket wants them: x8r8g8b8. Formats with the same bytes are sent
  /// as they are, others converted on their way.
  init(content: ScanoutContent) {
    let buffer = content.buffer
    let source = content.source
    let stride = Int(buffer.layout.stride)
    let origin = buffer.layout.byteOffset(x: source.x, y: source.y)
    guard let start = buffer.bytes.baseAddress else {
      self = .converted { _, _ in }
      return
    }
    let base = UnsafeRawPointer(start) + origin
    switch buffer.layout.format {
    case .xrgb8888, .argb8888:
      self = .memory(base: base, stride: stride, owner: buffer)
    case let format:
      let order = ByteOrder(format)
      self = .converted { area, target in
        withExtendedLifetime(buffer) {
          for row in 0..<Int(area.height) {
            let from = base + (Int(area.y) + row) * stride + 4 * Int(area.x)
            order.convert(from, to: target, row: row, count: Int(area.width))
          }
        }
      }
    }
  }
}

/// How far a pixel's red, green and blue are from the low end of its little-endian word, in bits.
private struct ByteOrder {
  private let red: UInt32, green: UInt32, blue: UInt32

  init(_ format: PixelFormat) {
    (red, green, blue) =
      switch format {
      case .abgr8888, .xbgr8888: (0, 8, 16)
      case .rgba8888, .rgbx8888: (24, 16, 8)
      case .bgra8888, .bgrx8888: (8, 16, 24)
      default: (16, 8, 0)
      }
  }

  /// Writes one row of the target, whose rows have `count` pixels and no gaps.
  func convert(_ source: UnsafeRawPointer, to target: UnsafeMutableRawBufferPointer, row: Int, count: Int) {
    for column in 0..<count {
      let pixel = UInt32(littleEndian: source.loadUnaligned(fromByteOffset: 4 * column, as: UInt32.self))
      let rgb = (pixel >> red & 0xff) << 16 | (pixel >> green & 0xff) << 8 | pixel >> blue & 0xff
      target.storeBytes(of: rgb.littleEndian, toByteOffset: 4 * (row * count + column), as: UInt32.self)
    }
  }
}
