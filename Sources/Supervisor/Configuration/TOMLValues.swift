/// Values of TOML 1.0 other than strings.
extension TOMLParser {
  mutating func parseValue() throws(TOMLSyntaxError) -> TOMLNode {
    let line = self.line
    let value: TOMLNode.Value
    switch peek() {
    case UInt8(ascii: "\""), UInt8(ascii: "'"): value = .string(try parseString())
    case UInt8(ascii: "["): value = try nested { parser throws(TOMLSyntaxError) in try parser.parseArray() }
    case UInt8(ascii: "{"): value = try nested { parser throws(TOMLSyntaxError) in try parser.parseInlineTable() }
    default: value = try parseScalar()
    }
    return TOMLNode(line: line, value: value)
  }

  private mutating func nested(
    _ parse: (inout TOMLParser) throws(TOMLSyntaxError) -> TOMLNode.Value
  ) throws(TOMLSyntaxError) -> TOMLNode.Value {
    guard depth < Self.deepestNesting else { throw failure("values nested too deep") }
    depth += 1
    let value = try parse(&self)
    depth -= 1
    return value
  }

  private mutating func parseArray() throws(TOMLSyntaxError) -> TOMLNode.Value {
    let start = line
    advance()
    var elements: [TOMLNode] = []
    while try skipToNextLine() {
      if skip("]") { return .array(elements) }
      elements.append(try parseValue())
      guard try skipToNextLine() else { break }
      if skip(",") { continue }
      guard peek() == UInt8(ascii: "]") else { throw expected("\",\" or \"]\"") }
    }
    throw failure("the text ends inside the array that begins on line \(start)")
  }

  private mutating func parseInlineTable() throws(TOMLSyntaxError) -> TOMLNode.Value {
    let table = TOMLTable(line: line, .inline)
    advance()
    skipBlanks()
    if skip("}") { return table.node.value }
    while true {
      skipBlanks()
      try parseKeyValue(in: table)
      skipBlanks()
      if skip("}") { return table.node.value }
      guard skip(",") else { throw expected("\",\" or \"}\"") }
    }
  }

  // MARK: Numbers, booleans, dates

  private mutating func parseScalar() throws(TOMLSyntaxError) -> TOMLNode.Value {
    let start = position
    skipWord()
    if Self.isDate(text[start..<position]) {
      skipTimeAfterBlank()
      return .date
    }
    let word = string(start..<position)
    if let value = Self.scalar(word) { return value }
    position = start
    guard !word.isEmpty else { throw expected("a value") }
    throw failure("\"\(word.prefix(40))\" is no value; text needs quotes")
  }

  private mutating func skipWord() {
    while let byte = peek(), byte > 0x20, byte != 0x7F, !Array(",]}#[{=\"'".utf8).contains(byte) { advance() }
  }

  private static func scalar(_ word: String) -> TOMLNode.Value? {
    switch word {
    case "true": .boolean(true)
    case "false": .boolean(false)
    case "inf", "+inf": .float(.infinity)
    case "-inf": .float(-.infinity)
    case "nan", "+nan", "-nan": .float(.nan)
    default: integer(word).map { .integer($0) } ?? float(word).map { .float($0) }
    }
  }

  private static func integer(_ word: String) -> Int? {
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where word.hasPrefix(prefix) {
      guard let digits = digits(word.dropFirst(2), radix: radix) else { return nil }
      return Int(digits, radix: radix)
    }
    let unsigned = word.drop { $0 == "+" || $0 == "-" }
    guard word.count - unsigned.count <= 1, let digits = decimal(unsigned) else { return nil }
    return Int(word.hasPrefix("-") ? "-" + digits : digits)
  }

  private static func float(_ word: String) -> Double? {
    let unsigned = word.drop { $0 == "+" || $0 == "-" }
    guard word.count - unsigned.count <= 1 else { return nil }
    let mantissa = unsigned.prefix { $0 != "e" && $0 != "E" }
    let whole = mantissa.prefix { $0 != "." }
    guard whole.count < unsigned.count, var number = decimal(whole) else { return nil }
    if whole.count < mantissa.count {
      guard let fraction = digits(mantissa.dropFirst(whole.count + 1), radix: 10) else { return nil }
      number += "." + fraction
    }
    if mantissa.count < unsigned.count {
      let exponent = unsigned.dropFirst(mantissa.count + 1)
      let sign = exponent.prefix { $0 == "+" || $0 == "-" }
      guard sign.count <= 1, let digits = digits(exponent.dropFirst(sign.count), radix: 10) else { return nil }
      number += "e" + sign + digits
    }
    return Double(word.hasPrefix("-") ? "-" + number : number)
  }

  /// Decimal digits without a leading zero.
  private static func decimal(_ text: Substring) -> String? {
    guard let digits = digits(text, radix: 10), digits == "0" || digits.first != "0" else { return nil }
    return digits
  }

  /// The digits without the underscores, each of which must stand between two of them.
  private static func digits(_ text: Substring, radix: Int) -> String? {
    let groups = text.split(separator: "_", omittingEmptySubsequences: false)
    let isNumber = groups.allSatisfy { group in
      !group.isEmpty && group.allSatisfy { $0.isASCII && ($0.hexDigitValue ?? 16) < radix }
    }
    return isNumber ? groups.joined() : nil
  }

  /// Whether a word begins as a date (1979-05-27) or a time (07:32) does and holds nothing else.
  private static func isDate(_ word: ArraySlice<UInt8>) -> Bool {
    let digits = word.prefix { isDigit($0) }.count
    guard word.count > digits + 2 else { return false }
    let separator = word[word.startIndex + digits]
    return (digits == 4 && separator == UInt8(ascii: "-") || digits == 2 && separator == UInt8(ascii: ":"))
      && word.allSatisfy { isDigit($0) || Array("-:.TtZz+".utf8).contains($0) }
  }

  private mutating func skipTimeAfterBlank() {
    guard position + 2 < text.count, text[position] == UInt8(ascii: " "), Self.isDigit(text[position + 1]) else {
      return
    }
    advance()
    skipWord()
  }
}
