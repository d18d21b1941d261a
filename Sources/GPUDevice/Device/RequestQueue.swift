import Virtqueue

/// What a request waits for: a change of shared memory, or that others let go of the guest's pages.
struct AwaitedChange {
  let ticket: SharedMemoryTicket
  /// Whether fences that follow go out before its answer: nothing of the guest's is to wait for others.
  let isAside: Bool

  init(_ ticket: SharedMemoryTicket, isAside: Bool = false) {
    self.ticket = ticket
    self.isAside = isAside
  }
}

/// One of the device's queues, with the requests that are done but answered later.
///
/// A flush that a sink holds is answered when each scanout's token has come back. Fenced answers of a timeline go out in
/// the order of their requests: one that follows a held flush waits for it. Others overtake it. Those that wait for
/// somebody, not only for their turn, count in the ledger.
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
    var order: Order
    let wait: FlushWait
    var scanouts: UInt16
    /// The change of shared memory that it waits for, and the request that is answered then.
    var change: (ticket: SharedMemoryTicket, header: CommandHeader)?

    var waits: Bool { scanouts != 0 || change != nil || order.isPending }
  }

  /// Whose turn an answer keeps.
  enum Timeline: Equatable {
    /// No fence: it overtakes others.
    case none
    /// No fence, and no other fence waits for it.
    case aside
    /// All fences that are on no ring.
    case device
    /// VIRTIO_GPU_FLAG_INFO_RING_IDX: fences of a ring of a context.
    case ring(ContextID, UInt8)
  }

  /// An answer's place among those that have fences.
  struct Order {
    var timeline: Timeline
    var fence: FenceID
    /// Whether its context has yet to do what it waits for.
    var isPending = false
    static let none = Order(timeline: .none, fence: FenceID(rawValue: 0))
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

  /// The next request; nil when there is none. It comes back with ``complete(_:written:_:wait:)``.
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
  func complete(_ chain: DescriptorChain, written: UInt32, _ order: Order, wait: FlushWait) {
    if wait.scanouts == 0, !order.isPending, !isBlocked(order.timeline, behind: held.count) {
      return answer(chain, written)
    }
    if wait.scanouts != 0 || order.isPending { waitingChanged(1) }
    held.append(Held(chain: chain, written: written, order: order, wait: wait, scanouts: wait.scanouts, change: nil))
  }

  /// Whether one of the first so many that are held has to be answered before those of the timeline that follow it.
  private func isBlocked(_ timeline: Timeline, behind count: Int) -> Bool {
    guard timeline != .none, timeline != .aside else { return false }
    var index = count
    while index > 0 {
      index -= 1
      if held[index].order.timeline == timeline { return true }
      if timeline == .device, held[index].order.timeline == .none { return true }
    }
    return false
  }

  /// A request is answered when shared memory has changed.
  func hold(_ chain: DescriptorChain, _ header: CommandHeader, until change: AwaitedChange) {
    waitingChanged(1)
    var order = Self.order(header)
    if change.isAside, order.timeline == .none { order.timeline = .aside }
    held.append(
      Held(chain: chain, written: 0, order: order, wait: .none, scanouts: 0, change: (change.ticket, header)))
  }

  private static func order(_ header: CommandHeader) -> Order {
    guard header.isFenced else { return .none }
    return Order(timeline: header.isOnRing ? .ring(header.context, header.ring) : .device, fence: header.fence)
  }

  /// A context has done what fences of a ring wait for, up to one of them.
  func finishFences(of timeline: Timeline, through fence: FenceID) {
    guard let last = held.lastIndex(where: { $0.order.timeline == timeline && $0.order.fence == fence }) else { return }
    for index in 0...last where held[index].order.timeline == timeline { finishFence(at: index) }
    release()
  }

  /// A context has gone: nothing waits for it.
  func finishFences(of context: ContextID) {
    for index in held.indices {
      if case .ring(context, _) = held[index].order.timeline { finishFence(at: index) }
    }
    release()
  }

  private func finishFence(at index: Int) {
    guard held[index].order.isPending else { return }
    held[index].order.isPending = false
    noteSettled(index)
  }

  /// One thing that a request waited for is there: it counts until all are.
  private func noteSettled(_ index: Int) {
    if !held[index].waits { waitingChanged(-1) }
  }

  /// Shared memory has changed; false when no request waits for that.
  func finish(_ ticket: SharedMemoryTicket, _ response: Response) -> Bool {
    guard let index = held.firstIndex(where: { $0.change?.ticket == ticket }), let change = held[index].change else {
      return false
    }
    held[index].change = nil
    noteSettled(index)
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
      noteSettled(index)
    }
    release()
  }

  private func release() {
    var kept = 0
    for index in held.indices {
      let entry = held[index]
      if entry.waits || isBlocked(entry.order.timeline, behind: kept) {
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
