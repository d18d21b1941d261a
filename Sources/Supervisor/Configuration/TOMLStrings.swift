/// Strings of TOML 1.0: basic and literal, on one line or on several.
extension TOMLParser {
  mutating func parseString() throws(TOMLSyntaxError) -> String {
    let quote = text[position]
    return isTripled(quote) ? try parseMultiLineString(quote) : try parseSingleLineString(quote)
  }

  mutating func parseSingleLineString(_ quote: UInt8) throws(TOMLSyntaxError) -> String {
    advance()
    var content: [UInt8] = []
    while let byte = peek(), !Self.isControl(byte) {
      if byte == quote {
        advance()
        return String(decoding: content, as: UTF8.self)
      }
      try parseCharacter(quote, into: &content)
    }
    throw expected("the end of the string (a quote)")
  }

  private mutating func parseMultiLineString(_ quote: UInt8) throws(TOMLSyntaxError) -> String {
    let start = line
    for _ in 0..<3 { advance() }
    _ = skipLineEnd()
    var content: [UInt8] = []
    while peek() != nil {
      if isTripled(quote) {
        for _ in 0..<3 { advance() }
        // Up to two quotes before the closing three belong to the string.
        for _ in 0..<2 where peek() == quote { content.append(quote); advance() }
        return String(decoding: content, as: UTF8.self)
      }
      if skipLineEnd() {
        content.append(UInt8(ascii: "\n"))
      } else if !(quote == UInt8(ascii: "\"") && skipEscapedLineEnd()) {
        if let byte = peek(), Self.isControl(byte) { throw failure("a control character in a string") }
        try parseCharacter(quote, into: &content)
      }
    }
    throw failure("the text ends inside the string that begins on line \(start)")
  }

  private func isTripled(_ quote: UInt8) -> Bool {
    position + 3 <= text.count && text[position..<position + 3].allSatisfy { $0 == quote }
  }

  /// Goes over a backslash at the end of a line and the blanks and line ends after it.
  private mutating func skipEscapedLineEnd() -> Bool {
    let before = self
    guard skip("\\") else { return false }
    skipBlanks()
    guard skipLineEnd() else {
      self = before
      return false
    }
    repeat { skipBlanks() } while skipLineEnd()
    return true
  }

  private mutating func parseCharacter(_ quote: UInt8, into content: inout [UInt8]) throws(TOMLSyntaxError) {
    if quote == UInt8(ascii: "\"") && skip("\\") {
      content += String(Character(try parseEscape())).utf8
    } else {
      content.append(text[position])
      advance()
    }
  }

  /// What the sequence after a backslash stands for.
  private mutating func parseEscape() throws(TOMLSyntaxError) -> Unicode.Scalar {
    let kind = peek()
    let simple: Unicode.Scalar? =
      switch kind {
      case UInt8(ascii: "b"): "\u{8}"
      case UInt8(ascii: "t"): "\t"
      case UInt8(ascii: "n"): "\n"
      case UInt8(ascii: "f"): "\u{C}"
      case UInt8(ascii: "r"): "\r"
      case UInt8(ascii: "\""): "\""
      case UInt8(ascii: "\\"): "\\"
      default: nil
      }
    if let simple {
      advance()
      return simple
    }
    switch kind {
    case UInt8(ascii: "u"): return try parseScalarNumber(digits: 4)
    case UInt8(ascii: "U"): return try parseScalarNumber(digits: 8)
    default:
      throw failure("no such escape sequence; a backslash itself is written \\\\, or the string in single quotes")
    }
  }

  private mutating func parseScalarNumber(digits: Int) throws(TOMLSyntaxError) -> Unicode.Scalar {
    advance()
    var number: UInt32 = 0
    for _ in 0..<digits {
      guard let byte = peek(), let digit = Character(Unicode.Scalar(byte)).hexDigitValue, number >> 28 == 0 else {
        throw expected("\(digits) hexadecimal digits")
      }
      number = number << 4 | UInt32(digit)
      advance()
    }
    guard let scalar = Unicode.Scalar(number) else { throw failure("no character has the number \(number)") }
    return scalar
  }
}
