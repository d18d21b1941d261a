/// Takes typed values out of one table of the configuration and refuses everything else.
struct TOMLTableReader {
  /// A value and its line.
  struct Located<Value> {
    let value: Value
    let line: Int
  }

  /// What messages call the table, such as "[[display]]".
  let name: String
  let line: Int
  private let entries: [String: TOMLNode]

  /// Opens a table; a key that is not among `keys` is an error.
  init(_ node: TOMLNode, name: String, keys: [String]) throws(ConfigurationError) {
    guard case .table(let entries) = node.value else {
      throw ConfigurationError(line: node.line, .wrongType(key: name, expected: "a table", found: node.typeName))
    }
    self.name = name
    self.line = node.line
    self.entries = entries
    let unknown = entries.filter { !keys.contains($0.key) }.min { ($0.value.line, $0.key) < ($1.value.line, $1.key) }
    if let unknown {
      throw ConfigurationError(line: unknown.value.line, .unknownKey(unknown.key, table: name, known: keys))
    }
  }

  // MARK: Typed values

  func string(_ key: String) throws(ConfigurationError) -> Located<String>? {
    guard let node = entries[key] else { return nil }
    guard case .string(let value) = node.value else { throw wrongType(node, key, "a string") }
    try checkText(value, node.line, key)
    return Located(value: value, line: node.line)
  }

  func integer(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Located<Int>? {
    guard let node = entries[key] else { return nil }
    guard case .integer(let value) = node.value else { throw wrongType(node, key, "an integer") }
    guard range.contains(value) else {
      throw bad(node.line, key, "\(value)", "\(range.lowerBound) to \(range.upperBound)")
    }
    return Located(value: value, line: node.line)
  }

  /// A number with or without a fraction.
  func number(_ key: String, in range: ClosedRange<Double>) throws(ConfigurationError) -> Located<Double>? {
    guard let node = entries[key] else { return nil }
    let value: Double
    switch node.value {
    case .integer(let integer): value = Double(integer)
    case .float(let float): value = float
    default: throw wrongType(node, key, "a number")
    }
    guard range.contains(value) else {
      throw bad(node.line, key, "\(value)", "\(range.lowerBound) to \(range.upperBound)")
    }
    return Located(value: value, line: node.line)
  }

  /// Where a key stands; nil: it is not there.
  func line(of key: String) -> Int? { entries[key]?.line }

  func boolean(_ key: String) throws(ConfigurationError) -> Located<Bool>? {
    guard let node = entries[key] else { return nil }
    guard case .boolean(let value) = node.value else { throw wrongType(node, key, "true or false") }
    return Located(value: value, line: node.line)
  }

  func strings(_ key: String) throws(ConfigurationError) -> Located<[String]>? {
    guard let node = entries[key] else { return nil }
    guard case .array(let elements) = node.value else { throw wrongType(node, key, "an array of strings") }
    var strings: [String] = []
    for element in elements {
      guard case .string(let string) = element.value else { throw wrongType(element, key, "an array of strings") }
      try checkText(string, element.line, key)
      strings.append(string)
    }
    return Located(value: strings, line: node.line)
  }

  /// An amount of memory: a number of bytes, or a string such as "256M".
  func memorySize(_ key: String) throws(ConfigurationError) -> Int? {
    guard let node = entries[key] else { return nil }
    let size: MemorySize? =
      switch node.value {
      case .integer(let bytes): MemorySize(bytes: bytes)
      case .string(let text): MemorySize(text)
      default: throw wrongType(node, key, "a number of bytes or a string such as \"256M\"")
      }
    guard let size else { throw bad(node.line, key, node.quoted, MemorySize.expectation) }
    return size.bytes
  }

  /// A string that a type can read.
  func parsed<Value>(
    _ key: String, _ expected: String, _ parse: (String) -> Value?
  ) throws(ConfigurationError) -> Located<Value>? {
    guard let text = try string(key) else { return nil }
    guard let value = parse(text.value) else { throw bad(text.line, key, "\"\(text.value)\"", expected) }
    return Located(value: value, line: text.line)
  }

  // MARK: Tables

  func table(_ key: String) -> TOMLNode? { entries[key] }

  /// Whether the key is there and its value an integer.
  func isInteger(_ key: String) -> Bool {
    if case .integer? = entries[key]?.value { true } else { false }
  }

  /// An array of tables, empty when the key is not there.
  func tables(_ key: String) throws(ConfigurationError) -> [TOMLNode] {
    guard let node = entries[key] else { return [] }
    guard case .array(let elements) = node.value else {
      throw wrongType(node, key, "an array of tables ([[\(key)]])")
    }
    return elements
  }

  // MARK: Errors

  /// The value, or an error that the table lacks it.
  func need<Value>(_ key: String, _ value: Value?) throws(ConfigurationError) -> Value {
    guard let value else { throw ConfigurationError(line: line, .missingKey(key, table: name)) }
    return value
  }

  /// Strings become paths and arguments, which a NUL would cut short.
  private func checkText(_ text: String, _ line: Int, _ key: String) throws(ConfigurationError) {
    if text.utf8.contains(0) { throw bad(line, key, "text with a NUL in it", "text without one") }
  }

  func bad(_ line: Int, _ key: String, _ value: String, _ expected: String) -> ConfigurationError {
    ConfigurationError(line: line, .badValue(key: key, value: value, expected: expected))
  }

  private func wrongType(_ node: TOMLNode, _ key: String, _ expected: String) -> ConfigurationError {
    ConfigurationError(line: node.line, .wrongType(key: key, expected: expected, found: node.typeName))
  }
}

extension TOMLNode {
  /// A scalar as a message shows it.
  fileprivate var quoted: String {
    switch value {
    case .string(let text): "\"\(text)\""
    case .integer(let number): "\(number)"
    default: typeName
    }
  }
}
