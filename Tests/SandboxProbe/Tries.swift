import CSandboxProbe
import CSeccomp
import Glibc
import Platform

/// What is tried, with everything made beforehand that it needs.
final class Tries {
  private let folder: String
  private let child: Int32
  private let namedFile: Int32
  private let unconnected: Int32
  /// Memory that the child has at the same address.
  private let secret = UnsafeMutablePointer<UInt64>.allocate(capacity: 2)

  /// - Parameter folder: has a file "there" and somebody who listens at "listening".
  init(folder: String) throws {
    self.folder = folder
    secret.initialize(repeating: 42, count: 2)
    child = muntin_probe_child()
    namedFile = open("\(folder)/there", O_RDWR)
    unconnected = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
  }

  /// Tries everything; running another program is the last.
  func run() {
    files()
    sockets()
    processes()
    kernel()
    own()
    say("exec", muntin_probe_exec("/bin/echo", "exec", "0"))
  }

  private func say(_ name: String, _ error: Int32) {
    let line = Array("\(name) \(error)\n".utf8)
    _ = line.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
  }

  /// A C function's result, negative with errno.
  private func say(_ name: String, result: Int32) { say(name, result < 0 ? errno : 0) }

  private func call(
    _ name: String, as label: String? = nil, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0,
    _ f: Int = 0
  ) {
    let number = seccomp_syscall_resolve_name(name)
    guard number >= 0 else { return }
    say(label ?? name, Int32(-min(0, muntin_probe_call(Int(number), a, b, c, d, e, f))))
  }

  private func files() {
    say("read-file", result: open("/etc/passwd", O_RDONLY))
    say("read-environment", result: open("/proc/\(getppid())/environ", O_RDONLY))
    say("write-file", result: open("\(folder)/there", O_WRONLY))
    say("make-file", result: open("\(folder)/new", O_WRONLY | O_CREAT, 0o600))
    say("write-memory-file", result: open("/proc/self/mem", O_RDWR))
    say("list-folder", opendir("/") == nil ? errno : 0)
    say("rename-file", result: rename("\(folder)/there", "\(folder)/here"))
    say("remove-file", result: unlink("\(folder)/here"))
    say("make-folder", result: mkdir("\(folder)/inner", 0o700))
  }

  private func sockets() {
    say("socket-tcp", result: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
    say("socket-udp", result: socket(AF_INET6, Int32(SOCK_DGRAM.rawValue), 0))
    say("socket-unix", result: socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
    say("socket-netlink", result: socket(AF_NETLINK, Int32(SOCK_RAW.rawValue), 0))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: "\(folder)/listening".utf8) }
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(unconnected, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    say("connect-unix", result: result)
  }

  private func processes() {
    say("fork", muntin_probe_fork())
    say("signal-parent", result: kill(getppid(), 0))
    say("signal-child", result: kill(child, 0))
    // PTRACE_SEIZE, PTRACE_DETACH.
    call("ptrace", 0x4206, Int(child))
    call("ptrace", as: "ptrace-end", 17, Int(child))
    var room: UInt64 = 0
    withUnsafeMutableBytes(of: &room) { local in
      var mine = iovec(iov_base: local.baseAddress, iov_len: 8)
      var theirs = iovec(iov_base: UnsafeMutableRawPointer(secret), iov_len: 8)
      withUnsafePointer(to: &mine) { mine in
        withUnsafePointer(to: &theirs) { theirs in
          call("process_vm_readv", Int(child), Int(bitPattern: mine), 1, Int(bitPattern: theirs), 1)
          call("process_vm_writev", Int(child), Int(bitPattern: mine), 1, Int(bitPattern: theirs), 1)
        }
      }
    }
    call("pidfd_open", Int(getppid()))
    call("kcmp", as: "kcmp-others", Int(getpid()), Int(child), 0, 0, 0)
    call("setpriority", 0, Int(child), 0)
    call("prlimit64", as: "set-limit-of-child", Int(child), Int(RLIMIT_NOFILE.rawValue), Int(bitPattern: secret))
    // F_SETOWN: whose descriptor's signals go to somebody else.
    say("signals-by-descriptor", result: fcntl(unconnected, 8, getppid()))
    // CLONE_NEWUSER alone, as a new process.
    call("unshare", 0)
  }

  private func kernel() {
    let parameters = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 16)
    memset(parameters, 0, 256)
    call("io_uring_setup", 1, Int(bitPattern: parameters))
    call("bpf", 0, Int(bitPattern: parameters), 256)
    call("userfaultfd", Int(O_CLOEXEC))
    call("perf_event_open", Int(bitPattern: parameters), 0, -1, -1, 0)
    call("mount", 0, Int(bitPattern: parameters), 0, 0, 0)
    // KEYCTL_GET_KEYRING_ID of the thread's own.
    call("keyctl", 0, -1, 1)
    call("personality", 0xFFFF_FFFF)
    call("init_module", 0, 0, 0)
    call("shmget", 0, 4096, 0o1600)
    // PR_SET_DUMPABLE.
    call("prctl", as: "prctl-dumpable", 4, 1)
    // TIOCSTI: a letter typed into the terminal behind standard error.
    call("ioctl", as: "type-into-terminal", 2, 0x5412, Int(bitPattern: parameters))
  }

  /// What has to go on.
  private func own() {
    say("thread", muntin_probe_thread())
    say("code", muntin_probe_code())
    say(
      "memory-file", error { () throws(SystemError) in _ = try SharedMemoryFile(name: "probe", count: 4096).readOnly() }
    )
    say("reopen-named-file", error { () throws(SystemError) in try reopen() })
    say("pipe", error { () throws(SystemError) in _ = try AnonymousPipe.make() })
    say("doorbell", error { () throws(SystemError) in _ = try Doorbell() })
    say("environment", getenv("MUNTIN_PROBE") == nil ? ENOENT : 0)
    say("core", coreLimit == 0 ? EFBIG : 0)
    say("writes-from-reopened", reopened < 0 ? EBADF : pwrite(reopened, "x", 1, 0) < 0 ? errno : 0)
  }

  private var reopened: Int32 = -1

  private func reopen() throws(SystemError) {
    reopened = try SharedMemory.reopenReadOnly(namedFile).release()
  }

  private func error(_ body: () throws(SystemError) -> Void) -> Int32 {
    do throws(SystemError) {
      try body()
      return 0
    } catch {
      return error.code
    }
  }

  private var coreLimit: rlim_t {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
    return limit.rlim_max
  }
}
