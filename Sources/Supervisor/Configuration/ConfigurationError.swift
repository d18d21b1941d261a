import Buffers

/// What is wrong with a configuration, and where.
public struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The file as the user named it.
  public internal(set) var file = ""
  /// The line, from 1; nil when the file could not be read at all.
  public let line: Int?
  /// What is wrong.
  public let problem: ConfigurationProblem

  init(line: Int?, _ problem: ConfigurationProblem) {
    self.line = line
    self.problem = problem
  }

  /// As "FILE:LINE: problem; remedy".
  public var description: String {
    let place = line.map { "\(file):\($0)" } ?? file
    return "\(place): \(problem)"
  }
}

/// The ways in which a configuration can be wrong.
public enum ConfigurationProblem: Equatable, Sendable, CustomStringConvertible {
  /// The file cannot be read; the system's words.
  case unreadable(String)
  /// The text is not TOML; the parser's words.
  case syntax(String)
  /// A key that does not exist in that table.
  case unknownKey(String, table: String, known: [String])
  /// A key that the table needs.
  case missingKey(String, table: String)
  /// A value of another type than the key takes.
  case wrongType(key: String, expected: String, found: String)
  /// A value that the key does not take.
  case badValue(key: String, value: String, expected: String)
  /// A value that does not go with the others of its table.
  case unfit(key: String, expected: String)
  /// A value that may be there once only, and where it was first.
  case duplicate(what: String, value: String, firstLine: Int)
  /// No `[[display]]`.
  case noDisplay
  /// A scanout names a display that is not there.
  case unknownDisplay(String, known: [String])
  /// A grant names a VM or a display that is not there.
  case unknownParty(String, known: [String])
  /// A scanout's area is not wholly on its display.
  case areaOutsideDisplay(Rectangle, display: String, size: Size)
  /// A VM with no scanout, or with more than the device can have.
  case scanoutCount(Int, machine: String)
  /// A form of reading of a grant that is not for a VM to read.
  case formWithoutReader
  /// Channels need memory of the host that the guest sees.
  case channelWithoutWindow(key: String, machine: String)
  /// A key that means nothing without another one.
  case needsKey(String, needed: String)
  /// VNC on an address that others can reach, without a password.
  case passwordNeeded(address: String)

  /// What is wrong and what to do.
  public var description: String {
    switch self {
    case .unreadable(let reason): "cannot read the configuration: \(reason)"
    case .syntax(let message): "not valid TOML: \(message)"
    case .unknownKey(let key, let table, let known): Self.unknownKey(key, table, known)
    case .missingKey(let key, let table): "\(table) needs the key \"\(key)\"; add it"
    case .wrongType(let key, let expected, let found): "\"\(key)\" must be \(expected), but is \(found)"
    case .badValue(let key, let value, let expected): "\"\(key)\" cannot be \(value); it takes \(expected)"
    case .unfit(let key, let expected): "\"\(key)\" takes \(expected)"
    case .duplicate(let what, let value, let line):
      "\(what) \"\(value)\" is there already, on line \(line); give each its own"
    case .noDisplay: "no [[display]]; add one with name, size and output"
    case .unknownDisplay(let name, let known):
      "there is no display \"\(name)\"; the displays are \(Self.list(known))"
    case .unknownParty(let party, let known): "there is no \(party); there is \(Self.list(known))"
    case .areaOutsideDisplay(let area, let display, let size):
      "the area \(area) is not inside display \"\(display)\", which is \(size); make it smaller, move it, or make the "
        + "display larger"
    case .formWithoutReader:
      "form says how a VM that may read gets the pixels; leave it out, or grant access = \"read\" to \"vm:NAME\""
    case .channelWithoutWindow(let key, let machine):
      "VM \"\(machine)\": \(key) needs a host-visible region; leave out host_visible = \"0\" or \(key)"
    case .scanoutCount(let count, let machine):
      "VM \"\(machine)\" has \(count) scanouts; it needs 1 to \(Configuration.maximumScanouts) [[vm.scanout]]"
    case .needsKey(let key, let needed): "\"\(key)\" means nothing without \"\(needed)\"; add that or remove this"
    case .passwordNeeded(let address):
      "VNC on \(address) can be reached from other machines; add \"password_file\", or use vnc=127.0.0.1"
    }
  }

  private static func unknownKey(_ key: String, _ table: String, _ known: [String]) -> String {
    if let likely = known.closest(to: key) {
      return "\(table) has no key \"\(key)\"; did you mean \"\(likely)\"?"
    }
    return "\(table) has no key \"\(key)\"; its keys are \(known.joined(separator: ", "))"
  }

  private static func list(_ names: [String]) -> String {
    names.map { "\"\($0)\"" }.joined(separator: ", ")
  }
}

extension [String] {
  /// The element that differs from `word` in the fewest letters, if it is at most a third of them.
  func closest(to word: String) -> String? {
    let candidates = map { (word: $0, distance: Self.distance($0, word)) }
    guard let best = candidates.min(by: { $0.distance < $1.distance }) else { return nil }
    return best.distance * 3 <= Swift.max(best.word.count, 3) ? best.word : nil
  }

  /// How many letters must be put in, taken out or changed to make one word of the other.
  private static func distance(_ first: String, _ second: String) -> Int {
    let second = Array<Character>(second.prefix(64))
    var previous = Array<Int>(0...second.count)
    for (row, letter) in first.prefix(64).enumerated() {
      var current = [row + 1]
      for (column, other) in second.enumerated() {
        let change = previous[column] + (letter == other ? 0 : 1)
        current.append(Swift.min(change, previous[column + 1] + 1, current[column] + 1))
      }
      previous = current
    }
    return previous[second.count]
  }
}
