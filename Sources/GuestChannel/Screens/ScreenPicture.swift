import Buffers
import Glibc
import HubProtocol

/// A guest's own picture of another VM's screen, with that VM's cursor in it: XRGB8888, without a gap between rows.
final class ScreenPicture {
  /// What a screen shows: a part of a buffer.
  struct Content {
    let buffer: ReadOnlyBuffer
    let source: Rectangle
  }

  /// The picture, which the guest pays for.
  let memory: HostMemory
  let layout: PixelLayout
  /// Nil: black.
  var content: Content?
  var cursor = CursorState.hidden

  /// A black picture.
  init(_ layout: PixelLayout, in memory: HostMemory) {
    self.layout = layout
    self.memory = memory
  }

  /// All of it.
  var whole: Rectangle { Rectangle(layout.size) }

  /// Where the cursor is on it.
  var cursorArea: Rectangle { cursor.image == nil ? .empty : CursorPlace(cursor).area.intersection(whole) }

  /// Draws a part anew.
  func refresh(_ damage: Rectangle) {
    let damage = damage.intersection(whole)
    guard !damage.isEmpty, let target = try? memory.mutableBytes(), layout.byteCount <= target.count else { return }
    draw(damage, into: target)
    drawCursor(damage.intersection(cursorArea), into: target)
  }

  /// The guest reads zeros from now on.
  func empty() { try? memory.punch() }

  private func draw(_ part: Rectangle, into target: UnsafeMutableRawBufferPointer) {
    content?.buffer.beginReading()
    defer { content?.buffer.endReading() }
    for y in part.y..<part.y + part.height {
      let start = layout.byteOffset(x: part.x, y: y)
      let row = UnsafeMutableRawBufferPointer(rebasing: target[start..<start + Int(part.width) * 4])
      guard let content, let from = Self.row(y, from: part.x, of: content, row.count) else {
        row.initializeMemory(as: UInt8.self, repeating: 0)
        continue
      }
      PixelOrder(content.buffer.layout.format).copy(from, to: row)
    }
  }

  /// The bytes of a row from a column on; nil where the source has none.
  private static func row(
    _ y: UInt32, from x: UInt32, of content: Content, _ byteCount: Int
  ) -> UnsafeRawBufferPointer? {
    let part = Rectangle(x: x, y: y, width: UInt32(clamping: byteCount / 4), height: 1)
    guard part.fits(in: content.source.size) else { return nil }
    let start = content.buffer.layout.byteOffset(x: content.source.x + x, y: content.source.y + y)
    let bytes = content.buffer.bytes
    guard start + byteCount <= bytes.count else { return nil }
    return UnsafeRawBufferPointer(rebasing: bytes[start..<start + byteCount])
  }

  private func drawCursor(_ part: Rectangle, into target: UnsafeMutableRawBufferPointer) {
    guard !part.isEmpty, let image = cursor.image else { return }
    let place = CursorPlace(cursor)
    for y in part.y..<part.y + part.height {
      for x in part.x..<part.x + part.width {
        let offset = layout.byteOffset(x: x, y: y)
        let below = UInt32(littleEndian: target.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        let pixel = CursorPlace.blend(image.pixels[place.index(x: x, y: y)], over: below)
        target.storeBytes(of: pixel.littleEndian, toByteOffset: offset, as: UInt32.self)
      }
    }
  }
}

/// Where a cursor's picture is on a screen; it may reach beyond each of its sides.
struct CursorPlace {
  private let left: Int64, top: Int64

  init(_ cursor: CursorState) {
    left = Int64(cursor.x) - Int64(cursor.hotX)
    top = Int64(cursor.y) - Int64(cursor.hotY)
  }

  /// What of it is right of and below the screen's corner.
  var area: Rectangle {
    let (x, width) = Self.visible(left)
    let (y, height) = Self.visible(top)
    return Rectangle(x: x, y: y, width: width, height: height)
  }

  private static func visible(_ start: Int64) -> (UInt32, UInt32) {
    let extent = Int64(CursorImage.extent)
    return (UInt32(clamping: max(start, 0)), UInt32(clamping: min(max(start + extent, 0), extent)))
  }

  /// The pixel of the cursor's picture at a place inside its area.
  func index(x: UInt32, y: UInt32) -> Int {
    let extent = CursorImage.extent
    let column = min(max(Int(Int64(x) - left), 0), extent - 1), row = min(max(Int(Int64(y) - top), 0), extent - 1)
    return row * extent + column
  }

  /// A premultiplied ARGB pixel over an opaque one.
  static func blend(_ pixel: UInt32, over below: UInt32) -> UInt32 {
    let rest = 255 - pixel >> 24
    guard rest < 255 else { return below }
    var result: UInt32 = 0
    for shift: UInt32 in [0, 8, 16] {
      let sum = (pixel >> shift & 255) + ((below >> shift & 255) * rest + 127) / 255
      result |= min(sum, 255) << shift
    }
    return result
  }
}

/// How a format's pixels become XRGB8888.
struct PixelOrder {
  private let isSwapped: Bool, isReversed: Bool

  init(_ format: PixelFormat) {
    isSwapped = [.bgra8888, .bgrx8888, .rgba8888, .rgbx8888].contains(format)
    isReversed = [.abgr8888, .xbgr8888, .rgba8888, .rgbx8888].contains(format)
  }

  /// Copies as many pixels as there is room for.
  func copy(_ from: UnsafeRawBufferPointer, to room: UnsafeMutableRawBufferPointer) {
    guard isSwapped || isReversed else { return room.copyMemory(from: from) }
    for offset in stride(from: 0, to: min(from.count, room.count) - 3, by: 4) {
      let word = UInt32(littleEndian: from.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
      room.storeBytes(of: pixel(word).littleEndian, toByteOffset: offset, as: UInt32.self)
    }
  }

  private func pixel(_ word: UInt32) -> UInt32 {
    let word = isSwapped ? word.byteSwapped : word
    return isReversed ? word & 0xff00_ff00 | word >> 16 & 0xff | (word & 0xff) << 16 : word
  }
}
