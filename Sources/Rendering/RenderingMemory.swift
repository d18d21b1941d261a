import Buffers
import Platform

/// Shows in a VM's ledger what its renderer takes: this process's own memory, less what it had before the guest came.
///
/// A driver does not say what it allocates, and a guest's commands make it allocate what no command of the device names.
/// It is measured while there is work: the guest may go over its limit by what it can do in that time, and is refused
/// new contexts and resources until it is under it again. At twice the limit the system refuses.
final class RenderingMemory {
  private static let interval = Duration.milliseconds(100)

  private let ledger: Ledger
  private let loop: EventLoop
  private let memory: ProcessMemory
  private let first: Int
  private var isArmed = false

  init(_ ledger: Ledger, loop: EventLoop) throws(SystemError) {
    self.ledger = ledger
    self.loop = loop
    memory = try ProcessMemory()
    first = memory.ownByteCount
    let (most, overflow) = ledger.limits.rendering.multipliedReportingOverflow(by: 2)
    if !overflow { try memory.limitGrowth(to: most) }
  }

  /// The renderer does something.
  func noteWork() {
    guard !isArmed else { return }
    isArmed = true
    loop.schedule(after: Self.interval) { [weak self] in self?.look() }
  }

  private func look() {
    isArmed = false
    if taken > ledger.limits.rendering { memory.giveBackFree() }
    ledger.noteRendering(taken)
  }

  private var taken: Int { max(0, memory.ownByteCount - first) }
}
