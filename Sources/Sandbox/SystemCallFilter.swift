import CLinux
import CSeccomp
import Glibc
import Platform

/// A filter of system calls in the kernel (seccomp), made by libseccomp.
enum SystemCallFilter {
  // SCMP_ACT_ERRNO is a macro that Swift does not import.
  private static func answer(_ error: Int32) -> UInt32 { 0x0005_0000 | UInt32(error) & 0xFFFF }

  /// Whether the kernel has such filters.
  static var isAvailable: Bool { muntin_has_seccomp() != 0 }

  /// Puts a policy in force for all threads, for good, and says how many calls it allows.
  ///
  /// - Parameter isTold: whether a line on standard error says which call was refused.
  static func install(_ policy: CallPolicy, isTold: Bool) throws(SandboxError) -> Int {
    let isTold = isTold && policy.others == .missing
    let otherwise = policy.others == .allowed ? SCMP_ACT_ALLOW : isTold ? SCMP_ACT_TRAP : answer(ENOSYS)
    guard let filter = seccomp_init(otherwise) else {
      throw .filter("seccomp_init", code: ENOMEM)
    }
    defer { seccomp_release(filter) }
    // All threads, those that drivers have started, too.
    try set(filter, SCMP_FLTATR_CTL_TSYNC, 1, "threads")
    // A tree instead of a list, where the library has it.
    _ = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2)
    var names: Set<String> = []
    for rule in policy.allowed.lazy.flatMap(\.rules) where try allow(rule, in: filter) { names.insert(rule.name) }
    for refusals in policy.refused {
      for rule in refusals.rules { try refuse(rule, refusals.error, in: filter, isTold: isTold) }
    }
    if isTold { try tell(filter) }
    let code = seccomp_load(filter)
    guard code == 0 else { throw .filter("seccomp_load", code: -code) }
    return names.count
  }

  /// Whether this processor has the call: others are left out.
  private static func allow(_ rule: CallRule, in filter: scmp_filter_ctx) throws(SandboxError) -> Bool {
    let number = seccomp_syscall_resolve_name(rule.name)
    guard number >= 0 else { return false }
    try add(rule, number, SCMP_ACT_ALLOW, to: filter)
    return true
  }

  private static func refuse(
    _ rule: CallRule, _ error: Int32, in filter: scmp_filter_ctx, isTold: Bool
  ) throws(SandboxError) {
    let number = seccomp_syscall_resolve_name(rule.name)
    guard number >= 0 else { return }
    muntin_answer_call(number, error)
    // What is told of is trapped, as everything that is not allowed.
    guard !isTold else { return }
    try add(rule, number, answer(error), to: filter)
  }

  private static func add(
    _ rule: CallRule, _ number: Int32, _ action: UInt32, to filter: scmp_filter_ctx
  ) throws(SandboxError) {
    let conditions = rule.conditions.map {
      scmp_arg_cmp(arg: $0.index, op: SCMP_CMP_MASKED_EQ, datum_a: $0.mask, datum_b: $0.value)
    }
    let code = seccomp_rule_add_array(filter, action, number, UInt32(conditions.count), conditions)
    guard code == 0 || code == -EEXIST else { throw .filter(rule.name, code: -code) }
  }

  private static func set(
    _ filter: scmp_filter_ctx, _ attribute: scmp_filter_attr, _ value: UInt32, _ what: String
  ) throws(SandboxError) {
    let code = seccomp_attr_set(filter, attribute, value)
    guard code == 0 else { throw .filter(what, code: -code) }
  }

  /// Names the calls for the log, while their names can still be looked up.
  ///
  /// The C library makes threads and processes with all signals blocked, and a signal that is blocked ends the process: the
  /// calls for that are answered without a word.
  private static func tell(_ filter: scmp_filter_ctx) throws(SandboxError) {
    try refuse("clone3", ENOSYS, in: filter, isTold: false)
    // CLONE_THREAD is not set.
    try refuse(CallRule("clone", .argument(0, masked: 0x1_0000, is: 0)), ENOSYS, in: filter, isTold: false)
    for number in Int32(0)..<1024 {
      let name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), number)
      if let name { muntin_name_call(number, name) }
    }
    guard muntin_report_refusals(ENOSYS) == 0 else { throw .system(.last("sigaction(SIGSYS)")) }
  }
}
