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
      access ("read" or "read-write"), state, generation, leases, images, properties: {name: value}. Screens of other \
      machines have owner, display (a number), size, access and state ("shown", "off", "offline", "gone").

      EXAMPLE
        muntin-guest list --json
      """
  )

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var card: CardOptions

  func run() throws {
    let conversation = try card.connect()
    let buffers = try conversation.buffers(), screens = try conversation.screens()
    let all = buffers.map(Self.json) + screens.map(Self.json)
    print(json ? JSONValue.array(all).lines : Self.table(buffers, screens).description)
  }

  private static func json(_ info: BufferInfo) -> JSONValue {
    .object([
      ("id", .string("\(info.buffer.id)")), ("owner", .string("\(info.owner)")),
      ("name", info.name.map { .string($0.text) } ?? .null), ("size", .string("\(info.buffer.layout.size)")),
      ("format", .string("\(info.buffer.layout.format)")), ("access", .string("\(info.access)")),
      ("state", .string("\(info.state)")), ("generation", .count(info.generation)), ("leases", .count(info.leases)),
      ("images", .count(UInt32(clamping: info.images))),
      ("properties", .object(info.properties.map { ($0.name, .string($0.value)) })),
    ])
  }

  private static func json(_ info: ScreenInfo) -> JSONValue {
    .object([
      ("owner", .string("\(Party(.vm, info.screen.vm))")), ("display", .count(info.screen.scanout.rawValue)),
      ("size", .string("\(info.size)")), ("access", .string("\(BufferAccess.read)")),
      ("state", .string(info.absence?.description ?? "shown")),
    ])
  }

  private static func table(_ buffers: [BufferInfo], _ screens: [ScreenInfo]) -> TextTable {
    var table = TextTable([
      .init("NAME"), .init("OWNER"), .init("SIZE"), .init("FORMAT"), .init("ACCESS"), .init("LEASES", .right),
      .init("ID"),
      .init("PROPERTIES"),
    ])
    for info in buffers {
      table.add([
        info.name?.text ?? "-", "\(info.owner)",
        "\(info.buffer.layout.size)" + (info.images > 1 ? " x\(info.images)" : ""),
        "\(info.buffer.layout.format)", "\(info.access)", "\(info.leases)", "\(info.buffer.id)",
        info.properties.map { "\($0.name)=\($0.value)" }.joined(separator: " "),
      ])
    }
    for info in screens {
      table.add([
        "\(info.screen)", "\(Party(.vm, info.screen.vm))", "\(info.size)", info.absence?.description ?? "screen",
        "read",
        "-", "-", "",
      ])
    }
    return table
  }
}
