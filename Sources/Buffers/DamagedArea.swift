/// What has changed since a copy was made: a few rectangles. Where there are too many, those are joined that cost least.
public struct DamagedArea: Sendable {
  /// The most rectangles that are kept apart.
  public static let maximumCount = 8

  /// The rectangles, none of them inside another; they may overlap.
  public private(set) var rectangles: [Rectangle] = []

  /// Nothing.
  public init() {}

  /// One rectangle.
  public init(_ rectangle: Rectangle) { add(rectangle) }

  /// Whether nothing has changed.
  public var isEmpty: Bool { rectangles.isEmpty }

  /// How many pixels there are to copy.
  public var pixelCount: UInt64 { rectangles.reduce(0) { $0 &+ Self.pixels($1) } }

  /// Adds a rectangle.
  public mutating func add(_ rectangle: Rectangle) {
    guard !rectangle.isEmpty, !rectangles.contains(where: { $0.contains(rectangle) }) else { return }
    rectangles.removeAll { rectangle.contains($0) }
    guard rectangles.count == Self.maximumCount else { return rectangles.append(rectangle) }
    guard let index = rectangles.indices.min(by: { growth($0, rectangle) < growth($1, rectangle) }) else { return }
    let joined = rectangles.remove(at: index).union(rectangle)
    rectangles.removeAll { joined.contains($0) }
    rectangles.append(joined)
  }

  /// By how many pixels a rectangle grows that takes in another.
  private func growth(_ index: Int, _ other: Rectangle) -> UInt64 {
    let sum = Self.pixels(rectangles[index]) &+ Self.pixels(other)
    let joined = Self.pixels(rectangles[index].union(other))
    return joined > sum ? joined - sum : 0
  }

  private static func pixels(_ rectangle: Rectangle) -> UInt64 { UInt64(rectangle.width) * UInt64(rectangle.height) }
}
