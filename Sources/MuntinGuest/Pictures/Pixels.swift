import Buffers

/// A picture in memory of this program's own: rows follow each other without a gap.
struct Pixels: Equatable {
  let size: Size
  let format: PixelFormat
  var bytes: [UInt8]

  private var rowByteCount: Int { Int(size.width) * 4 }

  /// A picture of bytes; nil when they are not as many as it takes.
  init?(size: Size, format: PixelFormat, bytes: [UInt8]) {
    guard bytes.count == Int(size.width) * Int(size.height) * 4 else { return nil }
    self.size = size
    self.format = format
    self.bytes = bytes
  }

  /// Copies a picture out of shared memory, which holds it as the layout says.
  init(copying shared: UnsafeRawBufferPointer, _ layout: PixelLayout) {
    size = layout.size
    format = layout.format
    bytes = []
    bytes.reserveCapacity(Int(size.width) * Int(size.height) * 4)
    for y in 0..<size.height {
      let start = layout.byteOffset(x: 0, y: y)
      bytes.append(contentsOf: shared[start..<start + layout.rowByteCount])
    }
  }

  /// Copies a part into shared memory that holds a picture of this size.
  func store(_ part: Rectangle, into shared: UnsafeMutableRawBufferPointer, _ layout: PixelLayout) {
    bytes.withUnsafeBytes { source in
      for y in part.y..<part.y + part.height {
        let from = Int(y) * rowByteCount + Int(part.x) * 4
        let row = UnsafeRawBufferPointer(rebasing: source[from..<from + Int(part.width) * 4])
        UnsafeMutableRawBufferPointer(rebasing: shared[layout.byteOffset(x: part.x, y: y)...]).copyMemory(from: row)
      }
    }
  }

  /// The smallest rectangle that holds all pixels in which another picture of this size differs; nil: none.
  func difference(from other: Pixels) -> Rectangle? {
    var columns: (first: Int, last: Int)?
    var rows: (first: UInt32, last: UInt32)?
    for y in 0..<size.height {
      let row = Int(y) * rowByteCount..<(Int(y) + 1) * rowByteCount
      guard let found = Self.difference(bytes[row], other.bytes[row]) else { continue }
      columns = (min(found.lowerBound, columns?.first ?? .max), max(found.upperBound, columns?.last ?? 0))
      rows = (rows?.first ?? y, y)
    }
    guard let columns, let rows else { return nil }
    return Rectangle(
      x: UInt32(columns.first), y: rows.first, width: UInt32(columns.last - columns.first + 1),
      height: rows.last - rows.first + 1)
  }

  /// The first and the last column in which two rows differ.
  private static func difference(_ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>) -> ClosedRange<Int>? {
    guard left != right, let first = left.indices.first(where: { left[$0] != right[$0] }),
      let last = left.indices.last(where: { left[$0] != right[$0] })
    else { return nil }
    return (first - left.startIndex) / 4...(last - left.startIndex) / 4
  }
}
