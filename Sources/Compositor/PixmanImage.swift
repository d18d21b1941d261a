import Buffers
import CPixman

/// The one owner of a pixman image.
struct PixmanImage: ~Copyable {
  let pointer: OpaquePointer

  /// Takes over what pixman made; nil when it had no memory or refused the numbers.
  private init?(_ pointer: OpaquePointer?) {
    guard let pointer else { return nil }
    self.pointer = pointer
  }

  /// Pixels in memory that outlives the image. The address and the stride must be multiples of four.
  init?(
    format: pixman_format_code_t, width: Int, height: Int, pixels: UnsafeMutableRawPointer, stride: Int
  ) {
    guard let width = Int32(exactly: width), let height = Int32(exactly: height), let stride = Int32(exactly: stride),
      stride % 4 == 0, UInt(bitPattern: pixels) % 4 == 0
    else { return nil }
    self.init(
      pixman_image_create_bits_no_clear(
        format, width, height, pixels.assumingMemoryBound(to: UInt32.self), stride))
  }

  /// One colour everywhere.
  init?(color: pixman_color_t) {
    var color = color
    self.init(pixman_image_create_solid_fill(&color))
  }

  deinit {
    pixman_image_unref(pointer)
  }

  /// Looks the image up at `scale * (x, y) + offset`, with a bilinear filter; `edge` says what is beyond it.
  func sample(scale: (x: Double, y: Double), offset: (x: Double, y: Double), edge: pixman_repeat_t) {
    var transform = pixman_transform_t()
    pixman_transform_init_identity(&transform)
    transform.matrix.0.0 = Self.fixed(scale.x)
    transform.matrix.0.2 = Self.fixed(offset.x)
    transform.matrix.1.1 = Self.fixed(scale.y)
    transform.matrix.1.2 = Self.fixed(offset.y)
    pixman_image_set_transform(pointer, &transform)
    pixman_image_set_filter(pointer, PIXMAN_FILTER_BILINEAR, nil, 0)
    pixman_image_set_repeat(pointer, edge)
  }

  private static func fixed(_ value: Double) -> pixman_fixed_t {
    let scaled = (value * 65536).rounded()
    return pixman_fixed_t(min(max(scaled, Double(Int32.min)), Double(Int32.max)))
  }
}

extension PixelFormat {
  /// The format's name in pixman; nil for one that it does not have.
  ///
  /// A screen has nothing behind it, so what a scanout's alpha says is not looked at.
  var opaquePixmanFormat: pixman_format_code_t? {
    switch self {
    case .argb8888, .xrgb8888: PIXMAN_x8r8g8b8
    case .bgra8888, .bgrx8888: PIXMAN_b8g8r8x8
    case .abgr8888, .xbgr8888: PIXMAN_x8b8g8r8
    case .rgba8888, .rgbx8888: PIXMAN_r8g8b8x8
    default: nil
    }
  }
}
