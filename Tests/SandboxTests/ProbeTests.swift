import Glibc
import Sandbox
import Testing

/// What a process can do that has taken a card's sandbox, from inside.
@Suite("A card's sandbox, from inside", .serialized) struct ProbeTests {
  /// All that a process which a guest has taken over would like to do.
  private static let wishes = [
    "read-file", "read-environment", "write-file", "make-file", "write-memory-file", "list-folder", "rename-file",
    "remove-file", "make-folder", "socket-tcp", "socket-udp", "socket-unix", "socket-netlink", "connect-unix", "fork",
    "signal-parent", "signal-child", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_open", "kcmp-others",
    "setpriority", "set-limit-of-child", "signals-by-descriptor", "unshare", "io_uring_setup", "bpf", "userfaultfd",
    "perf_event_open", "mount", "keyctl", "personality", "init_module", "shmget", "prctl-dumpable",
    "type-into-terminal",
    "environment", "core", "writes-from-reopened", "exec",
  ]

  /// What it needs to go on.
  private static let needs = ["thread", "memory-file", "reopen-named-file", "pipe", "doorbell"]

  @Test("every way out fails, and what the card needs works") func on() throws { try check(draws: false) }

  @Test("so it is with drivers", .enabled(if: Probe.canDraw, Probe.skipped)) func drawing() throws {
    try check(draws: true)
  }

  private func check(draws: Bool) throws {
    let probe = try Probe("on", draws: draws)
    for wish in Self.wishes { #expect(probe.answers[wish, default: 0] != 0, "\(wish) \(probe.errors)") }
    for need in Self.needs { #expect(probe.answers[need] == 0, "\(need) \(probe.errors)") }
    // Drivers write code; without them nothing does.
    #expect((probe.answers["code"] == 0) == draws)
  }

  @Test("refusals are what C libraries and drivers expect")
  func answers() throws {
    let answers = try Probe("on", draws: false).answers
    for (wish, error) in [
      ("exec", EPERM), ("fork", ENOSYS), ("socket-tcp", EPERM), ("remove-file", EACCES), ("signal-parent", ENOSYS),
      ("ptrace", EPERM), ("bpf", EPERM), ("code", ENOSYS),
    ] {
      #expect(answers[wish] == error, "\(wish)")
    }
  }

  /// The tries are good for something: without a sandbox they succeed. Left out are those that depend on what the machine
  /// allows its users.
  @Test("without the sandbox the same tries succeed") func off() throws {
    let probe = try Probe("off", draws: false)
    let possible = [
      "read-file", "write-file", "make-file", "write-memory-file", "list-folder", "rename-file", "remove-file",
      "make-folder", "socket-tcp", "socket-unix", "socket-netlink", "connect-unix", "fork", "signal-parent",
      "signal-child", "pidfd_open", "setpriority", "signals-by-descriptor", "unshare", "personality", "prctl-dumpable",
      "environment", "exec", "code",
    ]
    for wish in possible + Self.needs { #expect(probe.answers[wish] == 0, "\(wish) \(probe.errors)") }
  }

  @Test("in the log mode the same is refused, and said by name") func log() throws {
    let probe = try Probe("log", draws: false)
    for wish in Self.wishes { #expect(probe.answers[wish, default: 0] != 0, "\(wish) \(probe.errors)") }
    for need in Self.needs { #expect(probe.answers[need] == 0, "\(need) \(probe.errors)") }
    for call in ["execve", "ptrace", "socket", "bpf", "fcntl", "io_uring_setup"] {
      #expect(probe.errors.contains("sandbox: refused \(call) ("), "\(call) \(probe.errors)")
    }
    #expect(probe.answers["exec"] == EPERM)
  }
}
