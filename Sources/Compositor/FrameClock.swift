import Platform

/// Says when frames are composed: at once after a rest, then never sooner than a refresh period after the last one.
///
/// No timer runs while nothing is due.
final class FrameClock {
  private let loop: EventLoop
  private let period: Duration
  private let tick: () -> Void
  private var last: MonotonicTime?
  private var isDue = false

  /// Calls `tick` on the loop for each frame.
  init(loop: EventLoop, refreshMillihertz: UInt32, tick: @escaping () -> Void) {
    self.loop = loop
    self.tick = tick
    period = .nanoseconds(1_000_000_000_000 / Int64(max(1, refreshMillihertz)))
  }

  /// A frame is needed. Everything that the loop handles meanwhile goes into the same frame.
  func request() {
    guard !isDue else { return }
    isDue = true
    let now = MonotonicTime.now
    if let last, last + period > now {
      loop.schedule(at: last + period) { [weak self] in self?.fire() }
    } else {
      loop.afterEvents { [weak self] in self?.fire() }
    }
  }

  private func fire() {
    isDue = false
    last = .now
    tick()
  }
}
