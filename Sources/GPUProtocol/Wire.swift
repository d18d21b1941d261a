/// Reads little-endian fields one after the other from a private copy of a request or an answer.
///
/// Who makes one has checked that the bytes hold all the fields it will read.
struct WireReader {
  private let bytes: UnsafeRawBufferPointer
  private var offset: Int

  init(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0) {
    self.bytes = bytes
    self.offset = offset
  }

  mutating func word() -> UInt32 {
    defer { offset += 4 }
    return UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  mutating func long() -> UInt64 {
    defer { offset += 8 }
    return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  mutating func byte() -> UInt8 {
    defer { offset += 1 }
    return bytes.loadUnaligned(fromByteOffset: offset, as: UInt8.self)
  }

  mutating func copy(_ count: Int) -> [UInt8] {
    defer { offset += count }
    return [UInt8](bytes[offset..<offset + count])
  }
}

/// Writes little-endian fields one after the other into memory that its user knows to be large enough.
struct WireWriter {
  private let bytes: UnsafeMutableRawBufferPointer
  /// Bytes written so far.
  private(set) var count: Int

  init(_ bytes: UnsafeMutableRawBufferPointer, at offset: Int = 0) {
    self.bytes = bytes
    count = offset
  }

  mutating func word(_ value: UInt32) {
    bytes.storeBytes(of: value.littleEndian, toByteOffset: count, as: UInt32.self)
    count += 4
  }

  mutating func long(_ value: UInt64) {
    bytes.storeBytes(of: value.littleEndian, toByteOffset: count, as: UInt64.self)
    count += 8
  }

  mutating func byte(_ value: UInt8) {
    bytes.storeBytes(of: value, toByteOffset: count, as: UInt8.self)
    count += 1
  }

  mutating func zeros(_ amount: Int) {
    let part = UnsafeMutableRawBufferPointer(rebasing: bytes[count..<count + amount])
    part.initializeMemory(as: UInt8.self, repeating: 0)
    count += amount
  }

  mutating func copy(_ source: ArraySlice<UInt8>) {
    UnsafeMutableRawBufferPointer(rebasing: bytes[count..<count + source.count]).copyBytes(from: source)
    count += source.count
  }
}
