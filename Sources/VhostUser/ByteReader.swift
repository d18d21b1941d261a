/// Takes integers one after the other out of private bytes. Nothing here traps: what is missing is nil.
struct ByteReader {
  private let bytes: UnsafeRawBufferPointer
  private(set) var offset = 0

  init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
  }

  /// The next integer, in the machine's byte order.
  mutating func next<Word: FixedWidthInteger>(_ type: Word.Type = Word.self) -> Word? {
    let size = MemoryLayout<Word>.size
    guard bytes.count - offset >= size else { return nil }
    defer { offset += size }
    return bytes.loadUnaligned(fromByteOffset: offset, as: Word.self)
  }

  /// What has not been taken.
  var rest: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[offset...]) }
}

extension [UInt8] {
  /// Appends an integer in the machine's byte order.
  mutating func append<Word: FixedWidthInteger>(word: Word) {
    Swift.withUnsafeBytes(of: word) { append(contentsOf: $0) }
  }
}
