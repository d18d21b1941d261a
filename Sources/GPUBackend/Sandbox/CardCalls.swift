import Glibc
import Sandbox

/// The system calls of a card that serves a guest: everything that `muntin gpu` may still ask the kernel for.
///
/// Names are the kernel's; a processor that does not have one does without. What stands here neither as allowed nor as
/// refused is answered with ENOSYS. `--sandbox log` says what is missed.
enum CardCalls {
  /// - Parameters:
  ///   - draws: whether graphics drivers run in this process.
  ///   - opensFiles: whether files may be opened for reading, because Landlock says which.
  ///   - children: the processes that the card has started.
  static func policy(draws: Bool, opensFiles: Bool, children: [Int32]) -> CallPolicy {
    CallPolicy(
      allowed: always + [ending(children)] + (draws ? drivers : [writableOrExecutable]) + (opensFiles ? [reading] : []),
      refused: refused + (opensFiles ? [] : [.init(EACCES, ["open", "openat"])]))
  }

  // MARK: Allowed

  private static let always = [
    CallGroup(
      "the loop: waiting, reading and writing what is open",
      [
        "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "poll", "ppoll", "pselect6", "select",
        "read", "readv", "pread64", "write", "writev", "pwrite64", "lseek", "close", "close_range",
        "eventfd2", "epoll_create1", "timerfd_create", "timerfd_settime", "timerfd_gettime", "pipe2",
      ]),
    CallGroup(
      "sockets that are connected or listening already: the VMM, the hub, its displays, Wayland, the connector",
      [
        "accept4", "sendmsg", "recvmsg", "sendto", "recvfrom", "shutdown", "getsockopt",
        CallRule("setsockopt", .argument(1, is: SOL_SOCKET), .argument(2, is: SO_SNDBUF)),
      ]),
    CallGroup(
      "memory files: pictures are sealed ones, and what is not seen any more is taken out of them",
      ["memfd_create", "ftruncate", "fallocate", "fchmod", "fstat", "fstatfs", statOfDescriptor]),
    CallGroup(
      "descriptors: copies, flags, seals. Never F_SETOWN and F_SETSIG, which send signals to others",
      ["dup", "dup2", "dup3"] + fcntls),
    CallGroup(
      "dma-bufs: made of guests' pages (udmabuf), allocated (heaps), read in turn with devices",
      [
        CallRule("ioctl", .argument(1, is: Request.udmabufCreateList)),
        CallRule("ioctl", .argument(1, is: Request.heapAllocate)),
        CallRule("ioctl", .request(of: "b")),
      ]),
    CallGroup(
      "a graphics driver's device: pictures by libgbm, and 3D. No other device's, and no terminal's",
      [CallRule("ioctl", .request(of: "d"))]),
    CallGroup("memory of this process", ["brk", "munmap", "mremap", "madvise", "msync", "mincore"]),
    // No process: clone without CLONE_THREAD is not here; clone3, whose flags a filter cannot see, does not exist, so that
    // the C library takes clone.
    CallGroup(
      "threads of this process: the watchdog's, the drivers'",
      [
        CallRule("clone", threadsOnly), "set_robust_list", "rseq", "futex", "futex_waitv", "exit", "exit_group",
        "gettid", "sched_yield", "sched_getaffinity", "getcpu", "membarrier",
        // Names of threads and of mappings.
        CallRule("prctl", .argument(0, is: Int32(15))), CallRule("prctl", .argument(0, is: Int32(0x5356_4D41))),
      ]),
    CallGroup(
      "signals to itself: abort, and the guard of memory that a peer takes away (SIGBUS)",
      [
        "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "rt_sigtimedwait",
        CallRule("tgkill", .argument(0, is: getpid())),
      ]),
    CallGroup(
      "time and chance",
      [
        "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times", "getrandom",
        // A timer that is there: the watchdog's.
        "timer_settime",
      ]),
    CallGroup(
      "who and where it is",
      [
        "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo", "getrusage", "getrlimit",
        // Limits can be asked for, its own only, not set.
        CallRule("prlimit64", .argument(0, is: Int32(0)), .argumentIsNull(2)),
      ]),
  ]

