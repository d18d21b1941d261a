/// How the bytes of a pixel mean colours: a DRM fourcc (drm_fourcc.h). The letters name a little-endian 32-bit word
/// from its most significant byte down.
public struct PixelFormat: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The four characters, the first one in the lowest byte.
  public let rawValue: UInt32

  /// A format by its code, known or not.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  private init(_ a: Unicode.Scalar, _ b: Unicode.Scalar) {
    rawValue = a.value | b.value << 8 | 0x34 << 24 | 0x32 << 16
  }

  /// Bytes B, G, R, A.
  public static let argb8888 = PixelFormat("A", "R")
  /// Bytes B, G, R, unused.
  public static let xrgb8888 = PixelFormat("X", "R")
  /// Bytes A, R, G, B.
  public static let bgra8888 = PixelFormat("B", "A")
  /// Bytes unused, R, G, B.
  public static let bgrx8888 = PixelFormat("B", "X")
  /// Bytes R, G, B, A.
  public static let abgr8888 = PixelFormat("A", "B")
  /// Bytes R, G, B, unused.
  public static let xbgr8888 = PixelFormat("X", "B")
  /// Bytes A, B, G, R.
  public static let rgba8888 = PixelFormat("R", "A")
  /// Bytes unused, B, G, R.
  public static let rgbx8888 = PixelFormat("R", "X")

  /// The formats whose meaning Muntin knows.
  public static let known: [PixelFormat] = [
    .argb8888, .xrgb8888, .bgra8888, .bgrx8888, .abgr8888, .xbgr8888, .rgba8888, .rgbx8888,
  ]

  /// Whether Muntin knows what the bytes mean.
  public var isKnown: Bool {
    for index in Self.known.indices where Self.known[index].rawValue == rawValue { return true }
    return false
  }
  /// Bytes of one pixel; all known formats have four.
  public var bytesPerPixel: UInt32 { 4 }
  /// Whether a pixel says how opaque it is.
  public var hasAlpha: Bool {
    self == .argb8888 || self == .bgra8888 || self == .abgr8888 || self == .rgba8888
  }

  /// The four characters.
  public var description: String {
    String(
      (0..<4).map { index -> Character in
        let byte = UInt8(truncatingIfNeeded: rawValue >> (8 * UInt32(index)))
        return byte >= 0x20 && byte < 0x7f ? Character(Unicode.Scalar(byte)) : "?"
      })
  }
}
