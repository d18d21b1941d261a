import ArgumentParser

/// The `muntin` program.
public struct MuntinCommand: ParsableCommand {
  /// Its version.
  public static let version = "0.1.0"

  /// What it is called and what it can do.
  public static let configuration = CommandConfiguration(
    commandName: "muntin",
    abstract: "Shows the screens of many virtual machines on one display.",
    discussion: """
      `muntin up FILE.toml` starts everything that a configuration names. Each part can also be started alone: one \
      `gpu` for each virtual machine, one `hub`, one `compositor` for each display.

      Every command that talks to a hub finds it at --hub PATH, else $MUNTIN_HUB, else \
      $XDG_RUNTIME_DIR/muntin/hub.sock, else /run/muntin/hub.sock.

      EXAMPLES
        muntin doctor                     what this machine can do
        muntin up --check wall.toml       is this configuration right?
        muntin up wall.toml               run it until Ctrl-C
        muntin list vms                   what is connected
        muntin screenshot wall.png        what a display shows
        muntin list grants                who may use whose buffers
        muntin qemu-arguments alpha       how to attach a virtual machine
      """,
    version: version,
    subcommands: [
      UpCommand.self, ListCommand.self, ScreenshotCommand.self, QEMUArgumentsCommand.self, DoctorCommand.self,
      GrantCommand.self, RevokeCommand.self, GPUCommand.self, HubCommand.self, CompositorCommand.self,
      ConnectorCommand.self,
    ]
  )

  /// For the argument parser.
  public init() {}

  /// Runs what the command line says; ends the process where that is wrong or fails.
  public static func runCommandLine() {
    main()
  }
}
