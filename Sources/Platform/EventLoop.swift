import Glibc

/// One thread's loop over descriptors, timers and signals.
///
/// Handlers run one after the other on the thread that calls `run`. A token names one registration for good: the slot
/// it uses may serve another descriptor later, with another generation, so a late event never reaches the wrong handler.
public final class EventLoop {
  /// What a descriptor is ready for, or what to wait for.
  public struct Readiness: OptionSet, Sendable {
    /// The bits.
    public let rawValue: UInt8
    /// Wraps the bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Something can be read, or a peer waits to be accepted.
    public static let readable = Readiness(rawValue: 1)
    /// Something can be written.
    public static let writable = Readiness(rawValue: 2)
    /// The other end has gone, or the descriptor failed. Always reported.
    public static let hangup = Readiness(rawValue: 4)
    /// With others, as interest: report each ring of a doorbell once, without a drain by the handler. For bells that a
    /// hostile peer shares: one that is never silent cannot keep the loop busy.
    public static let edge = Readiness(rawValue: 8)
  }

  /// Names one watched descriptor.
  public struct Token: Hashable, Sendable {
    let slot: UInt32
    let generation: UInt32
  }

  /// Names one timer.
  public struct TimerToken: Hashable, Sendable {
    let number: UInt64
  }

  private struct Watch {
    var generation: UInt32 = 0
    var descriptor: Int32 = -1
    var handler: ((Readiness) -> Void)?
  }

  /// In a struct, so that storing a closure in an array needs no box around it.
  private struct Deferred {
    let run: () -> Void
  }

  private var poller: Poller
  private var watches: [Watch] = []
  private var freeSlots: [UInt32] = []
  private var timers = TimerQueue()
  private var deferred: [Deferred] = []
  private var spareDeferred: [Deferred] = []
  private var signals: SignalSource?
  private var running = false
  /// Whether the last wait brought events.
  private var isBusy = false

  private var busy = BusyPoll()

  /// Ends the process when a turn of this loop takes too long.
  public var hangWatch: HangWatch?

  /// The longest to go on looking for the next event after one, before the thread sleeps. A peer that sends request
  /// after request finds the thread awake; nothing is spent while nothing happens, or while events are far apart.
  public var busyPoll: Duration {
    get { .nanoseconds(busy.most) }
    set { busy.most = newValue.nanoseconds }
  }

  /// A loop that watches nothing yet.
  public init() throws(SystemError) {
    poller = try Poller()
  }

  /// Calls `handler` whenever the descriptor, which stays the caller's, is ready. Unwatch it before closing it.
  public func watch(
    _ raw: Int32, for interest: Readiness, _ handler: @escaping (Readiness) -> Void
  ) throws(SystemError) -> Token {
    let slot = freeSlots.popLast() ?? newSlot()
    let index = Int(slot)
    let token = Token(slot: slot, generation: watches[index].generation)
    do {
      try poller.add(raw, for: interest, as: token)
    } catch {
      freeSlots.append(slot)
      throw error
    }
    watches[index].descriptor = raw
    watches[index].handler = handler
    return token
  }

  /// Waits for something else from now on. A stale token does nothing.
  public func change(_ token: Token, to interest: Readiness) {
    guard let watch = live(token) else { return }
    poller.change(watch.descriptor, to: interest, as: token)
  }

  /// Ends a registration. A stale token does nothing.
  public func unwatch(_ token: Token) {
    guard let watch = live(token) else { return }
    poller.remove(watch.descriptor, as: token)
    watches[Int(token.slot)].handler = nil
    watches[Int(token.slot)].descriptor = -1
    watches[Int(token.slot)].generation &+= 1
    freeSlots.append(token.slot)
  }

  /// Calls `handler` once, after `delay`.
  @discardableResult
  public func schedule(after delay: Duration, _ handler: @escaping () -> Void) -> TimerToken {
    timers.add(at: .now + delay, handler)
  }

