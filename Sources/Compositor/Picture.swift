import Buffers
import CPixman

/// A part of a buffer as one layer shows it. What pixman needs to read it is made once, with the first frame.
final class Picture {
  /// Columns or rows from which on pixman does not scale a picture.
  private static let scalingLimit: UInt32 = 0x7fff

  let buffer: ReadOnlyBuffer
  /// What is shown of the buffer.
  let source: Rectangle
  let projection: Projection
  /// What pixman reads, and for which box of the display it was made.
  private var image: PixmanImage?
  private var imageBox = Box(left: 0, top: 0, right: 0, bottom: 0)

  init(_ buffer: ReadOnlyBuffer, source: Rectangle, projection: Projection) {
    self.buffer = buffer
    self.source = source
    self.projection = projection
  }

  /// An image whose upper left pixel belongs at that of `seen`, a box of the display inside the picture; it lives as
  /// long as this object, until another box is asked for. Nil when pixman cannot read it.
  func image(of seen: Box) -> OpaquePointer? {
    if !imageBox.isSame(as: seen) {
      image = makeImage(seen)
      imageBox = seen
    }
    return image?.pointer
  }

  private func makeImage(_ seen: Box) -> PixmanImage? {
    guard Painter.canRead(buffer.layout), source.fits(in: buffer.layout.size), !seen.isEmpty,
      let part = part(seen), let format = buffer.layout.format.opaquePixmanFormat,
      let first = buffer.bytes.baseAddress?.advanced(by: buffer.layout.byteOffset(x: part.x, y: part.y)),
      let image = PixmanImage(
        format: format, width: Int(part.width), height: Int(part.height),
        pixels: UnsafeMutableRawPointer(mutating: first), stride: Int(buffer.layout.stride))
    else { return nil }
    if projection.isScaled {
      image.sample(
        scale: (projection.horizontal.step, projection.vertical.step),
        offset: (projection.horizontal.source(at: seen.x1), projection.vertical.source(at: seen.y1)),
        edge: PIXMAN_REPEAT_PAD)
    }
    return image
  }

  /// What pixman gets to see of the source. Scaled: all of it, so that its edge pixels repeat, and pixels next to it do
  /// not show. Unscaled: what is seen, which has no limit of size.
  private func part(_ seen: Box) -> Rectangle? {
    if projection.isScaled {
      return max(source.width, source.height) < Self.scalingLimit ? source : nil
    }
    let part = Rectangle(
      x: source.x &+ UInt32(clamping: Int64(seen.x1) - projection.horizontal.anchor),
      y: source.y &+ UInt32(clamping: Int64(seen.y1) - projection.vertical.anchor),
      width: seen.width, height: seen.height)
    return source.contains(part) ? part : nil
  }
}
