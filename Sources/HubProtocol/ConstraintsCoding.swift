import Buffers

// Reading and writing of constraints (protocol.md section 1). In the protocol 0 means no constraint.

extension Wire {
  /// Bytes of constraints.
  static let constraintsByteCount = 304
}

extension WireReader {
  mutating func constraints() throws(ProtocolError) -> Constraints {
    var constraints = Constraints()
    constraints.strideAlignment = try multiple()
    constraints.offsetAlignment = try multiple()
    constraints.widthMultiple = try multiple()
    constraints.heightMultiple = try multiple()
    constraints.maximumWidth = try maximum()
    constraints.maximumHeight = try maximum()
    constraints.maximumStride = try maximum()
    let flags = ConstraintFlags(rawValue: try u32())
    guard flags.isSubset(of: .all) else { throw bad("constraint flags") }
    constraints.isContiguous = flags.contains(.contiguous)
    constraints.cacheability = try cacheability()
    let kinds = try memoryKinds()
    constraints.memoryKinds = kinds.isEmpty ? .all : kinds
    let (formatCount, modifierCount) = (try u32(), try u32())
    let formats = try list(formatCount, of: Constraints.maximumFormats, "formats") { reader throws(ProtocolError) in
      try reader.u32()
    }
    let modifiers = try list(modifierCount, of: Constraints.maximumModifiers, "modifiers") {
      reader throws(ProtocolError) in try reader.u64()
    }
    constraints.formats = try optional(formats.map { PixelFormat(rawValue: $0) }, flags, .formats)
    constraints.modifiers = try optional(modifiers, flags, .modifiers)
    return constraints
  }

  private mutating func multiple() throws(ProtocolError) -> UInt32 {
    let number = try u32()
    return number == 0 ? 1 : number
  }

  private mutating func maximum() throws(ProtocolError) -> UInt32 {
    let number = try u32()
    return number == 0 ? .max : number
  }

  private mutating func cacheability() throws(ProtocolError) -> Constraints.Cacheability {
    let ways = Constraints.Cacheability(rawValue: try u32())
    guard ways.isSubset(of: .any) else { throw bad("cacheability") }
    return ways.isEmpty ? .any : ways
  }

  /// The first of a fixed number of words; the others are 0.
  private mutating func list<Word: FixedWidthInteger>(
    _ count: UInt32, of room: Int, _ field: String,
    _ next: (inout WireReader) throws(ProtocolError) -> Word
  ) throws(ProtocolError) -> [Word] {
    guard count <= UInt32(room) else { throw bad(field) }
    var words: [Word] = []
    for index in 0..<room {
      let word = try next(&self)
      if index < Int(count) { words.append(word) } else if word != 0 { throw bad(field) }
    }
    return words
  }

  private func optional<Element>(
    _ elements: [Element], _ flags: ConstraintFlags, _ flag: ConstraintFlags
  ) throws(ProtocolError) -> Set<Element>? {
    if flags.contains(flag) { return Set(elements) }
    guard elements.isEmpty else { throw bad("constraint flags") }
    return nil
  }
}

extension WireWriter {
  mutating func constraints(_ constraints: Constraints) {
    u32(constraints.strideAlignment)
    u32(constraints.offsetAlignment)
    u32(constraints.widthMultiple)
    u32(constraints.heightMultiple)
    u32(constraints.maximumWidth)
    u32(constraints.maximumHeight)
    u32(constraints.maximumStride)
    u32(ConstraintFlags(constraints).rawValue)
    u32(constraints.cacheability.rawValue)
    u32(constraints.memoryKinds.rawValue)
    let formats = (constraints.formats ?? []).map(\.rawValue).sorted().prefix(Constraints.maximumFormats)
    let modifiers = (constraints.modifiers ?? []).sorted().prefix(Constraints.maximumModifiers)
    u32(UInt32(formats.count))
    u32(UInt32(modifiers.count))
    for format in formats { u32(format) }
    zero(4 * (Constraints.maximumFormats - formats.count))
    for modifier in modifiers { u64(modifier) }
    zero(8 * (Constraints.maximumModifiers - modifiers.count))
  }
}

private struct ConstraintFlags: OptionSet {
  let rawValue: UInt32
  static let contiguous = ConstraintFlags(rawValue: 1)
  static let formats = ConstraintFlags(rawValue: 2)
  static let modifiers = ConstraintFlags(rawValue: 4)
  static let all: ConstraintFlags = [.contiguous, .formats, .modifiers]

  init(rawValue: UInt32) { self.rawValue = rawValue }

  init(_ constraints: Constraints) {
    self = constraints.isContiguous ? .contiguous : []
    if constraints.formats != nil { insert(.formats) }
    if constraints.modifiers != nil { insert(.modifiers) }
  }
}
