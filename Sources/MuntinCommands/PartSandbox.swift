import Logging
import Sandbox

/// How the hub and a compositor shut themselves in, which no guest talks to: no new privileges, no core files, and none of the
/// calls that only somebody makes who has broken in (Documentation/sandbox.md).
enum PartSandbox {
  /// The hub: it needs Unix sockets and files.
  static func enterHub(_ logger: Logger) { enter(CallPolicy(allBut: [.programs, .foreign, .networks]), logger) }

  /// A compositor: it listens for VNC clients, too.
  static func enterCompositor(_ logger: Logger) { enter(CallPolicy(allBut: [.programs, .foreign]), logger) }

  private static func enter(_ policy: CallPolicy, _ logger: Logger) {
    do throws(SandboxError) {
      try Sandbox.giveUpPrivileges()
      _ = try Sandbox.restrictCalls(to: policy)
    } catch {
      logger.warning("no sandbox", metadata: ["reason": "\(error)"])
    }
  }
}
