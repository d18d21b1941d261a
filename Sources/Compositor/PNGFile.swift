import Buffers
import CPNG
import CPixman
import Glibc
import Platform

/// Writes pictures as PNG files.
public enum PNGFile {
  /// Writes a picture; its alpha is not looked at.
  ///
  /// The file appears whole or not at all: it is written under another name in the same folder, then renamed.
  ///
  /// - Parameters:
  ///   - pixels: memory that begins as the layout says, `layout.offset` included.
  public static func write(path: String, pixels: UnsafeRawBufferPointer, layout: PixelLayout) throws(CompositorError) {
    guard pixels.count >= layout.byteCount, let base = pixels.baseAddress, Painter.canRead(layout),
      let format = layout.format.opaquePixmanFormat
    else { throw .image(path: path, reason: "the picture's layout is not supported") }
    let packed = try pack(base + Int(layout.offset), layout, format, path)
    try write(packed, layout.size, to: path)
  }

  /// Writes XRGB8888 pixels whose rows follow each other without a gap.
  public static func write(path: String, pixels: [UInt32], size: Size) throws(CompositorError) {
    guard let layout = PixelLayout(size: size, format: .xrgb8888) else {
      throw .image(path: path, reason: "a picture of \(size) cannot be written")
    }
    do {
      try pixels.withUnsafeBytes { try write(path: path, pixels: $0, layout: layout) }
    } catch let error as CompositorError {
      throw error
    } catch {
      throw .image(path: path, reason: "\(error)")
    }
  }

  /// Three bytes R, G, B for each pixel, rows padded to four.
  private static func pack(
    _ first: UnsafeRawPointer, _ layout: PixelLayout, _ format: pixman_format_code_t, _ path: String
  ) throws(CompositorError) -> [UInt8] {
    let (width, height) = (Int(layout.size.width), Int(layout.size.height))
    let stride = self.stride(layout.size)
    var packed = [UInt8](repeating: 0, count: stride * height)
    let isDone = packed.withUnsafeMutableBytes { room in
      guard let base = room.baseAddress,
        let target = PixmanImage(format: PIXMAN_b8g8r8, width: width, height: height, pixels: base, stride: stride),
        let source = PixmanImage(
          format: format, width: width, height: height, pixels: UnsafeMutableRawPointer(mutating: first),
          stride: Int(layout.stride))
      else { return false }
      pixman_image_composite32(
        PIXMAN_OP_SRC, source.pointer, nil, target.pointer, 0, 0, 0, 0, 0, 0, Int32(width), Int32(height))
      return true
    }
    guard isDone else { throw .outOfMemory }
    return packed
  }

  private static func stride(_ size: Size) -> Int { (Int(size.width) * 3 + 3) / 4 * 4 }

  private static func write(_ packed: [UInt8], _ size: Size, to path: String) throws(CompositorError) {
    let temporary = "\(path).\(getpid()).tmp"
    unlink(temporary)
    guard let file = fopen(temporary, "wxe") else {
      throw .image(path: path, reason: SystemError.last("create").description)
    }
    let reason = encode(packed, size, file)
    let isClosed = fclose(file) == 0
    if let reason = reason ?? (isClosed ? nil : SystemError.last("write").description) {
      unlink(temporary)
      throw .image(path: path, reason: reason)
    }
    guard rename(temporary, path) == 0 else {
      let reason = SystemError.last("rename").description
      unlink(temporary)
      throw .image(path: path, reason: reason)
    }
  }

  /// Why it failed, if it did.
  private static func encode(_ packed: [UInt8], _ size: Size, _ file: UnsafeMutablePointer<FILE>) -> String? {
    var image = png_image()
    image.version = png_uint_32(PNG_IMAGE_VERSION)
    image.width = size.width
    image.height = size.height
    image.format = png_uint_32(PNG_FORMAT_FLAG_COLOR)
    let isDone = packed.withUnsafeBytes { bytes in
      png_image_write_to_stdio(&image, file, 0, bytes.baseAddress, Int32(stride(size)), nil) != 0
    }
    if isDone { return nil }
    return withUnsafeBytes(of: image.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
