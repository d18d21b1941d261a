import Buffers
import CPNG
import Glibc

/// A file with a picture.
public enum PictureFile: Equatable, Sendable {
  case png(String)
  /// The pixels alone, row after row.
  case raw(String)

  /// Where it is.
  public var path: String {
    switch self {
    case .png(let path), .raw(let path): path
    }
  }

  // MARK: Reading

  /// Reads a picture of a size.
  func read(_ size: Size, _ format: PixelFormat) throws(GuestError) -> Pixels {
    switch self {
    case .png: try readPNG(size, format)
    case .raw: try readRaw(size, format)
    }
  }

  private func failure(_ reason: String) -> GuestError { .picture(path: path, reason: reason) }

  private func readRaw(_ size: Size, _ format: PixelFormat) throws(GuestError) -> Pixels {
    guard let file = fopen(path, "re") else { throw failure(Self.lastError) }
    defer { fclose(file) }
    let count = Int(size.width) * Int(size.height) * 4
    var bytes = [UInt8](repeating: 0, count: count + 1)
    let found = fread(&bytes, 1, bytes.count, file)
    bytes.removeLast()
    guard found == count, let pixels = Pixels(size: size, format: format, bytes: bytes) else {
      throw failure(
        "\(found > count ? "more than" : "only \(found) of") the \(count) bytes of \(size) pixels of 4 bytes")
    }
    return pixels
  }

  private func readPNG(_ size: Size, _ format: PixelFormat) throws(GuestError) -> Pixels {
    var image = png_image()
    image.version = png_uint_32(PNG_IMAGE_VERSION)
    defer { png_image_free(&image) }
    guard png_image_begin_read_from_file(&image, path) != 0 else { throw failure(Self.message(image)) }
    let found = Size(width: image.width, height: image.height)
    guard found == size else { throw failure("its size is \(found), the buffer's is \(size)") }
    image.format = ColourOrder(format).pngFormat
    var bytes = [UInt8](repeating: 0, count: Int(size.width) * Int(size.height) * 4)
    guard png_image_finish_read(&image, nil, &bytes, Int32(size.width) * 4, nil) != 0,
      let pixels = Pixels(size: size, format: format, bytes: bytes)
    else { throw failure(Self.message(image)) }
    return pixels
  }

  // MARK: Writing

  /// Writes a picture. The file appears whole or not at all.
  func write(_ pixels: Pixels) throws(GuestError) {
    let unfinished = path + ".unfinished"
    switch self {
    case .png: try writePNG(pixels, to: unfinished)
    case .raw: try writeRaw(pixels, to: unfinished)
    }
    guard rename(unfinished, path) == 0 else {
      let error = failure(Self.lastError)
      unlink(unfinished)
      throw error
    }
  }

  private func writeRaw(_ pixels: Pixels, to unfinished: String) throws(GuestError) {
    guard let file = fopen(unfinished, "we") else { throw failure(Self.lastError) }
    let written = fwrite(pixels.bytes, 1, pixels.bytes.count, file)
    guard fclose(file) == 0, written == pixels.bytes.count else {
      let error = failure(Self.lastError)
      unlink(unfinished)
      throw error
    }
  }

  private func writePNG(_ pixels: Pixels, to unfinished: String) throws(GuestError) {
    var image = png_image()
    image.version = png_uint_32(PNG_IMAGE_VERSION)
    image.width = pixels.size.width
    image.height = pixels.size.height
    image.flags = png_uint_32(PNG_IMAGE_FLAG_FAST)
    let isOpaque = !pixels.format.hasAlpha
    image.format = isOpaque ? png_uint_32(PNG_FORMAT_FLAG_COLOR) : ColourOrder(pixels.format).pngFormat
    let bytes = isOpaque ? Self.colours(of: pixels) : pixels.bytes
    defer { png_image_free(&image) }
    guard png_image_write_to_file(&image, unfinished, 0, bytes, 0, nil) != 0 else {
      unlink(unfinished)
      throw failure(Self.message(image))
    }
  }

  /// Three bytes R, G, B for each pixel.
  private static func colours(of pixels: Pixels) -> [UInt8] {
    let order = ColourOrder(pixels.format)
    var colours: [UInt8] = []
    colours.reserveCapacity(pixels.bytes.count / 4 * 3)
    for start in stride(from: 0, to: pixels.bytes.count, by: 4) {
      colours.append(pixels.bytes[start + order.red])
      colours.append(pixels.bytes[start + order.green])
      colours.append(pixels.bytes[start + order.blue])
    }
    return colours
  }

  // MARK: Words

  private static var lastError: String { String(cString: strerror(errno)) }

  private static func message(_ image: png_image) -> String {
    withUnsafeBytes(of: image.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}

extension ColourOrder {
  /// As libpng says it.
  fileprivate var pngFormat: png_uint_32 {
    var flags = png_uint_32(PNG_FORMAT_FLAG_COLOR) | png_uint_32(PNG_FORMAT_FLAG_ALPHA)
    if blue < red { flags |= png_uint_32(PNG_FORMAT_FLAG_BGR) }
    if alpha == 0 { flags |= png_uint_32(PNG_FORMAT_FLAG_AFIRST) }
    return flags
  }
}