  /// Calls `handler` once, at `deadline`.
  @discardableResult
  public func schedule(at deadline: MonotonicTime, _ handler: @escaping () -> Void) -> TimerToken {
    timers.add(at: deadline, handler)
  }

  /// Forgets a timer. One that has fired does nothing.
  public func cancel(_ token: TimerToken) {
    timers.remove(token)
  }

  /// Calls `handler` once, after the events that are being handled now (or at once in the next turn).
  public func afterEvents(_ handler: @escaping () -> Void) {
    deferred.append(Deferred(run: handler))
  }

  /// Takes the signals over for this thread and calls `handler` with each. Call once, before other threads start.
  public func onSignals(_ signals: [Int32], _ handler: @escaping (Int32) -> Void) throws(SystemError) {
    let source = try SignalSource(signals)
    self.signals = source
    _ = try watch(source.descriptor.raw, for: .readable) { _ in
      while let signal = source.next() { handler(signal) }
    }
  }

  /// Handles events until `stop`.
  public func run() throws(SystemError) {
    running = true
    while running { try runOnce(timeout: nil) }
  }

  /// Ends `run` after the events that are being handled now.
  public func stop() {
    running = false
  }

  /// Waits for events, at most `timeout` (nil: until something happens), and handles what there is.
  public func runOnce(timeout: Duration?) throws(SystemError) {
    hangWatch?.rest()
    let count = wait(waitLimit(timeout))
    if count < 0 && errno != EINTR { throw .last(Poller.waitCall) }
    hangWatch?.begin()
    isBusy = count > 0
    for index in 0..<max(0, Int(count)) { deliver(poller.event(index)) }
    fireTimers()
    runDeferred()
  }

  private func deliver(_ event: (token: Token, readiness: Readiness)) {
    guard let handler = live(event.token)?.handler else { return }
    handler(event.readiness)
  }

  private func fireTimers() {
    guard timers.next != nil else { return }
    let now = MonotonicTime.now
    let youngest = timers.youngest
    while let handler = timers.popDue(until: now, upTo: youngest) { handler() }
  }

  private func runDeferred() {
    guard !deferred.isEmpty else { return }
    // Two arrays in turn: neither is allocated again, and handlers may defer more.
    var batch: [Deferred] = []
    swap(&batch, &spareDeferred)
    swap(&batch, &deferred)
    for index in batch.indices { batch[index].run() }
    batch.removeAll(keepingCapacity: true)
    spareDeferred = batch
  }

  private func wait(_ limit: Int64) -> Int32 {
    guard isBusy, busy.most > 0, limit != 0 else {
      return poller.wait(nanoseconds: limit)
    }
    let start = MonotonicTime.now.nanoseconds
    let found = busy.look(from: start, until: limit < 0 ? .max : start + limit) {
      poller.wait(nanoseconds: 0)
    }
    if found != 0 { return found }
    let rest = limit < 0 ? limit : max(0, limit - (MonotonicTime.now.nanoseconds - start))
    let count = poller.wait(nanoseconds: rest)
    if count > 0 { busy.missed(by: MonotonicTime.now.nanoseconds - start) }
    return count
  }

  private func waitLimit(_ timeout: Duration?) -> Int64 {
    if !deferred.isEmpty { return 0 }
    var limit = timeout.map { max(0, $0.nanoseconds) } ?? -1
    if let next = timers.next {
      let remaining = max(0, next.nanoseconds - MonotonicTime.now.nanoseconds)
      limit = limit < 0 ? remaining : min(limit, remaining)
    }
    return limit
  }

  private func live(_ token: Token) -> Watch? {
    guard Int(token.slot) < watches.count else { return nil }
    let watch = watches[Int(token.slot)]
    return watch.generation == token.generation && watch.descriptor >= 0 ? watch : nil
  }

  private func newSlot() -> UInt32 {
    watches.append(Watch())
    return UInt32(watches.count - 1)
  }
}
