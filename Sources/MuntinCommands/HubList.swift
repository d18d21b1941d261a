import Buffers
import HubProtocol
import Listing

/// What a hub lists, for people and for programs.
struct HubList {
  private(set) var table: TextTable
  private(set) var json: JSONValue

  init(vms: [VMRecord]) {
    table = TextTable([
      .init("NAME"), .init("STATE"), .init("SCREENS"), .init("MEMORY", .right), .init("LIMIT", .right),
      .init("SHARED", .right), .init("IMPORTED", .right), .init("BUFFERS", .right), .init("FLUSHES", .right),
      .init("PID", .right), .init("SOCKET"),
    ])
    for vm in vms {
      table.add([
        vm.name.text, "\(vm.state)", Self.screens(vm.scanouts), Self.bytes(vm.ledger.totals.hostAllocated),
        vm.memoryLimit == 0 ? "-" : ByteText.of(vm.memoryLimit), Self.bytes(vm.ledger.totals.guestMemory),
        Self.bytes(vm.ledger.totals.imported), "\(vm.ledger.totals.buffers)", "\(vm.flushes)",
        Self.pid(vm.processID), vm.socketPath.isEmpty ? "-" : vm.socketPath,
      ])
    }
    json = .array(vms.map(Self.json))
  }

  init(buffers: [BufferRecord]) {
    table = TextTable([
      .init("ID"), .init("OWNER"), .init("SIZE"), .init("FORMAT"), .init("MEMORY", .right), .init("SIDE"),
      .init("WAY"), .init("STATE"), .init("LEASES", .right), .init("WHY"),
    ])
    for record in buffers {
      table.add([
        "\(record.buffer.id)", Self.owner(record.owner),
        "\(record.buffer.layout.size)" + (record.images > 1 ? " x\(record.images)" : ""),
        "\(record.buffer.layout.format)",
        ByteText.of(record.bytes), "\(record.memory.side)", "\(record.memory.way)", "\(record.state)",
        "\(record.leases)", "\(record.memory.reason)" + (record.trouble.isEmpty ? "" : "; \(record.trouble)"),
      ])
    }
    json = .array(buffers.map(Self.json))
  }

  init(displays: [DisplayRecord]) {
    table = TextTable([
      .init("NAME"), .init("SIZE"), .init("HZ", .right), .init("OUTPUT"), .init("LAYERS", .right), .init("PID", .right),
    ])
    for display in displays {
      table.add([
        display.name.text, Self.size(display.size), Self.hertz(display.refreshMillihertz),
        display.processID == 0 ? "not connected" : display.output, "\(display.layers)", Self.pid(display.processID),
      ])
    }
    json = .array(displays.map(Self.json))
  }

  init(clients: [ClientRecord]) {
    table = TextTable([
      .init("NAME"), .init("ROLE"), .init("PID", .right), .init("UID", .right), .init("RECEIVED", .right),
      .init("SENT", .right),
    ])
    for client in clients {
      table.add([
        client.name.text, "\(client.role)", Self.pid(client.processID), "\(client.userID)",
        "\(client.messagesReceived)", "\(client.messagesSent)",
      ])
    }
    json = .array(clients.map(Self.json))
  }

  init(grants: [GrantRecord]) {
    table = TextTable([
      .init("NUMBER", .right), .init("OWNER"), .init("TO"), .init("OBJECT"), .init("ACCESS"), .init("FORM"),
      .init("FROM"),
    ])
    for grant in grants {
      table.add([
        "\(grant.id)", "\(grant.owner)", "\(grant.grantee)", Self.object(grant.object) ?? "all", "\(grant.access)",
        grant.form.map { "\($0)" } ?? "-", grant.isConfigured ? "configuration" : "request",
      ])
    }
    json = .array(grants.map(Self.json))
  }

  // MARK: For people

  private static func bytes(_ count: Int) -> String { ByteText.of(UInt64(clamping: count)) }

  /// A VM by its name alone.
  private static func owner(_ party: Party) -> String { party.kind == .vm ? party.name.text : "\(party)" }

  private static func object(_ object: GrantObject) -> String? {
    switch object {
    case .id(let id): "\(id)"
    case .name(let name): name.text
    case .everything: nil
    case .scanout(let scanout): "display \(scanout)"
    }
  }

  private static func screens(_ scanouts: [VMRecord.Scanout]) -> String {
    let words = scanouts.map { $0.isOn ? "\($0.shown)" : "\($0.mode) off" }
    return words.isEmpty ? "-" : words.joined(separator: ", ")
  }

  private static func pid(_ pid: Int32) -> String { pid == 0 ? "-" : "\(pid)" }

