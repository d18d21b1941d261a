import ArgumentParser
import Glibc
import HubProtocol
import Logging
import Platform
import Supervisor

/// `muntin up`.
struct UpCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "up",
    abstract: "Starts everything that a configuration names, and keeps it running.",
    discussion: """
      Starts the hub, a compositor for each display, a back-end for each virtual machine, and the machines' own commands \
      where the configuration has them. A part that dies is started again, after 100 ms at first and 5 s at most; a \
      machine's command only with `restart = true`. Ctrl-C or SIGTERM ends all of them: those that are still there \
      after 3 s, or at a second Ctrl-C, are killed. What they print comes out on standard error, each line with the \
      name of its part.

      SIGHUP (`kill -HUP`, `systemctl reload`) reads the configuration again: screens move to their new places and \
      guests are offered their new sizes while everything runs. A file with an error, or with any other change, is \
      refused and changes nothing. When the terminal that it was started from closes, everything ends.

      A machine's command runs in the configuration's folder, with the variables MUNTIN_HUB, MUNTIN_VM and \
      MUNTIN_SOCKET (where its VMM connects to).

      A CONFIGURATION
        [[display]]
        name = "wall"
        size = "1920x720"
        output = "vnc=127.0.0.1:5901"      # or "headless"

        [[vm]]
        name = "alpha"
        socket = "alpha.sock"              # relative to the file
        memory_limit = "256M"              # optional
        command = ["./alpha.sh"]           # optional

          [[vm.scanout]]
          display = "wall"
          x = 0
          y = 0
          width = 960
          height = 720

      All keys are in Documentation/configuration.md.

      EXAMPLES
        muntin up --check wall.toml
        muntin up wall.toml
      """
  )

  @Argument(help: ArgumentHelp("The configuration.", valueName: "file.toml"))
  var file: String

  @Flag(help: "Only check the configuration.")
  var check = false

  @OptionGroup var log: LogOptions

  func run() throws {
    let configuration = try Configuration(file: file)
    if check {
      print("\(file): right (displays: \(configuration.displays.count), VMs: \(configuration.machines.count))")
      return
    }
    signal(SIGPIPE, SIG_IGN)
    // The parts log as much as this process does.
    setenv("MUNTIN_LOG", log.level.rawValue, 1)
    try run(configuration)
  }

  private func run(_ configuration: Configuration) throws {
    let logger = log.logger("muntin.up", prefix: "[up] ")
    let loop = try EventLoop()
    let plan = plan(configuration)
    let supervisor = try Supervisor(plan, loop: loop, logger: logger) { name, line in
      StandardError.write("[\(name)] \(line)")
    }
    let hadTerminal = Self.hasTerminal
    try loop.onSignals([SIGINT, SIGTERM, SIGHUP]) { [unowned loop] signal in
      if signal == SIGHUP && (!hadTerminal || Self.hasTerminal) {
        return reload(into: supervisor, running: configuration, logger)
      }
      logger.notice("ending", metadata: ["signal": "\(signal)"])
      supervisor.stop { loop.stop() }
    }
    supervisor.start()
    logger.notice("running", metadata: ["hub": "\(plan.hubSocket)", "parts": "\(plan.parts.count)"])
    try loop.run()
  }

  /// What the parts of a configuration are started as.
  private func plan(_ configuration: Configuration) -> UpPlan {
    UpPlan(
      configuration, file: TextFile.absolute(file, in: TextFile.currentFolder), hubSocket: HubSocket.defaultPath,
      executable: "/proc/self/exe", environment: Self.environment)
  }

  /// Whether there is a terminal: a signal that it has closed looks like one that a user sends.
  private static var hasTerminal: Bool {
    let raw = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC)
    if raw >= 0 { close(raw) }
    return raw >= 0
  }

  /// Has the hub read the file again, if that is right and nothing but places is another than in what runs.
  private func reload(into supervisor: Supervisor, running: Configuration, _ logger: Logger) {
    do {
      let new = try Configuration(file: file)
      if let difference = new.difference(from: running) {
        return logger.error(
          "configuration not taken over",
          metadata: ["reason": "\(difference) is another; only screens can change while everything runs"])
      }
      supervisor.update(plan(new))
      supervisor.signal(SIGHUP, to: "hub")
      logger.notice("configuration read again", metadata: ["file": "\(file)"])
    } catch {
      logger.error("configuration not taken over", metadata: ["reason": "\(error)"])
    }
  }

  /// This process's environment as "NAME=value".
  private static var environment: [String] {
    var variables: [String] = []
    var next = environ
    while let entry = next.pointee {
      variables.append(String(cString: entry))
      next += 1
    }
    return variables
  }
}
