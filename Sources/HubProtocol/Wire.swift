import Buffers

/// Figures of the protocol (protocol.md sections 1 and 7).
public enum Wire {
  /// The version that this code speaks.
  public static let version: UInt32 = 1
  /// Bytes of a message's header.
  public static let headerByteCount = 16
  /// The most bytes of a packet.
  public static let maximumPacketByteCount = 65_536
  /// The most descriptors of a packet.
  public static let maximumPacketDescriptors = 16
  /// The most buffers that a producer has registered at a time.
  public static let maximumBuffers = 1024
  /// The largest width or height of a picture or display.
  public static let maximumExtent: UInt32 = 16_384
  /// Bytes of a cursor's picture.
  static let cursorByteCount = CursorImage.pixelCount * 4
  /// Bytes of a name.
  static let nameByteCount = 64
  /// Bytes of a layout.
  static let layoutByteCount = 32
}

/// Reads a message's fields one after the other out of private memory. The caller has checked the length.
struct WireReader {
  let type: UInt16
  private let bytes: UnsafeRawBufferPointer
  private var offset = 0

  init(type: UInt16, payload: UnsafeRawBufferPointer) {
    self.type = type
    bytes = payload
  }

  var remaining: Int { bytes.count - offset }

  @inline(__always)
  private mutating func load<Word: FixedWidthInteger>(_: Word.Type) throws(ProtocolError) -> Word {
    let size = MemoryLayout<Word>.size
    guard remaining >= size else { throw .cutShort(byteCount: remaining) }
    defer { offset += size }
    return Word(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Word.self))
  }

  mutating func u32() throws(ProtocolError) -> UInt32 { try load(UInt32.self) }
  mutating func u64() throws(ProtocolError) -> UInt64 { try load(UInt64.self) }
  mutating func i32() throws(ProtocolError) -> Int32 { try load(Int32.self) }

  /// Skips a field that must be 0.
  mutating func zero32() throws(ProtocolError) {
    guard try u32() == 0 else { throw bad("reserved field") }
  }

  mutating func zero64() throws(ProtocolError) {
    guard try u64() == 0 else { throw bad("reserved field") }
  }

  mutating func flag(_ field: String) throws(ProtocolError) -> Bool {
    let word = try u32()
    guard word <= 1 else { throw bad(field) }
    return word == 1
  }

  mutating func raw(_ count: Int) throws(ProtocolError) -> UnsafeRawBufferPointer {
    guard remaining >= count else { throw .cutShort(byteCount: remaining) }
    defer { offset += count }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
  }

  mutating func text(_ count: Int, _ field: String) throws(ProtocolError) -> String {
    let field_ = try raw(count)
    guard let end = field_.firstIndex(of: 0), field_[end...].allSatisfy({ $0 == 0 }),
      let text = String(validating: field_[..<end], as: UTF8.self)
    else { throw bad(field) }
    return text
  }

  mutating func name() throws(ProtocolError) -> PeerName {
    guard let name = PeerName(try text(Wire.nameByteCount, "name")) else { throw bad("name") }
    return name
  }

  mutating func optionalName() throws(ProtocolError) -> PeerName? {
    let text = try text(Wire.nameByteCount, "name")
    if text.isEmpty { return nil }
    guard let name = PeerName(text) else { throw bad("name") }
    return name
  }

  mutating func bufferID() throws(ProtocolError) -> BufferID {
    let id = BufferID(bytes: try raw(16))
    guard id != .none else { throw bad("buffer id") }
    return id
  }

  mutating func optionalBufferID() throws(ProtocolError) -> BufferID? {
    let id = BufferID(bytes: try raw(16))
    return id == .none ? nil : id
  }

  mutating func rectangle() throws(ProtocolError) -> Rectangle {
    Rectangle(x: try u32(), y: try u32(), width: try u32(), height: try u32())
  }

  mutating func extent(_ field: String) throws(ProtocolError) -> Size {
    let size = Size(width: try u32(), height: try u32())
    guard !size.isEmpty, size.width <= Wire.maximumExtent, size.height <= Wire.maximumExtent else { throw bad(field) }
    return size
  }

  mutating func layout() throws(ProtocolError) -> PixelLayout {
    let size = try extent("layout size")
    let format = PixelFormat(rawValue: try u32())
    let stride = try u32()
    let offset = try u64()
    guard try u64() == 0, let layout = PixelLayout(size: size, format: format, stride: stride, offset: offset) else {
      throw bad("layout")
    }
    return layout
  }

  mutating func scanout() throws(ProtocolError) -> ScanoutIndex {
    let scanout = ScanoutIndex(rawValue: try u32())
    guard scanout.isValid else { throw bad("scanout") }
    return scanout
  }

  mutating func layer() throws(ProtocolError) -> LayerID { LayerID(rawValue: try u64()) }

  mutating func image() throws(ProtocolError) -> CursorImage {
    CursorImage(littleEndianBytes: try raw(Wire.cursorByteCount))
  }

  func bad(_ field: String) -> ProtocolError { .badField(type: type, field: field) }
}

/// Writes a message's fields one after the other. The room was checked with the message's `byteCount`.
struct WireWriter {
  private let base: UnsafeMutableRawBufferPointer
  private(set) var offset = 0

  init(_ room: UnsafeMutableRawBufferPointer) { base = room }

  @inline(__always)
  private mutating func store<Word: FixedWidthInteger>(_ word: Word) {
    base.storeBytes(of: word.littleEndian, toByteOffset: offset, as: Word.self)
    offset += MemoryLayout<Word>.size
  }

  mutating func u16(_ word: UInt16) { store(word) }
  mutating func u32(_ word: UInt32) { store(word) }
  mutating func u64(_ word: UInt64) { store(word) }
  mutating func i32(_ word: Int32) { store(word) }
  mutating func flag(_ on: Bool) { store(on ? UInt32(1) : 0) }
  mutating func zero(_ count: Int) {
    UnsafeMutableRawBufferPointer(rebasing: base[offset..<offset + count]).initializeMemory(
      as: UInt8.self, repeating: 0)
    offset += count
  }

  /// Text cut to `count - 1` bytes (at a character) and filled with zeros.
  mutating func text(_ text: String, _ count: Int) {
    let start = offset
    zero(count)
    var length = 0
    for character in text {
      let size = character.utf8.count
      guard length + size < count else { break }
      for byte in character.utf8 where byte != 0 {
        base[start + length] = byte
        length += 1
      }
    }
  }

  mutating func name(_ name: PeerName?) { text(name?.text ?? "", Wire.nameByteCount) }

  mutating func bufferID(_ id: BufferID?) {
    (id ?? .none).store(into: UnsafeMutableRawBufferPointer(rebasing: base[offset..<offset + 16]))
    offset += 16
  }

  mutating func rectangle(_ rectangle: Rectangle) {
    u32(rectangle.x)
    u32(rectangle.y)
    u32(rectangle.width)
    u32(rectangle.height)
  }

  mutating func extent(_ size: Size) {
    u32(size.width)
    u32(size.height)
  }

  mutating func layout(_ layout: PixelLayout) {
    extent(layout.size)
    u32(layout.format.rawValue)
    u32(layout.stride)
    u64(layout.offset)
    u64(0)
  }

  mutating func image(_ image: CursorImage) {
    image.store(into: UnsafeMutableRawBufferPointer(rebasing: base[offset..<offset + Wire.cursorByteCount]))
    offset += Wire.cursorByteCount
  }
}

extension BufferID {
  /// The zero id, which no buffer has.
  static let none = BufferID(high: 0, low: 0)
}
