import Virtqueue

/// One of the device's queues, with the requests that are done but answered later.
///
/// A flush that a sink holds is answered when each scanout's token has come back. Fenced answers go out in the order
/// of their requests: one that follows a held flush waits for it. Others overtake it. Those that wait for somebody, not
/// only for their turn, count in the ledger.
final class RequestQueue {
  private var queue: Virtqueue?
  private var spares: [DescriptorChain] = []
  private var held: [Held] = []
  /// Writes an answer, nil for "it was given up", into a chain; how many bytes.
  var encode: (Response?, CommandHeader, DescriptorChain) -> UInt32 = { _, _, _ in 0 }

  /// Told how many more, or fewer, requests wait for somebody.
  var waitingChanged: (Int) -> Void = { _ in }

  private struct Held {
    let chain: DescriptorChain
    var written: UInt32
    let isFenced: Bool
    let wait: FlushWait
    var scanouts: UInt16
    /// The change of shared memory that it waits for, and the request that is answered then.
    var change: (ticket: SharedMemoryTicket, header: CommandHeader)?

    var waits: Bool { scanouts != 0 || change != nil }
  }

  /// How a flush is waited for: its serial number, and one bit for each scanout that has not latched it.
  struct FlushWait {
    var serial: UInt64
    var scanouts: UInt16
    static let none = FlushWait(serial: 0, scanouts: 0)
  }

  /// How many answers wait.
  var heldCount: Int { held.count }

  func start(_ queue: Virtqueue) {
    stop()
    self.queue = queue
  }

  /// Answers what waits, and forgets the queue.
  func stop() {
    releaseAll()
    queue = nil
  }

  /// Answers what waits; what has no answer yet gets one by `encode`.
  func releaseAll() {
    for index in held.indices {
      if held[index].waits { waitingChanged(-1) }
      if let change = held[index].change { held[index].written = encode(nil, change.header, held[index].chain) }
      answer(held[index].chain, held[index].written)
    }
    held.removeAll(keepingCapacity: true)
    queue?.notifyIfNeeded()
  }

  // MARK: Taking

  func suppressKicks() { queue?.suppressKicks() }
  func enableKicks() -> Bool { queue?.enableKicks() ?? false }
  func notifyIfNeeded() { queue?.notifyIfNeeded() }

  /// The next request; nil when there is none. It comes back with ``complete(_:written:isFenced:wait:)``.
  func next() throws(VirtqueueError) -> DescriptorChain? {
    guard let queue else { return nil }
    let chain = spares.popLast() ?? DescriptorChain()
    do throws(VirtqueueError) {
      if try queue.pop(into: chain) { return chain }
    } catch {
      spares.append(chain)
      throw error
    }
    spares.append(chain)
    return nil
  }

  // MARK: Answering

  /// A request is done, its answer of `written` bytes stored: answers now, or in its turn.
  func complete(_ chain: DescriptorChain, written: UInt32, isFenced: Bool, wait: FlushWait) {
    if wait.scanouts == 0, !isFenced || held.isEmpty { return answer(chain, written) }
    if wait.scanouts != 0 { waitingChanged(1) }
    held.append(
      Held(chain: chain, written: written, isFenced: isFenced, wait: wait, scanouts: wait.scanouts, change: nil))
  }

  /// A request is answered when shared memory has changed.
  func hold(_ chain: DescriptorChain, _ header: CommandHeader, until ticket: SharedMemoryTicket) {
    waitingChanged(1)
    held.append(
      Held(
        chain: chain, written: 0, isFenced: header.isFenced, wait: .none, scanouts: 0, change: (ticket, header)))
  }

  /// Shared memory has changed; false when no request waits for that.
  func finish(_ ticket: SharedMemoryTicket, _ response: Response) -> Bool {
    guard let index = held.firstIndex(where: { $0.change?.ticket == ticket }), let change = held[index].change else {
      return false
    }
    held[index].change = nil
    waitingChanged(-1)
    held[index].written = encode(response, change.header, held[index].chain)
    release()
    return true
  }

  /// A scanout has latched the flush of that serial number; with `earlier`, also all before it.
  func latched(_ scanout: ScanoutID, serial: UInt64, earlier: Bool) {
    let bit = UInt16(truncatingIfNeeded: 1 << scanout.rawValue)
    for index in held.indices {
      let other = held[index].wait.serial
      guard held[index].scanouts & bit != 0, other == serial || (earlier && other < serial) else { continue }
      held[index].scanouts &= ~bit
      if held[index].scanouts == 0 { waitingChanged(-1) }
    }
    release()
  }

  private func release() {
    var kept = 0
    var isBlocked = false
    for index in held.indices {
      let entry = held[index]
      if entry.waits || (entry.isFenced && isBlocked) {
        isBlocked = true
        held[kept] = entry
        kept += 1
      } else {
        answer(entry.chain, entry.written)
      }
    }
    held.removeLast(held.count - kept)
  }

  private func answer(_ chain: DescriptorChain, _ written: UInt32) {
    queue?.push(chain, written: written)
    spares.append(chain)
  }
}
