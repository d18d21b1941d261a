import Buffers
import HubProtocol

/// How a picture of any size fills a layer's area.
///
/// Along each axis, display coordinate `d` shows source coordinate `(d - anchor) * step`, where the source's upper left
/// corner is 0.
struct Projection {
  /// Where source pixels are seen: the area less its bars.
  let picture: Box
  /// Whether source and display pixels differ in size.
  let isScaled: Bool
  let horizontal: Axis
  let vertical: Axis

  struct Axis {
    /// Display coordinate of source coordinate 0.
    let anchor: Int64
    /// Source pixels for one display pixel, above 0.
    let step: Double

    /// The display coordinates that show any of the source's `range`, with one source pixel of margin on each side for
    /// the filter.
    func image(of range: Range<Int64>, margin: Double) -> Range<Int64> {
      let first = (Double(range.lowerBound) - margin) / step
      let last = (Double(range.upperBound) + margin) / step
      let lower = anchor &+ Self.whole(first.rounded(.down))
      return lower..<max(lower, anchor &+ Self.whole(last.rounded(.up)))
    }

    /// Source coordinate at the left edge of a display pixel.
    func source(at display: Int32) -> Double {
      Double(Int64(display) - anchor) * step
    }

    private static func whole(_ value: Double) -> Int64 {
      let limit = Double(1 << 40)
      return Int64(min(max(value, -limit), limit))
    }
  }

  /// Places a source of `source` pixels into `area`. Neither may be empty.
  init(source: Size, area: Rectangle, mode: ScaleMode) {
    let extent = Self.extent(of: source, in: area.size, mode)
    let box = Box(area)
    switch mode {
    case .none:
      horizontal = Axis(anchor: Int64(area.x), step: 1)
      vertical = Axis(anchor: Int64(area.y), step: 1)
    case .fit, .fill:
      let left = Int64(area.x) + Self.margin(area.width, extent.width)
      let top = Int64(area.y) + Self.margin(area.height, extent.height)
      horizontal = Axis(anchor: left, step: Double(source.width) / Double(extent.width))
      vertical = Axis(anchor: top, step: Double(source.height) / Double(extent.height))
    }
    isScaled = horizontal.step != 1 || vertical.step != 1
    let whole = Box(
      left: horizontal.anchor, top: vertical.anchor, right: horizontal.anchor &+ Int64(clamping: extent.width),
      bottom: vertical.anchor &+ Int64(clamping: extent.height))
    picture = whole.intersection(box)
  }

  /// Where a rectangle of the source is seen, rounded outwards.
  func image(left: Int64, top: Int64, width: Int64, height: Int64) -> Box {
    let margin: Double = isScaled ? 1 : 0
    let columns = horizontal.image(of: left..<max(left, left &+ width), margin: margin)
    let rows = vertical.image(of: top..<max(top, top &+ height), margin: margin)
    return Box(left: columns.lowerBound, top: rows.lowerBound, right: columns.upperBound, bottom: rows.upperBound)
      .intersection(picture)
  }

  /// Size on the display of the whole source; in `fill` it may exceed the area.
  private static func extent(of source: Size, in area: Size, _ mode: ScaleMode) -> (width: UInt64, height: UInt64) {
    let (sourceWidth, sourceHeight) = (UInt64(source.width), UInt64(source.height))
    let (areaWidth, areaHeight) = (UInt64(area.width), UInt64(area.height))
    let isWider = sourceWidth * areaHeight > areaWidth * sourceHeight
    switch mode {
    case .none: return (sourceWidth, sourceHeight)
    case .fit where isWider, .fill where !isWider:
      return (areaWidth, max(1, rounded(sourceHeight, times: areaWidth, over: sourceWidth)))
    case .fit, .fill:
      return (max(1, rounded(sourceWidth, times: areaHeight, over: sourceHeight)), areaHeight)
    }
  }

  /// Products of two 32-bit numbers, plus half of one, fit 64 bits.
  private static func rounded(_ value: UInt64, times factor: UInt64, over divisor: UInt64) -> UInt64 {
    (value * factor + divisor / 2) / divisor
  }

  private static func margin(_ area: UInt32, _ extent: UInt64) -> Int64 {
    // Floor division also for a negative margin, so that `fill` crops the same way at every size.
    (Int64(area) - Int64(clamping: extent)) >> 1
  }
}