  /// Without drivers no memory is both written and executed: nothing becomes code that is not.
  private static let writableOrExecutable = CallGroup(
    "mappings that are no code",
    [
      CallRule("mmap", .argument(2, hasNoneOf: PROT_EXEC)), CallRule("mprotect", .argument(2, hasNoneOf: PROT_EXEC)),
    ])

  private static let drivers = [
    CallGroup("drivers write code and run it (shaders)", ["mmap", "mprotect"]),
    CallGroup(
      "drivers compare devices that they have open",
      [CallRule("kcmp", .argument(0, is: getpid()), .argument(1, is: getpid()))]),
    CallGroup("fences of drivers as files (sync_file)", [CallRule("ioctl", .request(of: ">"))]),
  ]

  /// They lead process groups of their own.
  private static func ending(_ children: [Int32]) -> CallGroup {
    CallGroup(
      "the end of processes that it started itself: its connector, Vulkan's render server",
      ["wait4", "waitid"] + children.map { CallRule("kill", .argument(0, is: -$0), .argument(1, is: SIGKILL)) })
  }

  private static let reading = CallGroup(
    "files that Landlock allows, for reading; memory files again, for those who may only read",
    [
      CallRule("openat", .argument(2, hasOnly: readingFlags)), CallRule("open", .argument(1, hasOnly: readingFlags)),
      "getdents64", "readlink", "readlinkat",
    ])

  // MARK: Refused

  private static let refused = [
    CallPolicy.Refusals(
      EPERM,
      [
        // Other programs.
        "execve", "execveat", "fork", "vfork",
        // Other processes.
        "tkill", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_open", "pidfd_getfd",
        "pidfd_send_signal", "setpriority", "sched_setscheduler", "sched_setaffinity", "sched_setattr",
        // Networks, and sockets that are not there yet.
        "socket", "socketpair", "connect", "bind", "listen",
        // More of the kernel than a card needs.
        "bpf", "io_uring_setup", "userfaultfd", "perf_event_open", "keyctl", "add_key", "request_key", "mount",
        "umount2",
        "pivot_root", "chroot", "unshare", "setns", "init_module", "finit_module", "kexec_load",
        "reboot",
        "setuid", "setgid", "setresuid", "setresgid", "capset", "seccomp", "personality", "quotactl", "swapon", "acct",
        "name_to_handle_at", "open_by_handle_at", "shmget", "msgget", "semget", "mq_open",
      ]),
    CallPolicy.Refusals(
      EACCES,
      [
        "creat", "access", "faccessat", "stat", "lstat", "chdir", "mkdir", "mkdirat", "mknod", "mknodat", "unlink",
        "unlinkat", "rmdir", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "chmod",
        "fchmodat", "chown", "fchown", "lchown", "fchownat", "truncate", "statfs",
      ]),
  ]

  // MARK: Arguments

  private static let fcntls = [
    F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, Fcntl.duplicateCloseOnExec, Fcntl.addSeals, Fcntl.getSeals,
    Fcntl.getPipeSize,
  ].map { CallRule("fcntl", .argument(1, is: $0)) }

  private enum Fcntl {
    static let duplicateCloseOnExec: Int32 = 1030
    static let getPipeSize: Int32 = 1032
    static let addSeals: Int32 = 1033
    static let getSeals: Int32 = 1034
  }

  /// linux/udmabuf.h, linux/dma-heap.h.
  private enum Request {
    static let udmabufCreateList: UInt32 = 0x4008_7543
    static let heapAllocate: UInt32 = 0xC018_4800
  }

  /// newfstatat(fd, "", ..., AT_EMPTY_PATH) is what fstat is in newer C libraries. With a path it tells what stat tells.
  private static let statOfDescriptor = CallRule("newfstatat", .argument(3, hasAllOf: 0x1000))

  /// What clone must have (CLONE_VM, CLONE_SIGHAND, CLONE_THREAD), and must not (namespaces, CLONE_PARENT, CLONE_VFORK).
  private static let threadsOnly = CallRule.Condition.argument(0, masked: 0x7E02_C080 | 0x0001_0900, is: 0x0001_0900)

  private static let readingFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_DIRECTORY | 0x8000
}
