/// Where a picture's pixels are in a buffer's bytes: one plane, rows `stride` bytes apart.
public struct PixelLayout: Hashable, Sendable {
  /// Columns and rows, both above 0.
  public let size: Size
  /// What a pixel's bytes mean.
  public let format: PixelFormat
  /// Bytes from one row to the next, at least a row's own.
  public let stride: UInt32
  /// Bytes before the first row.
  public let offset: UInt64

  /// A layout whose numbers agree: a known format, no empty extent, rows that do not overlap, an end that fits
  /// `Int.max`. Nil otherwise. Without `stride`, rows follow each other without a gap.
  public init?(size: Size, format: PixelFormat, stride: UInt32? = nil, offset: UInt64 = 0) {
    guard format.isKnown, !size.isEmpty else { return nil }
    let (row, overflow) = size.width.multipliedReportingOverflow(by: format.bytesPerPixel)
    let stride = stride ?? row
    guard !overflow, stride >= row else { return nil }
    let pixels = UInt64(stride) * UInt64(size.height - 1) + UInt64(row)
    let (end, overflow2) = offset.addingReportingOverflow(pixels)
    guard !overflow2, end <= UInt64(Int.max) else { return nil }
    self.size = size
    self.format = format
    self.stride = stride
    self.offset = offset
  }

  /// The same picture so many bytes further on; nil when its end would not fit `Int.max`.
  public func moved(by count: UInt64) -> PixelLayout? {
    let (start, overflow) = offset.addingReportingOverflow(count)
    return overflow ? nil : PixelLayout(size: size, format: format, stride: stride, offset: start)
  }

  /// Bytes of one row's pixels.
  @inlinable public var rowByteCount: Int { Int(size.width) * Int(format.bytesPerPixel) }
  /// Bytes from the buffer's start to the end of the last pixel.
  @inlinable public var byteCount: Int {
    Int(offset) + Int(stride) * (Int(size.height) - 1) + rowByteCount
  }

  /// The byte at which pixel (x, y), which must be inside, begins.
  @inlinable
  public func byteOffset(x: UInt32, y: UInt32) -> Int {
    Int(offset) + Int(y) * Int(stride) + Int(x) * Int(format.bytesPerPixel)
  }
}
