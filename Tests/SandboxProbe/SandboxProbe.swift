import CSandboxProbe
import GPUBackend
import Glibc
import Logging
import Platform
import Rendering
import Sandbox

/// Takes a card's real sandbox and tries to get out: prints each try with what the kernel answered, 0 or a value of errno.
///
/// usage: SandboxProbe MODE 2d|3d FOLDER
@main struct SandboxProbe {
  static func main() throws {
    let arguments = CommandLine.arguments
    if arguments.dropFirst().first == ConnectorPlan.subcommand {
      return try ConnectorProcess(ConnectorPlan(mode: .on), socket: 0).run()
    }
    guard arguments.count == 4, let mode = SandboxMode(rawValue: arguments[1]) else { exit(2) }
    var options = GPUBackendOptions(socket: .descriptor(0))
    options.sandbox = mode
    if arguments[2] == "3d" { options.rendering = VirglOptions() }
    let tries = try Tries(folder: arguments[3])
    let sandbox = try CardSandbox(options, logger: Logger(label: "probe"))
    let renderer = try options.rendering.map { wanted throws(RenderingError) in try VirglRenderer(wanted) }
    try sandbox.enter()
    tries.run()
    withExtendedLifetime(renderer) {}
  }
}
