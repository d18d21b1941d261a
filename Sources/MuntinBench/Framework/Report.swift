/// The tables, as text for a terminal and as Markdown.
struct Report {
  let results: Results

  private static let head = ["figure", "unit", "Muntin", "beside", "its", "ratio", "target", ""]

  /// Tables with aligned columns.
  var text: String {
    let sections = Figure.Section.allCases.filter { !results.rows(of: $0).isEmpty }
    let tables = sections.map { ($0, results.rows(of: $0).map(cells)) }
    let widths = Self.widths([Self.head] + tables.flatMap(\.1))
    return tables.map { section, rows in
      let notes = results.rows(of: section).flatMap(\.notes).map { "  - \($0)" }
      return ([section.rawValue] + ([Self.head] + rows).map { Self.line($0, widths) } + notes).joined(separator: "\n")
    }.joined(separator: "\n\n")
  }

  /// The same for a page.
  var markdown: String {
    Figure.Section.allCases.filter { !results.rows(of: $0).isEmpty }.map { section in
      let rows = results.rows(of: section)
      var lines = [
        "## \(section.rawValue)", "", Self.row(Self.head), Self.row(["---"] + Array(repeating: "--:", count: 7)),
      ]
      lines += rows.map { Self.row(cells($0)) }
      let notes = rows.flatMap(\.notes)
      if !notes.isEmpty { lines += [""] + notes.map { "- \($0)" } }
      return lines.joined(separator: "\n")
    }.joined(separator: "\n\n")
  }

  /// How many targets were reached, and the names of the others.
  var summary: String {
    let judged = results.rows.filter { $0.verdict != .open }
    let missed = judged.filter { $0.verdict == .missed }.map { "\($0.figure.section.rawValue): \($0.figure.name)" }
    let count = "\(judged.count - missed.count) of \(judged.count) targets met."
    return missed.isEmpty ? count : count + " Missed: " + missed.joined(separator: "; ") + "."
  }

  private func cells(_ row: Results.Row) -> [String] {
    let figure = row.figure
    return [
      figure.name, figure.unit.rawValue, Self.spread(row.ours), figure.peer.rawValue, Self.spread(row.peers),
      row.ratio.map(Self.spread) ?? "", Self.target(figure.target), row.verdict == .open ? "" : row.verdict.rawValue,
    ]
  }

  private static func spread(_ values: [Double]) -> String {
    Spread(values).map(spread) ?? ""
  }

  private static func spread(_ spread: Spread) -> String {
    let median = Numbers.text(spread.median)
    if spread.minimum == spread.maximum { return median }
    return "\(median) (\(Numbers.text(spread.minimum))..\(Numbers.text(spread.maximum)))"
  }

  private static func target(_ target: Figure.Target) -> String {
    switch target {
    case .ratioAtLeast(let least): "ratio ≥ \(Numbers.text(least))"
    case .ratioAtMost(let most): "ratio ≤ \(Numbers.text(most))"
    case .atMost(let most): "≤ \(Numbers.text(most))"
    case .atLeast(let least): "≥ \(Numbers.text(least))"
    case .none: ""
    }
  }

  private static func widths(_ rows: [[String]]) -> [Int] {
    head.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
  }

  private static func line(_ cells: [String], _ widths: [Int]) -> String {
    let padded = zip(cells, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
    return "  " + padded.joined(separator: "  ")
  }

  private static func row(_ cells: [String]) -> String {
    "| " + cells.joined(separator: " | ") + " |"
  }
}
