import Buffers
import GPUDevice
import VhostUser

extension DisplayPixels {
  /// The pixels that a scanout shows, as the display socket wants them: x8r8g8b8. Those in a host buffer with the same
  /// bytes are sent as they are, others found and converted on their way.
  init(content: ScanoutContent) {
    let picture = content.picture
    let source = content.source
    let isSame = picture.layout.format == .xrgb8888 || picture.layout.format == .argb8888
    if isSame, case .host(let buffer) = picture.memory, let start = buffer.bytes.baseAddress {
      let origin = picture.layout.byteOffset(x: source.x, y: source.y)
      self = .memory(base: UnsafeRawPointer(start) + origin, stride: Int(picture.layout.stride), owner: buffer)
      return
    }
    let order = isSame ? nil : ByteOrder(picture.layout.format)
    self = .converted { area, target in
      let part = Rectangle(
        x: source.x &+ area.x, y: source.y &+ area.y, width: area.width, height: area.height)
      Self.fill(target, with: part, of: picture, order)
    }
  }

  /// Copies a part of a picture; black where its memory is gone.
  private static func fill(
    _ target: UnsafeMutableRawBufferPointer, with part: Rectangle, of picture: Picture, _ order: ByteOrder?
  ) {
    let stride = 4 * Int(part.width)
    guard let base = target.baseAddress, target.count >= stride * Int(part.height) else { return }
    guard picture.copy(part, to: base, stride: stride) else {
      target.initializeMemory(as: UInt8.self, repeating: 0)
      return
    }
    guard let order else { return }
    for row in 0..<Int(part.height) { order.convert(base + row * stride, to: target, row: row, count: Int(part.width)) }
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
