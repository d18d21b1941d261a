/// A table while its document is being read.
final class TOMLTable {
  /// How a table came to be, which decides what may still be added to it (TOML 1.0, "Table", "Inline Table").
  enum Origin {
    /// As the parent of a table with a header; its own header may follow.
    case implied
    /// By its header.
    case header
    /// By the dots of a key; further keys may add to it, a header may not.
    case dotted
    /// In braces: complete.
    case inline
  }

  enum Entry {
    case value(TOMLNode)
    case table(TOMLTable)
    /// An array of tables, with the line of the first.
    case tables([TOMLTable], line: Int)
  }

  let line: Int
  var origin: Origin
  private var entries: [String: Entry] = [:]

  init(line: Int, _ origin: Origin) {
    self.line = line
    self.origin = origin
  }

  var node: TOMLNode {
    TOMLNode(line: line, value: .table(entries.mapValues(Self.node)))
  }

  private static func node(_ entry: Entry) -> TOMLNode {
    switch entry {
    case .value(let node): node
    case .table(let table): table.node
    case .tables(let tables, let line): TOMLNode(line: line, value: .array(tables.map(\.node)))
    }
  }

  // MARK: Headers

  /// The table inside this one that a header's key leads through.
  func step(into key: String, line: Int) throws(TOMLSyntaxError) -> TOMLTable {
    switch entries[key] {
    case nil: return add(key, TOMLTable(line: line, .implied))
    case .table(let table) where table.origin != .inline: return table
    case .tables(let tables, _): return tables[tables.count - 1]
    case let entry?: throw taken(key, entry, line)
    }
  }

  /// The table that a `[header]` opens.
  func open(_ key: String, line: Int) throws(TOMLSyntaxError) -> TOMLTable {
    switch entries[key] {
    case nil: return add(key, TOMLTable(line: line, .header))
    case .table(let table) where table.origin == .implied:
      table.origin = .header
      return table
    case let entry?: throw taken(key, entry, line)
    }
  }

  /// The new last table of the array that a `[[header]]` continues.
  func append(_ key: String, line: Int) throws(TOMLSyntaxError) -> TOMLTable {
    let table = TOMLTable(line: line, .header)
    switch entries[key] {
    case nil: entries[key] = .tables([table], line: line)
    case .tables(let tables, let first): entries[key] = .tables(tables + [table], line: first)
    case let entry?: throw taken(key, entry, line)
    }
    return table
  }

  // MARK: Keys

  /// The table inside this one that a dotted key leads through.
  func dotted(_ key: String, line: Int) throws(TOMLSyntaxError) -> TOMLTable {
    switch entries[key] {
    case nil: return add(key, TOMLTable(line: line, .dotted))
    case .table(let table) where table.origin == .dotted || table.origin == .implied:
      table.origin = .dotted
      return table
    case let entry?: throw taken(key, entry, line)
    }
  }

  /// Whether the key is still free, or an error that says where it is taken.
  func checkFree(_ key: String, line: Int) throws(TOMLSyntaxError) {
    if let entry = entries[key] { throw taken(key, entry, line) }
  }

  func set(_ key: String, _ value: TOMLNode) {
    entries[key] = .value(value)
  }

  private func add(_ key: String, _ table: TOMLTable) -> TOMLTable {
    entries[key] = .table(table)
    return table
  }

  private func taken(_ key: String, _ entry: Entry, _ line: Int) -> TOMLSyntaxError {
    TOMLSyntaxError(line: line, message: "\"\(key)\" is there already, on line \(Self.node(entry).line)")
  }
}
