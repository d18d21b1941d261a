import ArgumentParser
import Buffers
import Compositor
import HubProtocol
import Supervisor

/// `muntin compositor`.
struct CompositorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compositor",
    abstract: "One display: draws the screens that the hub gives it.",
    discussion: """
      Draws only what changed, and nothing while nothing changes. A virtual machine that is gone leaves a labelled \
      placeholder.

      OUTPUTS
        headless             only into memory; `muntin screenshot` reads it
        vnc                  VNC at 127.0.0.1:5900
        vnc=ADDRESS[:PORT]   VNC there; a PORT below 100 is a display number
                             (1 is port 5901). An address that other machines
                             can reach needs --vnc-password-file.

      EXAMPLES
        muntin compositor --size 1920x720 --output vnc=127.0.0.1:5901
        muntin compositor --output vnc=0.0.0.0 --vnc-password-file secret
      """
  )

  @OptionGroup var hub: HubOptions

  @Option(help: ArgumentHelp("The display's name. (default: main)", valueName: "name"), transform: ArgumentValue.name)
  var display: PeerName?

  @Option(
    help: ArgumentHelp("Where the picture goes. (default: headless)", valueName: "output"), transform: Self.output)
  var output: OutputKind = .headless

  @Option(
    help: ArgumentHelp("The display's size in pixels. (default: 1920x1080)", valueName: "WxH"),
    transform: ArgumentValue.size)
  var size: Size?

  @Option(help: ArgumentHelp("Frames a second, 1 to 240.", valueName: "hertz"))
  var refresh: Int = 60

  @Option(help: ArgumentHelp("The file whose first line is the password of VNC clients.", valueName: "file"))
  var vncPasswordFile: String?

  @OptionGroup var log: LogOptions

  func validate() throws {
    guard Configuration.refreshRates.contains(refresh) else {
      throw ValidationError("--refresh \(refresh): give 1 to \(Configuration.refreshRates.upperBound) frames a second")
    }
    if vncPasswordFile != nil && output == .headless {
      throw ValidationError("--vnc-password-file has no effect on --output headless; leave it out")
    }
  }

  func run() throws {
    guard let name = display ?? PeerName("main") else { return }
    PartProcess.begin()
    let logger = log.logger("muntin.compositor")
    PartSandbox.enterCompositor(logger)
    var options = CompositorOptions(hubPath: hub.path, display: name)
    options.output = output
    if let size { options.size = size }
    options.refreshMillihertz = UInt32(clamping: refresh * 1000)
    options.passwordFile = vncPasswordFile
    try Compositor.run(options, logger: logger)
  }

  private static func output(_ text: String) throws -> OutputKind {
    do {
      return try OutputKind(parsing: text)
    } catch {
      throw ValidationError("\(error)")
    }
  }
}
