import Listing

/// One thing that `muntin doctor` looked at.
struct Finding: Equatable {
  /// How good it is.
  enum State: String {
    /// All that can be had.
    case ok
    /// Muntin works, but not as well as it could.
    case limited
    /// Muntin does not work, or not for this.
    case missing
  }

  /// What was looked at: a stable key.
  let check: String
  let state: State
  /// What is there.
  let found: String
  /// What that means for the user.
  let consequence: String
  /// What would make it better; empty when nothing needs to be.
  let remedy: String

  init(_ check: String, _ state: State, _ found: String, means consequence: String, remedy: String = "") {
    self.check = check
    self.state = state
    self.found = found
    self.consequence = consequence
    self.remedy = remedy
  }

  var json: JSONValue {
    .object([
      ("check", .string(check)), ("state", .string(state.rawValue)), ("found", .string(found)),
      ("consequence", .string(consequence)), ("remedy", remedy.isEmpty ? .null : .string(remedy)),
    ])
  }

  /// The finding for people, in two or three lines.
  var text: String {
    let margin = "\n" + String(repeating: " ", count: 27)
    let name = "\(state.rawValue)".padded(to: 9) + check.padded(to: 18)
    return name + found + margin + consequence + (remedy.isEmpty ? "" : margin + "Remedy: " + remedy)
  }
}

extension String {
  fileprivate func padded(to width: Int) -> String {
    self + String(repeating: " ", count: max(1, width - count))
  }
}
