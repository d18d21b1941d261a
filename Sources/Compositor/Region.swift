import Buffers
import CPixman

/// A set of pixels of a display, kept as rectangles of 32-bit coordinates: a rectangle of 40000 x 16 is exact.
///
/// Operations change the region in place, so that a region used for every frame allocates nothing after a while.
public final class Region {
  private let storage: UnsafeMutablePointer<pixman_region32_t>

  /// No pixels.
  public init() {
    storage = .allocate(capacity: 1)
    pixman_region32_init(storage)
  }

  /// The pixels of one rectangle.
  public convenience init(_ rectangle: Rectangle) {
    self.init()
    formUnion(Box(rectangle))
  }

  deinit {
    pixman_region32_fini(storage)
    storage.deallocate()
  }

  /// Whether it has no pixels.
  public var isEmpty: Bool { pixman_region32_not_empty(storage) == 0 }

  /// Forgets every pixel.
  public func removeAll() {
    pixman_region32_clear(storage)
  }

  /// Becomes the same set as `other`.
  public func assign(_ other: Region) {
    pixman_region32_copy(storage, other.storage)
  }

  /// Adds the pixels of `other`.
  public func formUnion(_ other: Region) {
    pixman_region32_union(storage, storage, other.storage)
  }

  /// Adds the pixels of a rectangle.
  public func formUnion(_ rectangle: Rectangle) {
    formUnion(Box(rectangle))
  }

  /// Keeps only what `other` has too.
  public func formIntersection(_ other: Region) {
    pixman_region32_intersect(storage, storage, other.storage)
  }

  /// Keeps only what `rectangle` has too.
  public func formIntersection(_ rectangle: Rectangle) {
    formIntersection(Box(rectangle))
  }

  /// Takes the pixels of a rectangle away.
  public func subtract(_ rectangle: Rectangle) {
    subtract(Box(rectangle))
  }

  /// The smallest rectangle around it.
  public var bounds: Rectangle { Rectangle(extents) }

  /// The rectangles it consists of, which do not overlap, top to bottom and left to right.
  public var rectangles: [Rectangle] {
    var list: [Rectangle] = []
    forEachBox { list.append(Rectangle($0)) }
    return list
  }

  /// Whether the pixel belongs to it.
  public func contains(x: Int32, y: Int32) -> Bool {
    pixman_region32_contains_point(storage, x, y, nil) != 0
  }

  var extents: Box { pixman_region32_extents(storage).pointee }

  func formUnion(_ box: Box) {
    guard !box.isEmpty else { return }
    pixman_region32_union_rect(storage, storage, box.x1, box.y1, box.width, box.height)
  }

  func formIntersection(_ box: Box) {
    guard !box.isEmpty else { return removeAll() }
    pixman_region32_intersect_rect(storage, storage, box.x1, box.y1, box.width, box.height)
  }

  func subtract(_ box: Box) {
    guard !box.isEmpty else { return }
    withBoxRegion(box) { pixman_region32_subtract(storage, storage, $0) }
  }

  func forEachBox(_ body: (Box) -> Void) {
    withBoxes { for box in $0 { body(box) } }
  }

  /// Calls `body` with the rectangles where they are; `body` must not change the region.
  func withBoxes(_ body: (UnsafeBufferPointer<Box>) -> Void) {
    var count: Int32 = 0
    let boxes = pixman_region32_rectangles(storage, &count)
    body(UnsafeBufferPointer(start: boxes, count: Int(count)))
  }

  /// Limits what is drawn into `image` to this region.
  func clip(_ image: OpaquePointer) {
    pixman_image_set_clip_region32(image, storage)
  }

  private func withBoxRegion(_ box: Box, _ body: (UnsafeMutablePointer<pixman_region32_t>) -> Void) {
    var region = pixman_region32_t(extents: box, data: nil)
    body(&region)
  }
}

extension Region: Equatable {
  /// Whether both have the same pixels.
  public static func == (left: Region, right: Region) -> Bool {
    pixman_region32_equal(left.storage, right.storage) != 0
  }
}

/// A rectangle by its edges, which may lie outside of the display.
typealias Box = pixman_box32_t

extension Box {
  /// Coordinates are cut to what 31 bits hold, far outside of any display.
  init(left: Int64, top: Int64, right: Int64, bottom: Int64) {
    self.init(
      x1: Self.limited(left), y1: Self.limited(top), x2: Self.limited(right), y2: Self.limited(bottom))
  }

  init(_ rectangle: Rectangle) {
    self.init(
      left: Int64(rectangle.x), top: Int64(rectangle.y), right: Int64(rectangle.maxX), bottom: Int64(rectangle.maxY))
  }

  var isEmpty: Bool { x2 <= x1 || y2 <= y1 }

  func isSame(as other: Box) -> Bool {
    x1 == other.x1 && y1 == other.y1 && x2 == other.x2 && y2 == other.y2
  }

  var width: UInt32 { x2 > x1 ? UInt32(Int64(x2) - Int64(x1)) : 0 }
  var height: UInt32 { y2 > y1 ? UInt32(Int64(y2) - Int64(y1)) : 0 }

  func intersection(_ other: Box) -> Box {
    Box(x1: max(x1, other.x1), y1: max(y1, other.y1), x2: min(x2, other.x2), y2: min(y2, other.y2))
  }

  private static func limited(_ value: Int64) -> Int32 {
    let limit: Int64 = 1 << 30
    return Int32(truncatingIfNeeded: min(max(value, -limit), limit))
  }
}

extension Rectangle {
  /// The part of a box that has no negative coordinates.
  init(_ box: Box) {
    let left = max(box.x1, 0)
    let top = max(box.y1, 0)
    self.init(
      x: UInt32(left), y: UInt32(top), width: UInt32(max(0, Int64(box.x2) - Int64(left))),
      height: UInt32(max(0, Int64(box.y2) - Int64(top))))
  }
}
