/// Everything measured so far, figure by figure in the order of their first measurement.
final class Results {
  /// One figure's measurements, a pair per round.
  struct Row {
    let figure: Figure
    fileprivate(set) var ours: [Double] = []
    fileprivate(set) var peers: [Double] = []
    fileprivate(set) var notes: [String] = []

    /// Ours divided by the peer's, round by round: what disturbs a round disturbs both.
    var ratio: Spread? {
      guard !peers.isEmpty, ours.count == peers.count else { return nil }
      let ratios = zip(ours, peers).map { $0 / $1 }
      return ratios.allSatisfy(\.isFinite) ? Spread(ratios) : nil
    }

    /// Whether the medians reach the target.
    var verdict: Verdict {
      switch figure.target {
      case .ratioAtLeast(let least): judge(ratio) { $0 >= least }
      case .ratioAtMost(let most): judge(ratio) { $0 <= most }
      case .atMost(let most): judge(Spread(ours)) { $0 <= most }
      case .atLeast(let least): judge(Spread(ours)) { $0 >= least }
      case .none: .open
      }
    }

    private func judge(_ spread: Spread?, _ isEnough: (Double) -> Bool) -> Verdict {
      guard let spread, spread.median.isFinite else { return .missed }
      return isEnough(spread.median) ? .met : .missed
    }
  }

  private(set) var rows: [Row] = []
  private var places: [Figure: Int] = [:]

  /// Adds our measurement of a round, or the peer's, or both.
  func record(_ figure: Figure, ours: Double? = nil, peer: Double? = nil) {
    let place = place(of: figure)
    if let ours { rows[place].ours.append(ours) }
    if let peer { rows[place].peers.append(peer) }
  }

  /// Adds what a measurement of one side gave.
  func record(_ figure: Figure, _ side: Side, _ value: Double) {
    switch side {
    case .muntin: record(figure, ours: value)
    case .qemu: record(figure, peer: value)
    }
  }

  /// Adds a remark to a figure; the same one only once.
  func note(_ figure: Figure, _ text: String) {
    let place = place(of: figure)
    if !rows[place].notes.contains(text) { rows[place].notes.append(text) }
  }

  /// The rows of one table.
  func rows(of section: Figure.Section) -> [Row] {
    rows.filter { $0.figure.section == section }
  }

  private func place(of figure: Figure) -> Int {
    if let place = places[figure] { return place }
    rows.append(Row(figure: figure))
    places[figure] = rows.count - 1
    return rows.count - 1
  }
}

/// Whose program is measured.
enum Side: String, CaseIterable {
  case muntin
  case qemu

  /// Both, the other one first in every second round: A B, B A, A B.
  static func order(ofRound round: Int) -> [Side] {
    round % 2 == 0 ? [.muntin, .qemu] : [.qemu, .muntin]
  }
}
