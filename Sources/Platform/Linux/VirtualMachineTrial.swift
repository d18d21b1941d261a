import CLinux

/// A smallest virtual machine, to find out what /dev/kvm is worth.
public enum VirtualMachineTrial {
  /// Runs 100,000 rounds of a loop in a guest; how long they took. A processor takes a tenth of a millisecond.
  public static func run() throws(SystemError) -> Duration {
    var step: UnsafePointer<CChar>?
    var time: Int64 = 0
    guard muntin_try_kvm(&step, &time) == 0 else { throw .last(step.map { String(cString: $0) } ?? "open") }
    return .nanoseconds(time)
  }
}
