import ArgumentParser
import GPUBackend
import Sandbox

/// `muntin connector`: what a card starts before it shuts itself in.
struct ConnectorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: ConnectorPlan.subcommand,
    abstract: "Connects for a `muntin gpu` in its sandbox, which starts it.",
    discussion: "Serves the socket that is its standard input, and ends with whoever has the other end.",
    shouldDisplay: false)

  @Option(help: ArgumentHelp("The hub's socket.", valueName: "path"))
  var hub: String?

  @Option(help: ArgumentHelp("The socket of a Wayland compositor.", valueName: "path"))
  var wayland: String?

  @Option(help: ArgumentHelp("The card's own socket, whose file is removed at its end.", valueName: "path"))
  var socket: String?

  @Option(help: ArgumentHelp("on, or log.", valueName: "mode"), transform: ArgumentValue.sandbox)
  var sandbox = SandboxMode.on

  func run() throws {
    try ConnectorProcess(ConnectorPlan(hub: hub, wayland: wayland, socket: socket, mode: sandbox), socket: 0).run()
  }
}