  private static func size(_ size: Size) -> String { size.isEmpty ? "-" : "\(size)" }

  private static func hertz(_ millihertz: UInt32) -> String {
    guard millihertz > 0 else { return "-" }
    return millihertz % 1000 == 0 ? "\(millihertz / 1000)" : "\(Double(millihertz) / 1000)"
  }

  // MARK: For programs

  private static func json(_ vm: VMRecord) -> JSONValue {
    .object([
      ("name", .string(vm.name.text)), ("state", .string("\(vm.state)")), ("pid", process(vm.processID)),
      ("socket", .string(vm.socketPath)), ("memory_limit", vm.memoryLimit == 0 ? .null : .count(vm.memoryLimit)),
      ("memory_used", .count(vm.bytes)), ("pixels_copied", .count(vm.ledger.pixelsCopied)),
      ("buffers", .count(vm.buffers)), ("flushes", .count(vm.flushes)),
      ("scanouts", .array(vm.scanouts.map(json))), ("ledger", json(vm.ledger)),
    ])
  }

  /// Each line of the ledger: what is used, and the limit if there is one.
  private static func json(_ ledger: LedgerReport) -> JSONValue {
    let lines = Ledger.Quantity.allCases.map { quantity -> (key: String, value: JSONValue) in
      let limit = ledger.limits[quantity]
      return (
        quantity.key,
        .object([("used", .count(ledger.totals[quantity])), ("limit", limit == .max ? .null : .count(limit))])
      )
    }
    return .object(lines + [("promised", .count(ledger.promised))])
  }

  private static func json(_ grant: GrantRecord) -> JSONValue {
    var buffer = object(grant.object), display: ScanoutIndex?
    if case .scanout(let scanout) = grant.object { (buffer, display) = (nil, scanout) }
    return .object([
      ("number", .count(grant.id.rawValue)), ("owner", .string("\(grant.owner)")), ("to", .string("\(grant.grantee)")),
      ("buffer", buffer.map { .string($0) } ?? .null),
      ("display", display.map { .count($0.rawValue) } ?? .null), ("access", .string("\(grant.access)")),
      ("form", grant.form.map { .string("\($0)") } ?? .null), ("configured", .boolean(grant.isConfigured)),
    ])
  }

  private static func json(_ scanout: VMRecord.Scanout) -> JSONValue {
    .object([
      ("scanout", .count(scanout.scanout.rawValue)), ("on", .boolean(scanout.isOn)), ("mode", extent(scanout.mode)),
      ("shown", extent(scanout.shown)), ("flushes", .count(scanout.flushes)),
    ])
  }

  private static func json(_ record: BufferRecord) -> JSONValue {
    .object([
      ("id", .string("\(record.buffer.id)")), ("owner", .string(record.owner.name.text)),
      ("owner_kind", .string("\(record.owner.kind)")),
      ("name", record.name.map { .string($0.text) } ?? .null),
      ("size", extent(record.buffer.layout.size)), ("format", .string("\(record.buffer.layout.format)")),
      ("stride", .count(record.buffer.layout.stride)), ("offset", .count(record.buffer.layout.offset)),
      ("bytes", .count(record.bytes)), ("side", .string("\(record.memory.side)")),
      ("memory", .string("\(record.memory.kind)")), ("way", .string("\(record.memory.way)")),
      ("reason", .string("\(record.memory.reason)")),
      ("trouble", record.trouble.isEmpty ? .null : .string(record.trouble)),
      ("copies", .boolean(record.memory.way == .copy)),
      ("state", .string("\(record.state)")), ("leases", .count(record.leases)),
      ("images", .count(UInt32(clamping: record.images))),
    ])
  }

  private static func json(_ display: DisplayRecord) -> JSONValue {
    .object([
      ("name", .string(display.name.text)), ("size", extent(display.size)),
      ("refresh", .count(display.refreshMillihertz)), ("output", .string(display.output)),
      ("layers", .count(display.layers)), ("pid", process(display.processID)), ("frame", .boolean(display.hasFrame)),
    ])
  }

  private static func json(_ client: ClientRecord) -> JSONValue {
    .object([
      ("name", .string(client.name.text)), ("role", .string("\(client.role)")), ("pid", process(client.processID)),
      ("uid", .count(client.userID)), ("received", .count(client.messagesReceived)),
      ("sent", .count(client.messagesSent)),
    ])
  }

  private static func process(_ pid: Int32) -> JSONValue { pid == 0 ? .null : .count(pid) }

  private static func extent(_ size: Size) -> JSONValue { size.isEmpty ? .null : .string("\(size)") }
}
