import Buffers
import Platform

/// One process that the supervisor keeps: what to run, and when.
public struct PartPlan: Equatable, Sendable {
  /// Names the part in logs: "hub", "display main", "gpu alpha", "vm alpha".
  public var name: String
  /// What runs it.
  public var command: ChildCommand
  /// Whether it is started again when it ends by itself.
  public var restarts: Bool
  /// The socket that it opens, if any.
  public var provides: Socket?
  /// The socket that must be there before it starts.
  public var needs: String?
  /// The most memory that the part and what it starts may take, where the system can say so; nil: what there is.
  public var memoryMaximum: Int?

  /// A socket that a part opens.
  public struct Socket: Equatable, Sendable {
    /// Where.
    public var path: String
    /// What it carries.
    public var kind: UnixSocket.Kind

    /// A socket.
    public init(path: String, kind: UnixSocket.Kind) {
      self.path = path
      self.kind = kind
    }
  }

  /// A part.
  public init(name: String, command: ChildCommand, restarts: Bool, provides: Socket? = nil, needs: String? = nil) {
    self.name = name
    self.command = command
    self.restarts = restarts
    self.provides = provides
    self.needs = needs
  }
}

/// Everything that `muntin up` runs, in the order of starting.
public struct UpPlan: Equatable, Sendable {
  /// The hub's socket.
  public var hubSocket: String
  /// The hub, the displays, the back-ends, the machines.
  public var parts: [PartPlan]

  /// A plan of given parts.
  public init(hubSocket: String, parts: [PartPlan]) {
    self.hubSocket = hubSocket
    self.parts = parts
  }

  /// The plan of a configuration.
  /// - Parameters:
  ///   - file: the configuration's absolute path, which the hub reads as well.
  ///   - hubSocket: where the hub listens when the configuration does not say.
  ///   - executable: the `muntin` that the parts run.
  ///   - environment: this process's own, as "NAME=value".
  public init(
    _ configuration: Configuration, file: String, hubSocket: String, executable: String, environment: [String]
  ) {
    self.hubSocket = configuration.hubSocket ?? hubSocket
    let maker = PartMaker(
      hubSocket: self.hubSocket, file: file, executable: executable, environment: environment)
    parts =
      [maker.hub()] + configuration.displays.map(maker.compositor) + configuration.machines.map(maker.gpu)
      + configuration.machines.filter { !$0.command.isEmpty }.map(maker.machine)
  }
}

/// Writes the command line of each part.
private struct PartMaker {
  let hubSocket: String
  let file: String
  let executable: String
  let environment: [String]

  func hub() -> PartPlan {
    PartPlan(
      name: "hub", command: muntin(["hub", "--socket-path", hubSocket, "--config", file]), restarts: true,
      provides: .init(path: hubSocket, kind: .sequencedPacket))
  }

  func compositor(_ display: Configuration.Display) -> PartPlan {
    var arguments = ["compositor", "--hub", hubSocket, "--display", display.name]
    arguments += ["--output", "\(display.output)", "--size", "\(display.size)"]
    if let refresh = display.refresh { arguments += ["--refresh", "\(refresh)"] }
    if let file = display.passwordFile { arguments += ["--vnc-password-file", file] }
    return PartPlan(name: "display \(display.name)", command: muntin(arguments), restarts: true, needs: hubSocket)
  }

  func gpu(_ machine: Configuration.Machine) -> PartPlan {
    var arguments = ["gpu", "--socket-path", machine.socket, "--hub", hubSocket, "--vm", machine.name]
    for scanout in machine.scanouts { arguments += ["--size", "\(scanout.area.size)"] }
    if let limit = machine.memoryLimit { arguments += ["--memory-limit", "\(limit)"] }
    if let allocation = machine.allocation { arguments += ["--allocate", "\(allocation)"] }
    if let heap = machine.heap { arguments += ["--heap", heap] }
    if let size = machine.hostVisible { arguments += ["--host-visible", "\(size)"] }
    if let alignment = machine.blobAlignment { arguments += ["--blob-alignment", "\(alignment)"] }
    if let channel = machine.channel { arguments += ["--channel", channel.rawValue] }
    if machine.sharesDisplays { arguments += ["--share-displays"] }
    if machine.vmmMapsReadOnly { arguments.append("--vmm-maps-read-only") }
    if machine.hasVirgl { arguments.append("--virgl") }
    if machine.hasVenus { arguments.append("--venus") }
    if let node = machine.renderNode { arguments += ["--render-node", node] }
    if let sandbox = machine.sandbox { arguments += ["--sandbox", sandbox.rawValue] }
    if let seconds = machine.hangSeconds { arguments += ["--hang-seconds", "\(seconds)"] }
    if let path = machine.wayland { arguments += ["--wayland", path] }
    for (key, limit) in machine.limits.sorted(by: { $0.key < $1.key }) { arguments += ["--limit", "\(key)=\(limit)"] }
    var plan = PartPlan(
      name: "gpu \(machine.name)", command: muntin(arguments), restarts: true,
      provides: .init(path: machine.socket, kind: .stream), needs: hubSocket)
    plan.memoryMaximum = Self.memoryMaximum(machine)
    return plan
  }

  /// What a card itself takes at most, beside what its guest may have.
  private static let cardByteCount = 256 << 20

  /// What a card may take: itself, the guest's pictures and, twice because it is measured late, what a renderer took.
  private static func memoryMaximum(_ machine: Configuration.Machine) -> Int? {
    let usual = LedgerAmounts.usualLimits
    let pictures = machine.memoryLimit ?? usual.hostAllocated
    let hasRenderer = machine.hasVirgl || machine.hasVenus
    let rendering = hasRenderer ? machine.limits[Ledger.Quantity.bytes(.rendering).key] ?? usual.rendering : 0
    var sum = cardByteCount
    for amount in [pictures, rendering, rendering] {
      let (next, overflow) = sum.addingReportingOverflow(amount)
      guard !overflow else { return nil }
      sum = next
    }
    return sum
  }

  func machine(_ machine: Configuration.Machine) -> PartPlan {
    let own = ["MUNTIN_HUB=\(hubSocket)", "MUNTIN_VM=\(machine.name)", "MUNTIN_SOCKET=\(machine.socket)"]
    let names = Set(own.map(Self.name))
    let command = ChildCommand(
      program: machine.command.first ?? "", arguments: Array(machine.command.dropFirst()),
      environment: environment.filter { !names.contains(Self.name($0)) } + own, folder: TextFile.folder(of: file))
    return PartPlan(
      name: "vm \(machine.name)", command: command, restarts: machine.restart, needs: machine.socket)
  }

  private func muntin(_ arguments: [String]) -> ChildCommand {
    ChildCommand(
      program: executable, name: "muntin", arguments: arguments, environment: environment.filter(Self.isForParts),
      folder: "/")
  }

  /// What our own processes look at: no more of the user's environment than that.
  private static func isForParts(_ variable: String) -> Bool {
    let name = name(variable)
    return ["PATH", "HOME", "LANG", "TMPDIR", "TZ", "XDG_RUNTIME_DIR", "LD_LIBRARY_PATH", "SWIFT_BACKTRACE"]
      .contains(name) || name.hasPrefix("LC_") || name.hasPrefix("MUNTIN_")
  }

  private static func name(_ variable: String) -> Substring {
    variable.prefix { $0 != "=" }
  }
}
