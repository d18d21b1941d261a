import CLinux
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
    /// With others, as interest: report each change once, whether the handler reads or not. For descriptors that a
    /// hostile peer shares: one that never empties cannot keep the loop busy, one that blocks is never read.
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

  private let epoll: FileDescriptor
  private var watches: [Watch] = []
  private var freeSlots: [UInt32] = []
  private var timers = TimerQueue()
  private var deferred: [Deferred] = []
  private var spareDeferred: [Deferred] = []
  private var events = [muntin_epoll_event](repeating: muntin_epoll_event(), count: 64)
  private var signalFile: SharedDescriptor?
  private var running = false
  /// Whether the last wait brought events.
  private var isBusy = false

  /// How long to go on looking for the next event after one, before the thread sleeps.
  ///
  /// Waking a sleeping processor takes longer than most requests, above all when it is itself a virtual one. A peer that
  /// sends request after request finds this thread awake; nothing is spent while nothing happens.
  public var busyPoll = Duration.zero

  /// A loop that watches nothing yet.
  public init() throws(SystemError) {
    let raw = muntin_epoll_create()
    guard raw >= 0 else { throw .last("epoll_create1") }
    epoll = FileDescriptor(adopting: raw)
  }

  /// Calls `handler` whenever the descriptor, which stays the caller's, is ready. Unwatch it before closing it.
  public func watch(
    _ raw: Int32, for interest: Readiness, _ handler: @escaping (Readiness) -> Void
  ) throws(SystemError) -> Token {
    let slot = freeSlots.popLast() ?? newSlot()
    let index = Int(slot)
    let token = Token(slot: slot, generation: watches[index].generation)
    guard muntin_epoll_ctl(epoll.raw, 1, raw, Self.mask(interest), Self.word(token)) == 0 else {
      freeSlots.append(slot)
      throw .last("epoll_ctl(ADD)")
    }
    watches[index].descriptor = raw
    watches[index].handler = handler
    return token
  }

  /// Waits for something else from now on. A stale token does nothing.
  public func change(_ token: Token, to interest: Readiness) {
    guard let watch = live(token) else { return }
    _ = muntin_epoll_ctl(epoll.raw, 3, watch.descriptor, Self.mask(interest), Self.word(token))
  }

  /// Ends a registration. A stale token does nothing.
  public func unwatch(_ token: Token) {
    guard let watch = live(token) else { return }
    _ = muntin_epoll_ctl(epoll.raw, 2, watch.descriptor, 0, 0)
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
    let raw = muntin_signalfd(signals, Int32(signals.count))
    guard raw >= 0 else { throw .last("signalfd") }
    let file = SharedDescriptor(FileDescriptor(adopting: raw))
    signalFile = file
    _ = try watch(raw, for: .readable) { _ in
      while true {
        let signal = muntin_next_signal(file.raw)
        if signal == 0 { return }
        handler(signal)
      }
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
    let count = wait(waitLimit(timeout))
    if count < 0 && errno != EINTR { throw .last("epoll_wait") }
    isBusy = count > 0
    for index in 0..<max(0, Int(count)) { deliver(events[index]) }
    fireTimers()
    runDeferred()
  }

  private func deliver(_ event: muntin_epoll_event) {
    let token = Token(slot: UInt32(truncatingIfNeeded: event.data), generation: UInt32(event.data >> 32))
    guard let handler = live(token)?.handler else { return }
    var readiness: Readiness = []
    if event.events & UInt32(MUNTIN_EPOLLIN) != 0 { readiness.insert(.readable) }
    if event.events & UInt32(MUNTIN_EPOLLOUT) != 0 { readiness.insert(.writable) }
    if event.events & UInt32(MUNTIN_EPOLLHUP | MUNTIN_EPOLLERR | MUNTIN_EPOLLRDHUP) != 0 { readiness.insert(.hangup) }
    handler(readiness)
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
    if isBusy && busyPoll > .zero && limit != 0 {
      let end = MonotonicTime.now + busyPoll
      repeat {
        let count = muntin_epoll_wait(epoll.raw, &events, Int32(events.count), 0)
        if count != 0 { return count }
      } while MonotonicTime.now < end && timers.next.map { $0 > .now } ?? true
    }
    return muntin_epoll_wait(epoll.raw, &events, Int32(events.count), limit)
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

  private static func word(_ token: Token) -> UInt64 {
    UInt64(token.generation) << 32 | UInt64(token.slot)
  }

  private static func mask(_ interest: Readiness) -> UInt32 {
    var mask = 0
    if interest.contains(.readable) { mask |= Int(MUNTIN_EPOLLIN) }
    if interest.contains(.writable) { mask |= Int(MUNTIN_EPOLLOUT) }
    if interest.contains(.edge) { mask |= Int(MUNTIN_EPOLLET) }
    return UInt32(mask)
  }
}
