import Glibc

/// How long a loop goes on looking for the next event after one, before its thread sleeps.
///
/// Waking a sleeping processor takes longer than most requests, above all when it is a virtual one. The span follows
/// what happens: it grows while events come shortly after the thread fell asleep, and shrinks to nothing while they
/// come much later. Between looks the processor is offered to others; when somebody took it for long, the thread
/// sleeps for a while instead: a sleeper is let in sooner than one who is always there.
struct BusyPoll {
  /// The shortest span that is tried.
  private static let least: Int64 = 10_000
  /// How long nothing is looked for after somebody else needed the processor.
  private static let rest: Int64 = 100_000_000

  /// The longest span, in nanoseconds; 0: never look.
  var most: Int64 = 0 {
    didSet { span = min(span, most) }
  }
  /// How long to look, in nanoseconds.
  private(set) var span: Int64 = 0
  private var restEnd: Int64 = .min

  /// An event came that long after the one before had been handled, which `span` was too short for.
  mutating func missed(by nanoseconds: Int64) {
    if nanoseconds < most {
      span = min(most, max(Self.least, 2 * span))
    } else {
      span = span / 2 < Self.least ? 0 : span / 2
    }
  }

  /// Calls `look` until it finds something or `end` comes on the clock (nanoseconds), and before that at most for the
  /// span; what it found.
  mutating func look(
    from start: Int64, until end: Int64, clock: () -> Int64 = { MonotonicTime.now.nanoseconds }, _ look: () -> Int32
  ) -> Int32 {
    guard start >= restEnd else { return 0 }
    let lookEnd = min(end, start + span)
    var now = start
    while now < lookEnd {
      let found = look()
      if found != 0 { return found }
      sched_yield()
      let before = now
      now = clock()
      if now - before > most { restEnd = now + Self.rest }
    }
    return 0
  }
}
