import Buffers
import Platform

/// Until when a consumer has to release buffers that it was told to release.
final class LeaseDeadlines {
  private let loop: EventLoop
  private let limit: Duration
  private var deadlines: [BufferID: MonotonicTime] = [:]
  private var timer: EventLoop.TimerToken?
  /// Called with those that were not released in time.
  var expired: ([BufferID]) -> Void = { _ in }

  init(loop: EventLoop, limit: Duration) {
    self.loop = loop
    self.limit = limit
  }

  deinit {
    if let timer { loop.cancel(timer) }
  }

  var count: Int { deadlines.count }

  /// From now on the buffer has to be released; once is enough.
  func start(_ id: BufferID) {
    guard deadlines[id] == nil else { return }
    let deadline = MonotonicTime.now + limit
    deadlines[id] = deadline
    if timer == nil { arm(deadline) }
  }

  /// How long it is until then.
  func milliseconds(_ id: BufferID) -> UInt32 {
    guard let deadline = deadlines[id] else { return 0 }
    return UInt32(clamping: (deadline - .now).nanoseconds / 1_000_000)
  }

  /// It was released, or may be kept after all.
  func end(_ id: BufferID) { deadlines[id] = nil }

  private func arm(_ deadline: MonotonicTime) {
    timer = loop.schedule(at: deadline) { [weak self] in self?.fire() }
  }

  private func fire() {
    timer = nil
    let now = MonotonicTime.now
    let overdue = deadlines.filter { $0.value <= now }.map(\.key)
    for id in overdue { deadlines[id] = nil }
    if let next = deadlines.values.min() { arm(next) }
    if !overdue.isEmpty { expired(overdue) }
  }
}
