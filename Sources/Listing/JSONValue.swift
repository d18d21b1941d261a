/// A value that `--json` prints. Members keep the order in which they are written.
public indirect enum JSONValue: Equatable, Sendable, CustomStringConvertible {
  case null
  case boolean(Bool)
  case integer(Int)
  case string(String)
  case array([JSONValue])
  case object([(key: String, value: JSONValue)])

  /// Equal when they print the same.
  public static func == (left: JSONValue, right: JSONValue) -> Bool {
    left.description == right.description
  }

  /// The number, as long as it can be one.
  public static func count(_ number: some BinaryInteger) -> JSONValue {
    .integer(Int(clamping: number))
  }

  /// Everything on one line.
  public var description: String {
    switch self {
    case .null: "null"
    case .boolean(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .string(let value): Self.quoted(value)
    case .array(let values): "[\(values.map(\.description).joined(separator: ","))]"
    case .object(let members):
      "{\(members.map { "\(Self.quoted($0.key)):\($0.value)" }.joined(separator: ","))}"
    }
  }

  /// An array with one element a line, for people and for `diff`.
  public var lines: String {
    guard case .array(let values) = self, !values.isEmpty else { return description }
    return "[\n  \(values.map(\.description).joined(separator: ",\n  "))\n]"
  }

  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\n": quoted += "\\n"
      case "\t": quoted += "\\t"
      case _ where scalar.value < 0x20:
        quoted += "\\u00" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}
