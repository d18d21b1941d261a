/// A cursor's picture: 64 x 64 pixels ARGB8888, premultiplied.
public struct CursorImage: Hashable, Sendable {
  /// Columns and rows.
  public static let extent = 64
  /// Pixels in a picture.
  public static let pixelCount = extent * extent

  /// Row after row; always `pixelCount` of them.
  public let pixels: [UInt32]

  /// A picture of exactly `pixelCount` pixels; nil otherwise.
  public init?(pixels: [UInt32]) {
    guard pixels.count == Self.pixelCount else { return nil }
    self.pixels = pixels
  }

  /// A picture out of at least `pixelCount` little-endian words, as a guest's cursor resource holds them.
  public init?(copying bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.pixelCount * 4 else { return nil }
    self.init(littleEndianBytes: bytes)
  }

  init(littleEndianBytes bytes: UnsafeRawBufferPointer) {
    pixels = [UInt32](unsafeUninitializedCapacity: Self.pixelCount) { room, count in
      for index in 0..<Self.pixelCount {
        room[index] = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self))
      }
      count = Self.pixelCount
    }
  }

  func store(into bytes: UnsafeMutableRawBufferPointer) {
    for (index, pixel) in pixels.enumerated() {
      bytes.storeBytes(of: pixel.littleEndian, toByteOffset: index * 4, as: UInt32.self)
    }
  }
}

/// A scanout's cursor. The picture's pixel (hotX, hotY) is at (x, y) of the scanout.
public struct CursorState: Hashable, Sendable {
  /// The picture; nil while the cursor is hidden.
  public var image: CursorImage?
  /// Where the hot spot is on the scanout; may be outside.
  public var x: Int32, y: Int32
  /// Where the hot spot is in the picture.
  public var hotX: UInt32, hotY: UInt32

  /// A cursor.
  public init(image: CursorImage?, x: Int32, y: Int32, hotX: UInt32 = 0, hotY: UInt32 = 0) {
    self.image = image
    self.x = x
    self.y = y
    self.hotX = hotX
    self.hotY = hotY
  }

  /// No cursor.
  public static let hidden = CursorState(image: nil, x: 0, y: 0)
}
