import Buffers
import GPUDevice
import Platform

/// Host buffers into which pictures in the guest's own memory are copied.
struct PictureCopies {
  private var copies: [BufferID: HostBuffer] = [:]

  mutating func buffer(of picture: Picture, for scanout: ScanoutID) throws(SystemError) -> HostBuffer {
    if case .host(let buffer) = picture.memory { return buffer }
    if let known = copies[picture.id] { return known }
    let layout = PixelLayout(size: picture.layout.size, format: picture.layout.format) ?? picture.layout
    let fresh = try HostBuffer(layout: layout)
    copies[picture.id] = fresh
    _ = update(picture, Rectangle(layout.size))
    return fresh
  }

  func drop(_ scanout: ScanoutID) {}

  func update(_ picture: Picture, _ damage: Rectangle) -> UInt64? {
    guard let copy = copies[picture.id], let base = copy.bytes.baseAddress else { return nil }
    let start = base + copy.layout.byteOffset(x: damage.x, y: damage.y)
    guard picture.copy(damage, to: start, stride: Int(copy.layout.stride)) else { return nil }
    return UInt64(damage.width) * UInt64(damage.height)
  }

  mutating func retire(_ picture: Picture) -> BufferID {
    copies.removeValue(forKey: picture.id)?.id ?? picture.id
  }
}
