import ArgumentParser
import Buffers
import HubProtocol
import Listing

/// `muntin-guest list`.
struct GuestListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "The buffers that this virtual machine owns or may import.",
    discussion: """
      --json prints an array of objects, to which later versions only add keys: id, owner, name (or null), size, format,
      access ("read" or "read-write"), state, generation, leases, properties: {name: value}.

      EXAMPLE
        muntin-guest list --json
      """
  )

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var card: CardOptions

  func run() throws {
    let buffers = try card.connect().buffers()
    print(json ? JSONValue.array(buffers.map(Self.json)).lines : Self.table(buffers).description)
  }

  private static func json(_ info: BufferInfo) -> JSONValue {
    .object([
      ("id", .string("\(info.buffer.id)")), ("owner", .string("\(info.owner)")),
      ("name", info.name.map { .string($0.text) } ?? .null), ("size", .string("\(info.buffer.layout.size)")),
      ("format", .string("\(info.buffer.layout.format)")), ("access", .string("\(info.access)")),
      ("state", .string("\(info.state)")), ("generation", .count(info.generation)), ("leases", .count(info.leases)),
      ("properties", .object(info.properties.map { ($0.name, .string($0.value)) })),
    ])
  }

  private static func table(_ buffers: [BufferInfo]) -> TextTable {
    var table = TextTable([
      .init("NAME"), .init("OWNER"), .init("SIZE"), .init("FORMAT"), .init("ACCESS"), .init("LEASES", .right),
      .init("ID"),
      .init("PROPERTIES"),
    ])
    for info in buffers {
      table.add([
        info.name?.text ?? "-", "\(info.owner)", "\(info.buffer.layout.size)", "\(info.buffer.layout.format)",
        "\(info.access)", "\(info.leases)", "\(info.buffer.id)",
        info.properties.map { "\($0.name)=\($0.value)" }.joined(separator: " "),
      ])
    }
    return table
  }
}
