/// Reads little-endian fields one after the other from private memory. Who makes one has checked the length.
struct ByteReader {
  private let bytes: UnsafeRawBufferPointer
  private(set) var offset: Int

  init(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0) {
    self.bytes = bytes
    self.offset = offset
  }

  private mutating func load<Word: FixedWidthInteger>() -> Word {
    defer { offset += MemoryLayout<Word>.size }
    return Word(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Word.self))
  }

  mutating func byte() -> UInt8 { load() }
  mutating func short() -> UInt16 { load() }
  mutating func word() -> UInt32 { load() }
  mutating func long() -> UInt64 { load() }
}

/// Writes little-endian fields one after the other.
struct ByteWriter {
  private(set) var bytes: [UInt8] = []

  private mutating func store(_ word: some FixedWidthInteger) {
    withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func byte(_ value: UInt8) { store(value) }
  mutating func short(_ value: UInt16) { store(value) }
  mutating func word(_ value: UInt32) { store(value) }
  mutating func long(_ value: UInt64) { store(value) }
  mutating func copy(_ data: [UInt8]) { bytes.append(contentsOf: data) }
}
