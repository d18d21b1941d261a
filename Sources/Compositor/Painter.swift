import Buffers
import CPixman
import HubProtocol

/// Carries out a paint list with pixman, in memory of the display's size.
public final class Painter {
  /// Colours of a placeholder.
  private static let paper = pixman_color_t(red: 0x2020, green: 0x2424, blue: 0x2a2a, alpha: .max)
  private static let ink = pixman_color_t(red: 0xc8c8, green: 0xcccc, blue: 0xd2d2, alpha: .max)
  private static let black = pixman_color_t(red: 0, green: 0, blue: 0, alpha: .max)

  private let target: PixmanImage
  private let size: Size
  private var labels = LabelCache()
  private let scratch = Region()

  /// Paints XRGB8888 pixels into memory that outlives the painter; nil when the numbers are not pixman's.
  public init?(size: Size, pixels: UnsafeMutableRawPointer, stride: Int) {
    guard
      let target = PixmanImage(
        format: PIXMAN_x8r8g8b8, width: Int(size.width), height: Int(size.height), pixels: pixels, stride: stride)
    else { return nil }
    self.target = target
    self.size = size
  }

  /// What this painter can use: pixels that pixman can read, in memory that can be mapped.
  public static let constraints: Constraints = {
    var constraints = Constraints.unstated
    constraints.strideAlignment = 4
    constraints.offsetAlignment = 4
    constraints.maximumStride = UInt32(Int32.max)
    constraints.memoryKinds = .mappable
    return constraints
  }()

  /// Whether pixman can read pixels that lie so: words at multiples of four bytes, less than 8 GiB.
  public static func canRead(_ layout: PixelLayout) -> Bool {
    layout.offset % 4 == 0 && layout.stride % 4 == 0 && layout.stride <= UInt32(Int32.max)
      && UInt64(layout.stride / 4) * UInt64(layout.size.height) <= UInt64(Int32.max)
      && layout.format.opaquePixmanFormat != nil
  }

  /// Paints. Nothing outside of the list's damage is written.
  public func paint(_ list: PaintList) {
    for item in list.items { paint(item) }
    pixman_image_set_clip_region32(target.pointer, nil)
  }

  private func paint(_ item: PaintList.Item) {
    switch item.operation {
    case .black:
      fill(item.clip, Self.black, item.opacity)
    case .placeholder(let name, let reason, let area):
      fill(item.clip, Self.paper, item.opacity)
      scratch.assign(labels.region(name: name, reason: reason, in: area))
      scratch.formIntersection(item.clip)
      fill(scratch, Self.ink, item.opacity)
    case .picture(let picture):
      if !paint(picture, item) { fill(item.clip, Self.black, item.opacity) }
    case .cursor(let cursor, let projection):
      paint(cursor, projection, item)
    }
  }

  private func fill(_ region: Region, _ color: pixman_color_t, _ opacity: UInt8) {
    var color = Self.faded(color, opacity)
    pixman_image_set_clip_region32(target.pointer, nil)
    let operation = opacity == .max ? PIXMAN_OP_SRC : PIXMAN_OP_OVER
    region.withBoxes { boxes in
      guard !boxes.isEmpty else { return }
      _ = pixman_image_fill_boxes(operation, target.pointer, &color, Int32(boxes.count), boxes.baseAddress)
    }
  }

  private func paint(_ picture: Picture, _ item: PaintList.Item) -> Bool {
    let seen = picture.projection.picture.intersection(Box(Rectangle(size)))
    guard let source = picture.image(of: seen) else { return false }
    picture.buffer.beginReading()
    composite(source, into: seen, item, isOpaque: true)
    picture.buffer.endReading()
    return true
  }

  private func paint(_ cursor: PlacedCursor, _ projection: Projection, _ item: PaintList.Item) {
    let seen = cursor.box(projection).intersection(Box(Rectangle(size)))
    guard !seen.isEmpty else { return }
    cursor.image.pixels.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress,
        let source = PixmanImage(
          format: PIXMAN_a8r8g8b8, width: CursorImage.extent, height: CursorImage.extent,
          pixels: UnsafeMutableRawPointer(mutating: base), stride: CursorImage.extent * 4)
      else { return }
      let x = projection.horizontal.source(at: seen.x1) - Double(cursor.left)
      let y = projection.vertical.source(at: seen.y1) - Double(cursor.top)
      if projection.isScaled {
        source.sample(
          scale: (projection.horizontal.step, projection.vertical.step), offset: (x, y), edge: PIXMAN_REPEAT_NONE)
        composite(source, into: seen, item, isOpaque: false)
      } else {
        composite(
          source, from: (Int32(clamping: Int64(x)), Int32(clamping: Int64(y))), into: seen, item, isOpaque: false)
      }
    }
  }

  private func composite(
    _ source: borrowing PixmanImage, from: (x: Int32, y: Int32) = (0, 0), into box: Box, _ item: PaintList.Item,
    isOpaque: Bool
  ) {
    composite(source.pointer, from: from, into: box, item, isOpaque: isOpaque)
  }

  private func composite(
    _ source: OpaquePointer, from: (x: Int32, y: Int32) = (0, 0), into box: Box, _ item: PaintList.Item,
    isOpaque: Bool
  ) {
    item.clip.clip(target.pointer)
    let operation = isOpaque && item.opacity == .max ? PIXMAN_OP_SRC : PIXMAN_OP_OVER
    if item.opacity == .max {
      composite(operation, source, nil, from, box)
    } else if let mask = PixmanImage(color: Self.faded(Self.black, item.opacity)) {
      composite(operation, source, mask.pointer, from, box)
    }
  }

  private func composite(
    _ operation: pixman_op_t, _ source: OpaquePointer, _ mask: OpaquePointer?, _ from: (x: Int32, y: Int32), _ box: Box
  ) {
    pixman_image_composite32(
      operation, source, mask, target.pointer, from.x, from.y, 0, 0, box.x1, box.y1, Int32(box.width),
      Int32(box.height))
  }

  private static func faded(_ color: pixman_color_t, _ opacity: UInt8) -> pixman_color_t {
    func fade(_ part: UInt16) -> UInt16 { UInt16(UInt32(part) * UInt32(opacity) / 255) }
    return pixman_color_t(
      red: fade(color.red), green: fade(color.green), blue: fade(color.blue), alpha: fade(color.alpha))
  }
}
