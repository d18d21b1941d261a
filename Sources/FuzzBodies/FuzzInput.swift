/// A fuzzer's input, read from front to back; zeros when it is exhausted.
struct FuzzInput {
  private var rest: Slice<UnsafeRawBufferPointer>

  init(_ bytes: UnsafeRawBufferPointer) {
    rest = bytes[...]
  }

  var isEmpty: Bool { rest.isEmpty }

  mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

  /// The next bytes as a little-endian number.
  mutating func next<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) -> Number {
    var value: Number = 0
    for shift in 0..<Number.bitWidth / 8 { value |= Number(truncatingIfNeeded: byte()) << (8 * shift) }
    return value
  }

  /// A number below `limit`, which must not be 0.
  mutating func next(below limit: Int) -> Int { Int(next(UInt16.self)) % limit }

  /// Up to `count` of the next bytes.
  mutating func take(_ count: Int) -> UnsafeRawBufferPointer {
    let part = rest.prefix(count)
    rest = rest.dropFirst(count)
    return UnsafeRawBufferPointer(rebasing: part)
  }
}
