import CPOSIX

/// Keeps the process alive when a peer truncates a file whose memory we have mapped.
///
/// Without it the next access ends the process with SIGBUS. With it the whole mapping becomes zeroed private memory, the
/// access goes on, and a doorbell rings, so that whoever mapped it can drop that peer. A file sealed against shrinking
/// can still fault (a full tmpfs, no free huge page), so every mapping of a peer's file deserves a guard.
public final class FaultGuard {
  private let mapping: MemoryMapping
  private let bell: Doorbell?
  private let slot: Int32

  /// Guards all of `mapping`, which lives at least as long as the guard; `bell` is rung at the first fault.
  public init(_ mapping: MemoryMapping, bell: Doorbell? = nil) throws(SystemError) {
    self.mapping = mapping
    self.bell = bell
    slot = muntin_fault_guard(mapping.base, mapping.count, bell?.ringing.raw ?? -1)
    guard slot >= 0 else { throw .last("muntin_fault_guard") }
  }

  deinit {
    if slot >= 0 { muntin_fault_unguard(slot) }
  }

  /// Whether the memory has been taken away.
  public var hasFaulted: Bool { muntin_fault_happened(slot) != 0 }
}
