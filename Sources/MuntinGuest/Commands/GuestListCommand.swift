import ArgumentParser
import Buffers
import HubProtocol
import Listing

/// `muntin-guest list`.
struct GuestListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "The buffers that this virtual machine owns or may import, and the screens that it may see.",
    discussion: """
      --json prints an array of objects, to which later versions only add keys: id, owner, name (or null), size, format,
      own (whether it is this machine's), access ("read" or "read-write"), state, generation, leases, images, \
      properties: {name: value}. Screens of other machines have owner, display (a number), size, own, access and state \
      ("shown", "off", "offline", "gone").

      EXAMPLE
        muntin-guest list --json
      """
  )

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var card: CardOptions

  func run() throws {
    let conversation = try card.connect()
    var query = BufferQuery()
    query.isOwn = true
    let own = Set(try conversation.buffers(query).map(\.buffer.id))
    let buffers = try conversation.buffers().map { (info: $0, isOwn: own.contains($0.buffer.id)) }
    let screens = try conversation.screens()
    let all = buffers.map(Self.json) + screens.map(Self.json)
    print(json ? JSONValue.array(all).lines : Self.table(buffers, screens).description)
  }

  private static func json(_ info: BufferInfo, _ isOwn: Bool) -> JSONValue {
    .object([
      ("id", .string("\(info.buffer.id)")), ("owner", .string("\(info.owner)")),
      ("name", info.name.map { .string($0.text) } ?? .null), ("size", .string("\(info.buffer.layout.size)")),
      ("format", .string("\(info.buffer.layout.format)")), ("own", .boolean(isOwn)),
      ("access", .string("\(info.access)")),
      ("state", .string("\(info.state)")), ("generation", .count(info.generation)), ("leases", .count(info.leases)),
      ("images", .count(UInt32(clamping: info.images))),
      ("properties", .object(info.properties.map { ($0.name, .string($0.value)) })),
    ])
  }

  private static func json(_ info: ScreenInfo) -> JSONValue {
    .object([
      ("owner", .string("\(Party(.vm, info.screen.vm))")), ("display", .count(info.screen.scanout.rawValue)),
      ("size", .string("\(info.size)")), ("own", .boolean(false)), ("access", .string("\(BufferAccess.read)")),
      ("state", .string(info.absence?.description ?? "shown")),
    ])
  }

  private static func table(_ buffers: [(info: BufferInfo, isOwn: Bool)], _ screens: [ScreenInfo]) -> TextTable {
    var table = TextTable([
      .init("NAME"), .init("OWNER"), .init("SIZE"), .init("FORMAT"), .init("USE"), .init("ACCESS"),
      .init("LEASES", .right),
      .init("ID"),
      .init("PROPERTIES"),
    ])
    for (info, isOwn) in buffers {
      table.add([
        info.name?.text ?? "-", "\(info.owner)",
        "\(info.buffer.layout.size)" + (info.images > 1 ? " x\(info.images)" : ""),
        "\(info.buffer.layout.format)", isOwn ? "own" : "import", "\(info.access)", "\(info.leases)",
        "\(info.buffer.id)",
        info.properties.map { "\($0.name)=\($0.value)" }.joined(separator: " "),
      ])
    }
    for info in screens {
      table.add([
        "\(info.screen)", "\(Party(.vm, info.screen.vm))", "\(info.size)", info.absence?.description ?? "screen",
        "import", "read",
        "-", "-", "",
      ])
    }
    return table
  }
}
