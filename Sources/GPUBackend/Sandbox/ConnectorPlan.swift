import Sandbox

/// What a card's connector reaches for it, fixed when both are started.
public struct ConnectorPlan: Equatable, Sendable {
  /// The hub's socket.
  public var hub: String?
  /// The socket of a Wayland compositor.
  public var wayland: String?
  /// The card's own listening socket, whose file is removed at the end.
  public var socket: String?
  /// How far it shuts itself in.
  public var mode: SandboxMode

  /// The hidden subcommand that is the connector.
  public static let subcommand = "connector"

  /// A plan.
  public init(hub: String? = nil, wayland: String? = nil, socket: String? = nil, mode: SandboxMode) {
    self.hub = hub
    self.wayland = wayland
    self.socket = socket
    self.mode = mode
  }

  /// The command line of the process.
  var arguments: [String] {
    let options = [("--hub", hub), ("--wayland", wayland), ("--socket", socket), ("--sandbox", mode.rawValue)]
    return [Self.subcommand] + options.flatMap { name, value in value.map { ["\(name)=\($0)"] } ?? [] }
  }
}
