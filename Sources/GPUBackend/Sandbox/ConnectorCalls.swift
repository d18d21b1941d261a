import Glibc
import Sandbox

/// The system calls of a card's connector: it connects to Unix sockets, opens files for reading, and passes that on.
enum ConnectorCalls {
  static let policy = CallPolicy(
    allowed: [
      CallGroup("the card: requests and answers", ["recvmsg", "sendmsg", "write", "close", "poll", "ppoll"]),
      CallGroup(
        "connections, to Unix sockets only",
        [CallRule("socket", .argument(0, is: AF_UNIX)), "connect"]),
      CallGroup(
        "whether such a connection blocks",
        [CallRule("fcntl", .argument(1, is: F_GETFL)), CallRule("fcntl", .argument(1, is: F_SETFL))]),
      CallGroup(
        "files, for reading only",
        [
          CallRule("openat", .argument(2, hasOnly: readingFlags)),
          CallRule("open", .argument(1, hasOnly: readingFlags)),
          "fstat", CallRule("newfstatat", .argument(3, hasAllOf: 0x1000)),
        ]),
      CallGroup("the file of the card's socket, at the end", ["unlink", "unlinkat"]),
      CallGroup(
        "its own memory, no part of which becomes code",
        [
          "brk", "munmap", "mremap", "madvise", CallRule("mmap", .argument(2, hasNoneOf: PROT_EXEC)),
          CallRule("mprotect", .argument(2, hasNoneOf: PROT_EXEC)),
        ]),
      CallGroup(
        "its own end, and what the language's runtime needs",
        [
          "exit", "exit_group", "futex", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "restart_syscall", "gettid",
          "getpid", "getrandom", "clock_gettime", CallRule("tgkill", .argument(0, is: getpid())),
        ]),
    ],
    refused: [
      .init(EPERM, ["execve", "execveat", "fork", "vfork", "kill", "ptrace", "bind", "listen", "socketpair"]),
      .init(EACCES, ["creat", "rename", "renameat2", "link", "linkat", "symlink", "symlinkat", "chmod", "chown"]),
    ])

  private static let readingFlags = O_RDONLY | O_CLOEXEC | 0x8000
}
