/// Reads TOML 1.0, keeping the line of every value. This file: the document, headers and keys.
struct TOMLParser {
  /// Deeper nesting is refused: no key of the configuration is nearly as deep, and values are read by recursion.
  static let deepestNesting = 32

  let text: [UInt8]
  var position = 0
  var line = 1
  var depth = 0

  init(_ text: [UInt8]) {
    self.text = text
    if text.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
  }

  mutating func parseDocument() throws(TOMLSyntaxError) -> TOMLNode {
    let root = TOMLTable(line: 1, .header)
    var table = root
    while try skipToNextLine() {
      if peek() == UInt8(ascii: "[") {
        table = try parseHeader(in: root)
      } else {
        try parseKeyValue(in: table)
      }
      try endLine()
    }
    return root.node
  }

  // MARK: Headers and keys

  private mutating func parseHeader(in root: TOMLTable) throws(TOMLSyntaxError) -> TOMLTable {
    let line = self.line
    advance()
    let isArray = skip("[")
    let (path, last) = try parseDottedKey()
    guard skip("]"), !isArray || skip("]") else { throw expected(isArray ? "\"]]\"" : "\"]\"") }
    var table = root
    for key in path { table = try table.step(into: key, line: line) }
    return isArray ? try table.append(last, line: line) : try table.open(last, line: line)
  }

  mutating func parseKeyValue(in table: TOMLTable) throws(TOMLSyntaxError) {
    let line = self.line
    let (path, last) = try parseDottedKey()
    guard skip("=") else { throw expected("\"=\" after the key") }
    var table = table
    for key in path { table = try table.dotted(key, line: line) }
    try table.checkFree(last, line: line)
    skipBlanks()
    table.set(last, try parseValue())
  }

  /// The keys before the last dot, and the last one.
  private mutating func parseDottedKey() throws(TOMLSyntaxError) -> (path: [String], last: String) {
    var path: [String] = []
    while true {
      skipBlanks()
      let key = try parseKey()
      skipBlanks()
      guard skip(".") else { return (path, key) }
      path.append(key)
      guard depth + path.count < Self.deepestNesting else { throw failure("tables nested too deep") }
    }
  }

  private mutating func parseKey() throws(TOMLSyntaxError) -> String {
    if let quote = peek(), quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") {
      return try parseSingleLineString(quote)
    }
    let start = position
    while let byte = peek(), Self.isBareKey(byte) { advance() }
    guard position > start else { throw expected("a key") }
    return string(start..<position)
  }

  private static func isBareKey(_ byte: UInt8) -> Bool {
    isDigit(byte) || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
      || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
  }

  static func isDigit(_ byte: UInt8) -> Bool {
    UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
  }

  // MARK: Lines

  /// Goes over blanks, line ends and comments to the next thing; false at the end of the text.
  mutating func skipToNextLine() throws(TOMLSyntaxError) -> Bool {
    while true {
      skipBlanks()
      guard peek() != nil else { return false }
      try skipComment()
      guard skipLineEnd() else { return peek() != nil }
    }
  }

  /// After a header or a value only a comment may follow on the line.
  private mutating func endLine() throws(TOMLSyntaxError) {
    skipBlanks()
    try skipComment()
    guard peek() == nil || skipLineEnd() else { throw expected("the end of the line") }
  }

  private mutating func skipComment() throws(TOMLSyntaxError) {
    guard skip("#") else { return }
    while let byte = peek(), byte != UInt8(ascii: "\n"), !isLineEnd() {
      guard !Self.isControl(byte) else { throw failure("a control character in a comment") }
      advance()
    }
  }

  mutating func skipBlanks() {
    while let byte = peek(), byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") { advance() }
  }

  mutating func skipLineEnd() -> Bool {
    guard isLineEnd() else { return false }
    _ = skip("\r")
    return skip("\n")
  }

  private func isLineEnd() -> Bool {
    if peek() == UInt8(ascii: "\n") { return true }
    return peek() == UInt8(ascii: "\r") && position + 1 < text.count && text[position + 1] == UInt8(ascii: "\n")
  }

  // MARK: Bytes

  static func isControl(_ byte: UInt8) -> Bool {
    byte < 0x20 && byte != UInt8(ascii: "\t") || byte == 0x7F
  }

  func peek() -> UInt8? {
    position < text.count ? text[position] : nil
  }

  mutating func advance() {
    if text[position] == UInt8(ascii: "\n") { line += 1 }
    position += 1
  }

  mutating func skip(_ character: Unicode.Scalar) -> Bool {
    guard peek() == UInt8(ascii: character) else { return false }
    advance()
    return true
  }

  /// Part of the text, which is UTF-8 and is cut beside ASCII characters only.
  func string(_ range: Range<Int>) -> String {
    String(decoding: text[range], as: UTF8.self)
  }

  func failure(_ message: String) -> TOMLSyntaxError {
    TOMLSyntaxError(line: line, message: message)
  }

  /// An error that tells what should stand here, and what does.
  func expected(_ what: String) -> TOMLSyntaxError {
    guard let byte = peek() else { return failure("the text ends; \(what) should follow") }
    if isLineEnd() { return failure("the line ends; \(what) should follow") }
    guard !Self.isControl(byte) else { return failure("a control character; \(what) should stand here") }
    let word = text[position...].prefix(24) { $0 > 0x20 && $0 != 0x7F }
    return failure("\(what) should stand before \"\(String(decoding: word, as: UTF8.self))\"")
  }
}

extension ArraySlice {
  fileprivate func prefix(_ limit: Int, while predicate: (Element) -> Bool) -> ArraySlice {
    prefix(limit).prefix(while: predicate)
  }
}
