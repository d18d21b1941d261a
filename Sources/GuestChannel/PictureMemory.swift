import Buffers
import CrossDomain
import GPUDevice

/// What a picture that a program asks about (GET_IMAGE_REQUIREMENTS) has to be like.
struct PictureMemory {
  /// One byte a pixel (DRM_FORMAT_R8): with one row, the way of asking for that many bytes of any use.
  private static let bytes: UInt32 = 0x2020_3852
  /// Columns and rows of a picture that has known pixels.
  private static let extents: ClosedRange<UInt32> = 1...16_384
  /// Bytes of memory of any use.
  private static let sizes: ClosedRange<UInt64> = 1...1 << 30

  let stride: UInt32
  let offset: UInt32
  /// Whole pages.
  let byteCount: Int

  init(_ query: ImageQuery) throws(GPUError) {
    let size = Size(width: query.width, height: query.height)
    if query.format == Self.bytes {
      let count = UInt64(size.width) * UInt64(size.height)
      guard Self.sizes.contains(count) else { throw .invalidSize(size) }
      try self.init(stride: size.width, offset: 0, Int(count), size)
    } else {
      let layout = try Self.layout(size, PixelFormat(rawValue: query.format))
      try self.init(stride: layout.stride, offset: UInt32(clamping: layout.offset), layout.byteCount, size)
    }
  }

  private init(stride: UInt32, offset: UInt32, _ byteCount: Int, _ size: Size) throws(GPUError) {
    guard let pages = HostMemory.wholePages(byteCount) else { throw .invalidSize(size) }
    self.stride = stride
    self.offset = offset
    self.byteCount = pages
  }

  private static func layout(_ size: Size, _ format: PixelFormat) throws(GPUError) -> PixelLayout {
    guard extents.contains(size.width), extents.contains(size.height) else { throw .invalidSize(size) }
    guard let layout = try? Constraints.unstated.layout(size: size, format: format) else {
      throw .unknownFormat(format.rawValue)
    }
    return layout
  }
}
