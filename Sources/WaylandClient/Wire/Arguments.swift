/// Reads a message's arguments one after the other.
struct ArgumentReader {
  private let bytes: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// `uint`, `object` or `new_id`.
  mutating func word() throws(WaylandError) -> UInt32 {
    guard bytes.count - offset >= 4 else { throw .malformed("arguments that are missing") }
    defer { offset += 4 }
    return bytes.withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
  }

  /// `int`.
  mutating func integer() throws(WaylandError) -> Int32 { Int32(bitPattern: try word()) }

  /// `array`: its length, its bytes, and zeros up to the next whole word.
  mutating func array() throws(WaylandError) -> ArraySlice<UInt8> {
    let count = Int(try word())
    guard count <= bytes.count - offset else { throw .malformed("an array of \(count) bytes") }
    defer { offset += (count + 3) & ~3 }
    return bytes[offset..<offset + count]
  }

  /// `string`: an array that ends with a zero; without bytes, nil.
  mutating func string() throws(WaylandError) -> String? {
    let characters = try array()
    guard let last = characters.last else { return nil }
    guard last == 0 else { throw .malformed("a text without an end") }
    return String(decoding: characters.prefix { $0 != 0 }, as: UTF8.self)
  }

  /// Nothing may be left.
  func finish() throws(WaylandError) {
    guard offset >= bytes.count else { throw .malformed("\(bytes.count - offset) bytes too many") }
  }
}

/// Writes a message's arguments one after the other.
struct ArgumentWriter {
  private(set) var bytes: [UInt8] = []

  /// `uint`, `object` or `new_id`.
  mutating func word(_ value: UInt32) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// `int`.
  mutating func integer(_ value: Int32) { word(UInt32(bitPattern: value)) }

  /// `string`.
  mutating func string(_ text: String) {
    let characters = Array(text.utf8.prefix { $0 != 0 })
    word(UInt32(clamping: characters.count + 1))
    bytes.append(contentsOf: characters)
    repeat { bytes.append(0) } while bytes.count % 4 != 0
  }
}
