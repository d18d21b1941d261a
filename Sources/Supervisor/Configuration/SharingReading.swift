import Buffers
import Glibc

// What programs beside the VMs and displays may do: [[application]] and [[grant]].

extension Configuration.Application {
  private static let keys = ["name", "user", "memory_limit"]

  init(_ node: TOMLNode, _ uniques: inout UniqueValues) throws(ConfigurationError) {
    let table = try TOMLTableReader(node, name: "[[application]]", keys: Self.keys)
    name = try table.name(of: "application", &uniques)
    user = try table.user("user")
    memoryLimit = try table.memorySize("memory_limit")
  }
}

extension Configuration.Grant {
  private static let keys = ["from", "buffer", "display", "to", "access", "form"]

  /// A right; the VMs and displays that it names must be there.
  init(_ node: TOMLNode, vms: [String], displays: [String]) throws(ConfigurationError) {
    let table = try TOMLTableReader(node, name: "[[grant]]", keys: Self.keys)
    owner = try Self.party(table, "from", vms, displays)
    grantee = try Self.party(table, "to", vms, displays)
    buffer = try table.parsed("buffer", "the name of a buffer") {
      (1...Configuration.maximumNameLength).contains($0.utf8.count) ? $0 : nil
    }?.value
    display = try Self.display(table, of: owner, besides: buffer)
    let words = Configuration.Access.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or ")
    access = try table.parsed("access", words) { Configuration.Access(rawValue: $0) }?.value ?? .read
    form = try Self.form(of: table, access, grantee)
    guard display != nil else { return }
    guard access == .read else { throw table.unfit("access", "\"read\" for a display") }
    guard form == nil else { throw table.unfit("form", "no value for a display, which is always a copy") }
    guard grantee.kind == .vm else { throw table.unfit("to", "a VM beside \"display\"") }
  }

  private static func form(
    of table: TOMLTableReader, _ access: Configuration.Access, _ grantee: Configuration.Party
  ) throws(ConfigurationError) -> Form? {
    let forms = Form.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or ")
    let form = try table.parsed("form", forms) { Form(rawValue: $0) }
    if let form, access != .read || grantee.kind != .vm {
      throw ConfigurationError(line: form.line, .formWithoutReader)
    }
    return form?.value
  }

  /// The screen that it is about, if it is about one.
  private static func display(
    _ table: TOMLTableReader, of owner: Configuration.Party, besides buffer: String?
  ) throws(ConfigurationError) -> Int? {
    guard let display = try table.integer("display", in: 0...Configuration.maximumScanouts - 1) else { return nil }
    guard owner.kind == .vm else { throw table.unfit("display", "the number of a VM's screen; the owner is no VM") }
    guard buffer == nil else { throw table.unfit("display", "no buffer beside it; make two grants") }
    return display.value
  }

  private static func party(
    _ table: TOMLTableReader, _ key: String, _ vms: [String], _ displays: [String]
  ) throws(ConfigurationError) -> Configuration.Party {
    let party = try table.need(key, table.parsed(key, Configuration.Party.expectation) { Configuration.Party($0) })
    let known =
      switch party.value.kind {
      case .vm: vms
      case .display: displays
      case .application: [party.value.name]
      }
    guard known.contains(party.value.name) else {
      throw ConfigurationError(line: party.line, .unknownParty("\(party.value)", known: known))
    }
    return party.value
  }
}

extension Configuration.Party {
  static let expectation = "a VM's name, \"vm:NAME\", \"application:NAME\" or \"display:NAME\""

  /// Reads "vm:alpha", or "alpha" for a VM.
  init?(_ text: String) {
    if Configuration.isName(text), !text.contains(":") {
      self.init(kind: .vm, name: text)
      return
    }
    guard let colon = text.firstIndex(of: ":"), let kind = Kind(rawValue: String(text[..<colon])) else { return nil }
    let name = String(text[text.index(after: colon)...])
    guard Configuration.isName(name) else { return nil }
    self.init(kind: kind, name: name)
  }
}

extension TOMLTableReader {
  /// A value that does not go with the others.
  fileprivate func unfit(_ key: String, _ expected: String) -> ConfigurationError {
    ConfigurationError(line: line(of: key) ?? line, .unfit(key: key, expected: expected))
  }

  /// A user, by name or number.
  fileprivate func user(_ key: String) throws(ConfigurationError) -> UInt32? {
    if isInteger(key) {
      return try integer(key, in: 0...Int(UInt32.max - 1)).map { UInt32($0.value) }
    }
    return try parsed(key, "the name or the number of a user of this machine") { Self.userNumber($0) }?.value
  }

  private static func userNumber(_ name: String) -> UInt32? {
    if let number = UInt32(name), number < .max { return number }
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16_384) { room in
      guard let base = room.baseAddress, getpwnam_r(name, &entry, base, room.count, &found) == 0, found != nil else {
        return nil
      }
      return entry.pw_uid
    }
  }
}

extension Configuration.Machine {
  /// What its guest may make this host hold, beyond the memory of its pictures.
  static func limits(_ machine: TOMLTableReader) throws(ConfigurationError) -> [String: Int] {
    guard let node = machine.table("limits") else { return [:] }
    let keys = Ledger.Quantity.allCases.map(\.key).filter { $0 != Ledger.Quantity.bytes(.hostAllocated).key }
    let table = try TOMLTableReader(node, name: "[vm.limits]", keys: keys)
    var limits: [String: Int] = [:]
    for quantity in Ledger.Quantity.allCases where keys.contains(quantity.key) {
      switch quantity {
      case .bytes: limits[quantity.key] = try table.memorySize(quantity.key)
      case .items: limits[quantity.key] = try table.integer(quantity.key, in: 0...Int(UInt32.max))?.value
      }
    }
    return limits
  }
}
