import ArgumentParser
import Hub
import HubProtocol
import Supervisor

/// `muntin hub`.
struct HubCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hub",
    abstract: "The broker that knows which virtual machine shows what, and where.",
    discussion: """
      Back-ends (`muntin gpu`) and displays (`muntin compositor`) connect to it and find each other. It touches no \
      pixel, and when it is started again, everybody comes back to it.

      With --config the screens stand where the configuration places them, and SIGHUP reads it again. Without, they \
      stand side by side in equal cells on every display.

      EXAMPLES
        muntin hub --socket-path /run/muntin/hub.sock
        muntin hub --config wall.toml
      """
  )

  @Option(
    help: ArgumentHelp(
      "Listen at this path.",
      discussion: "Default: [hub] socket of the configuration, else as `muntin --help` says.", valueName: "path"))
  var socketPath: String?

  @Option(help: ArgumentHelp("The configuration that says where screens stand.", valueName: "file"))
  var config: String?

  @Option(
    name: .customLong("sees-guest-memory"),
    help: ArgumentHelp(
      "A display that may be handed virtual machines' memory; once for each.",
      discussion: "It shows pictures there without a copy. Displays of the configuration say so there.",
      valueName: "name"),
    transform: ArgumentValue.name)
  var guestMemoryReaders: [PeerName] = []

  @OptionGroup var log: LogOptions

  func validate() throws {
    if let socketPath { try GPUCommand.checkSocketPath(socketPath) }
  }

  func run() throws {
    let configuration = try config.map { try Configuration(file: $0) }
    PartProcess.begin()
    let logger = log.logger("muntin.hub")
    PartSandbox.enterHub(logger)
    let path = socketPath ?? configuration?.hubSocket ?? HubSocket.defaultPath
    var settings = configuration.map { Hub.Configuration($0) } ?? Hub.Configuration()
    settings.guestMemoryReaders = .only(Set(guestMemoryReaders))
    try HubProcess(
      socketPath: path, configuration: settings,
      reload: config.map { file in { Layout(try Configuration(file: file)) } }, logger: logger
    ).run()
  }
}
