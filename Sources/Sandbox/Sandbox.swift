import CLinux
import Glibc
import Platform

/// What a process gives up for good before it listens to somebody who may be hostile.
public enum Sandbox {
  /// What the kernel of this machine has for it.
  public static var available: SandboxReport {
    SandboxReport(
      calls: SystemCallFilter.isAvailable ? .inForce("seccomp") : .missing(noSeccomp),
      files: Landlock.version.map { .inForce("Landlock \($0)") } ?? .missing(noLandlock))
  }

  private static let noSeccomp = "the kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)"
  private static let noLandlock =
    "the kernel has no Landlock (CONFIG_SECURITY_LANDLOCK, lsm=landlock,...), or forbids it"

  /// Whether rules for files hold for every thread of the process, those that run already included.
  public static var restrictsAllThreads: Bool { (Landlock.version ?? 0) >= Landlock.versionForThreads }

  /// No program that is run gets more rights than this process has; no memory is written to a file when it crashes.
  public static func giveUpPrivileges() throws(SandboxError) {
    guard muntin_no_new_privileges() == 0 else { throw .system(.last("prctl(PR_SET_NO_NEW_PRIVS)")) }
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    guard setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none) == 0 else {
      throw .system(.last("setrlimit(RLIMIT_CORE)"))
    }
  }

  /// No more descriptors than that, for good.
  public static func limitDescriptors(to most: UInt64) {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_max = min(limit.rlim_max, rlim_t(most))
    limit.rlim_cur = min(limit.rlim_cur, limit.rlim_max)
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  /// Forgets the environment, written over with zeros: it may hold secrets, and what reads it later finds nothing set, but
  /// for the time zone.
  public static func clearEnvironment() {
    tzset()
    let zone = getenv("TZ").map { String(cString: $0) }
    muntin_clear_environment()
    // As before: the C library does not read the zone's file again.
    if let zone { setenv("TZ", zone, 1) }
  }

  /// Gives up root's powers, for this thread and those that it starts.
  ///
  /// - Parameter keepsFiles: whether files of other users can still be opened.
  public static func dropCapabilities(keepsFiles: Bool = false) throws(SandboxError) {
    guard muntin_drop_capabilities(keepsFiles ? 1 : 0) == 0 else { throw .system(.last("capset")) }
  }

  /// Denies this thread, and what it starts, the files and networks that the rules do not allow; all threads where
  /// ``restrictsAllThreads``. After ``giveUpPrivileges()``.
  public static func restrictFiles(to rules: FileRules) throws(SandboxError) -> SandboxReport.Part {
    do throws(SystemError) {
      guard try Landlock.restrict(to: rules), let version = Landlock.version else { return .missing(noLandlock) }
      return .inForce("Landlock \(version)")
    } catch {
      throw .system(error)
    }
  }

  /// Denies all threads the system calls that the policy does not allow. After ``giveUpPrivileges()``.
  ///
  /// - Parameter isTold: whether a line on standard error says which call was refused.
  public static func restrictCalls(
    to policy: CallPolicy, isTold: Bool = false
  ) throws(SandboxError) -> SandboxReport.Part {
    guard SystemCallFilter.isAvailable else { return .missing(noSeccomp) }
    return .inForce("seccomp, \(try SystemCallFilter.install(policy, isTold: isTold)) calls")
  }
}
