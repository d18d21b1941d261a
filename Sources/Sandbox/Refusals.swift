import Glibc

/// Calls that only somebody makes who has broken in, for processes whose other calls nobody can list.
extension CallPolicy.Refusals {
  /// Running other programs.
  public static let programs = Self(EPERM, ["execve", "execveat"])

  /// Other processes, and parts of the kernel that neither a part of Muntin nor a driver needs.
  public static let foreign = Self(
    EPERM,
    [
      "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
      "bpf", "io_uring_setup", "userfaultfd", "perf_event_open", "keyctl", "add_key", "request_key", "mount", "umount2",
      "pivot_root", "chroot", "unshare", "setns", "init_module", "finit_module", "delete_module", "kexec_load",
      "kexec_file_load", "reboot", "swapon", "swapoff", "acct", "quotactl", "personality", "name_to_handle_at",
      "open_by_handle_at", "fsopen", "move_mount", "open_tree", "iopl", "ioperm", "syslog",
    ])

  /// Sockets that reach further than this machine's files: networks, the kernel (netlink, AF_ALG), VMs (AF_VSOCK).
  public static let networks = Self(
    EPERM, [AF_INET, AF_INET6, AF_PACKET, AF_NETLINK, 38, 40].map { CallRule("socket", .argument(0, is: $0)) })
}
