/// Rows under a heading, in columns as wide as they need.
public struct TextTable: CustomStringConvertible {
  /// A column's heading, and where its cells stand.
  public struct Column: Sendable {
    /// The side of its column.
    public enum Side: Sendable { case left, right }

    let heading: String
    let side: Side

    /// A column; text stands left.
    public init(_ heading: String, _ side: Side = .left) {
      self.heading = heading
      self.side = side
    }
  }

  private let columns: [Column]
  private var rows: [[String]] = []

  /// A table without rows.
  public init(_ columns: [Column]) {
    self.columns = columns
  }

  /// Adds a row; control characters, which a VM's name could bring, are shown as "?".
  public mutating func add(_ row: [String]) {
    rows.append(row.map(Self.printable))
  }

  /// The heading and the rows, a line each.
  public var description: String {
    let lines = [columns.map(\.heading)] + rows
    let widths = columns.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    return lines.map { line(of: $0, widths) }.joined(separator: "\n")
  }

  private func line(of cells: [String], _ widths: [Int]) -> String {
    var line = ""
    for (index, cell) in cells.enumerated() {
      let gap = String(repeating: " ", count: widths[index] - cell.count)
      line += columns[index].side == .left ? cell + gap : gap + cell
      if index < cells.count - 1 { line += "  " }
    }
    while line.last == " " { line.removeLast() }
    return line
  }

  private static func printable(_ cell: String) -> String {
    String(cell.map { $0.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F } ? "?" : $0 })
  }
}

/// Numbers of bytes for people.
public enum ByteText {
  /// With one decimal, in the unit that leaves one to three digits before it.
  public static func of(_ bytes: UInt64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    var value = Double(bytes)
    var unit = 0
    while value >= 1000, unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    guard unit > 0 else { return "\(bytes) B" }
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10) \(units[unit])"
  }
}
