/// The identity of a buffer: a random UUID (RFC 9562, version 4), the one that RESOURCE_ASSIGN_UUID gives to a guest.
///
/// Knowing an id gives no right to the buffer.
public struct BufferID: Hashable, Sendable, CustomStringConvertible {
  /// The sixteen bytes in network order, as two big-endian words.
  public let high: UInt64, low: UInt64

  /// An id given by its words.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// A new id from the system's random numbers.
  public static func random() -> BufferID {
    var generator = SystemRandomNumberGenerator()
    let high = generator.next() & ~0xf000 | 0x4000
    let low = generator.next() & ~(3 << 62) | 2 << 62
    return BufferID(high: high, low: low)
  }

  /// The id in sixteen bytes of memory.
  public init(bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count >= 16)
    high = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
    low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
  }

  /// Stores the sixteen bytes.
  public func store(into bytes: UnsafeMutableRawBufferPointer) {
    precondition(bytes.count >= 16)
    bytes.storeBytes(of: high.bigEndian, toByteOffset: 0, as: UInt64.self)
    bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
  }

  /// The usual text, `8-4-4-4-12` in lower-case hexadecimal.
  public var description: String {
    let digits = Self.hexadecimal(high) + Self.hexadecimal(low)
    var text = ""
    for (index, digit) in digits.enumerated() {
      if [8, 12, 16, 20].contains(index) { text.append("-") }
      text.append(digit)
    }
    return text
  }

  /// Reads the usual text; nil when it is not one.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.map(\.count) == [8, 4, 4, 4, 12] else { return nil }
    let digits = parts.joined()
    guard digits.allSatisfy(\.isHexDigit), let high = UInt64(digits.prefix(16), radix: 16),
      let low = UInt64(digits.suffix(16), radix: 16)
    else { return nil }
    self.init(high: high, low: low)
  }

  private static func hexadecimal(_ word: UInt64) -> String {
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
