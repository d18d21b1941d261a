/// A rectangle of pixels. Nothing about it is checked: it may come from a guest, so its far edges are 64-bit.
public struct Rectangle: Hashable, Sendable, CustomStringConvertible {
  /// The upper left pixel.
  public var x: UInt32, y: UInt32
  /// The extent in pixels.
  public var width: UInt32, height: UInt32

  /// A rectangle by its corner and extent.
  @inlinable
  public init(x: UInt32, y: UInt32, width: UInt32, height: UInt32) {
    self.x = x
    self.y = y
    self.width = width
    self.height = height
  }

  /// The whole of something of that size.
  @inlinable
  public init(_ size: Size) {
    self.init(x: 0, y: 0, width: size.width, height: size.height)
  }

  /// A rectangle without pixels.
  public static let empty = Rectangle(x: 0, y: 0, width: 0, height: 0)

  /// The first column right of it.
  @inlinable public var maxX: UInt64 { UInt64(x) + UInt64(width) }
  /// The first row below it.
  @inlinable public var maxY: UInt64 { UInt64(y) + UInt64(height) }
  /// Whether it has no pixels.
  @inlinable public var isEmpty: Bool { width == 0 || height == 0 }
  /// Its extent.
  @inlinable public var size: Size { Size(width: width, height: height) }

  /// Whether every pixel of it is inside something of that size.
  @inlinable
  public func fits(in size: Size) -> Bool {
    maxX <= UInt64(size.width) && maxY <= UInt64(size.height)
  }

  /// Whether every pixel of `other` is in this one. An empty rectangle is in every one.
  @inlinable
  public func contains(_ other: Rectangle) -> Bool {
    other.isEmpty || (other.x >= x && other.y >= y && other.maxX <= maxX && other.maxY <= maxY)
  }

  /// The pixels that both have; `.empty` when there are none.
  @inlinable
  public func intersection(_ other: Rectangle) -> Rectangle {
    let left = max(x, other.x)
    let top = max(y, other.y)
    let right = min(maxX, other.maxX)
    let bottom = min(maxY, other.maxY)
    guard right > UInt64(left), bottom > UInt64(top) else { return Rectangle(x: 0, y: 0, width: 0, height: 0) }
    return Rectangle(
      x: left, y: top, width: UInt32(right - UInt64(left)), height: UInt32(bottom - UInt64(top)))
  }

  /// The smallest rectangle around both; an extent that does not fit 32 bits is cut off.
  @inlinable
  public func union(_ other: Rectangle) -> Rectangle {
    if isEmpty { return other }
    if other.isEmpty { return self }
    let left = min(x, other.x)
    let top = min(y, other.y)
    return Rectangle(
      x: left, y: top, width: UInt32(clamping: max(maxX, other.maxX) - UInt64(left)),
      height: UInt32(clamping: max(maxY, other.maxY) - UInt64(top)))
  }

  /// As "WIDTHxHEIGHT+X+Y".
  public var description: String { "\(width)x\(height)+\(x)+\(y)" }
}

/// An extent in pixels.
public struct Size: Hashable, Sendable, CustomStringConvertible {
  /// Columns and rows.
  public var width: UInt32, height: UInt32

  /// An extent.
  @inlinable
  public init(width: UInt32, height: UInt32) {
    self.width = width
    self.height = height
  }

  /// Reads "1280x800"; nil when the text is not two numbers above 0.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "x", omittingEmptySubsequences: false)
    guard parts.count == 2, let width = UInt32(parts[0]), let height = UInt32(parts[1]), width > 0, height > 0,
      parts.allSatisfy({ $0.allSatisfy(\.isNumber) })
    else { return nil }
    self.init(width: width, height: height)
  }

  /// Whether it has no pixels.
  @inlinable public var isEmpty: Bool { width == 0 || height == 0 }

  /// As "1280x800".
  public var description: String { "\(width)x\(height)" }
}
