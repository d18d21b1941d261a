import Glibc
import Logging
import Sandbox

/// How the hub and a compositor shut themselves in, which no guest talks to: no new privileges, no core files, and none of the
/// calls that only somebody makes who has broken in (Documentation/sandbox.md).
enum PartSandbox {
  /// The hub: it needs Unix sockets and files.
  static func enterHub(_ logger: Logger) { enter(CallPolicy(allBut: foreign + networks), logger) }

  /// A compositor: it listens for VNC clients, too.
  static func enterCompositor(_ logger: Logger) { enter(CallPolicy(allBut: foreign), logger) }

  private static func enter(_ policy: CallPolicy, _ logger: Logger) {
    do throws(SandboxError) {
      try Sandbox.giveUpPrivileges()
      _ = try Sandbox.restrictCalls(to: policy)
    } catch {
      logger.warning("no sandbox", metadata: ["reason": "\(error)"])
    }
  }

  private static let foreign = [
    CallPolicy.Refusals(
      EPERM,
      [
        // Other programs, other processes.
        "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
        // Parts of the kernel that neither needs.
        "bpf", "io_uring_setup", "userfaultfd", "perf_event_open", "keyctl", "add_key", "request_key", "mount",
        "umount2",
        "pivot_root", "chroot", "unshare", "setns", "init_module", "finit_module", "delete_module", "kexec_load",
        "kexec_file_load", "reboot", "swapon", "swapoff", "acct", "quotactl", "personality", "name_to_handle_at",
        "open_by_handle_at", "fsopen", "move_mount", "open_tree", "iopl", "ioperm", "syslog",
      ])
  ]

  private static let networks = [
    CallPolicy.Refusals(
      EPERM, [AF_INET, AF_INET6, AF_PACKET, AF_NETLINK, 38, 40].map { CallRule("socket", .argument(0, is: $0)) })
  ]
}
