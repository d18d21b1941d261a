/// A frame in one colour, which costs least to draw and to check: for measuring.
package enum FlatPicture {
  private typealias Words = SIMD4<UInt64>

  /// Stores a frame's own word everywhere.
  package static func draw(_ frame: UInt64, into bytes: UnsafeMutableRawBufferPointer) {
    let words = Words(repeating: word(frame))
    let whole = bytes.count / MemoryLayout<Words>.size * MemoryLayout<Words>.size
    for place in stride(from: 0, to: whole, by: MemoryLayout<Words>.size) {
      bytes.storeBytes(of: words, toByteOffset: place, as: Words.self)
    }
  }

  /// Reads all of a picture; whether it is one frame.
  package static func isWhole(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard bytes.count >= MemoryLayout<Words>.size else { return false }
    let first = bytes.loadUnaligned(as: Words.self)
    let whole = bytes.count / MemoryLayout<Words>.size * MemoryLayout<Words>.size
    var difference = Words(repeating: 0)
    for place in stride(from: 0, to: whole, by: MemoryLayout<Words>.size) {
      difference |= bytes.loadUnaligned(fromByteOffset: place, as: Words.self) ^ first
    }
    return difference == Words(repeating: 0) && first == Words(repeating: first[0])
  }

  private static func word(_ frame: UInt64) -> UInt64 { (frame & 0xff_ffff) * 0x1_0000_0001 }
}
