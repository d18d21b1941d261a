/// A value of a TOML document (TOML 1.0), with the line where it stands.
struct TOMLNode: Equatable {
  enum Value: Equatable {
    case string(String)
    case integer(Int)
    case float(Double)
    case boolean(Bool)
    case array([TOMLNode])
    case table([String: TOMLNode])
    /// A date or a time. No key of the configuration takes one, so what it says is not kept.
    case date
  }

  let line: Int
  let value: Value

  /// What a message calls a value of this type.
  var typeName: String {
    switch value {
    case .string: "a string"
    case .integer: "an integer"
    case .float: "a number with a fraction"
    case .boolean: "a boolean"
    case .array: "an array"
    case .table: "a table"
    case .date: "a date or time"
    }
  }

  /// Parses a document.
  static func parse(_ text: [UInt8]) throws(TOMLSyntaxError) -> TOMLNode {
    try checkEncoding(text)
    var parser = TOMLParser(text)
    return try parser.parseDocument()
  }

  private static func checkEncoding(_ text: [UInt8]) throws(TOMLSyntaxError) {
    if String(validating: text, as: UTF8.self) != nil { return }
    var number = 1
    for line in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      if String(validating: line, as: UTF8.self) == nil { break }
      number += 1
    }
    throw TOMLSyntaxError(line: number, message: "the text is not UTF-8")
  }
}

/// Text that is not TOML.
struct TOMLSyntaxError: Error, Equatable {
  let line: Int
  let message: String
}
