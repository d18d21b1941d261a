import Testing

@testable import Platform

@Suite struct BusyPollTests {
  private func grown() -> BusyPoll {
    var poll = BusyPoll()
    poll.most = 200_000
    for _ in 0..<10 { poll.missed(by: 30_000) }
    return poll
  }

  @Test func `nothing is looked for until events come close together`() {
    var poll = BusyPoll()
    poll.most = 200_000
    #expect(poll.span == 0)
    poll.missed(by: 16_000_000)
    #expect(poll.span == 0)
    poll.missed(by: 100_000)
    #expect(poll.span == 10_000)
  }

  @Test func `the span grows to the most and no further`() {
    #expect(grown().span == 200_000)
  }

  @Test func `events that are far apart end the looking within a few of them`() {
    var poll = grown()
    for _ in 0..<5 { poll.missed(by: 16_000_000) }
    #expect(poll.span == 0)
  }

  /// A clock that goes on by so many nanoseconds each time that it is looked at.
  private func clock(from start: Int64, step: Int64) -> () -> Int64 {
    var now = start
    return {
      now += step
      return now
    }
  }

  @Test func `looking ends with what is found`() {
    var poll = grown()
    var looks = 0
    let found = poll.look(from: 0, until: .max, clock: clock(from: 0, step: 1000)) {
      looks += 1
      return looks == 3 ? 7 : 0
    }
    #expect(found == 7)
  }

  @Test func `looking ends with the span`() {
    var poll = grown()
    var looks = 0
    let found = poll.look(from: 0, until: .max, clock: clock(from: 0, step: 1000)) {
      looks += 1
      return 0
    }
    #expect(found == 0 && looks == 200)
  }

  @Test func `looking ends with the time`() {
    var poll = grown()
    var looks = 0
    let found = poll.look(from: 0, until: 5000, clock: clock(from: 0, step: 1000)) {
      looks += 1
      return 0
    }
    #expect(found == 0 && looks == 5)
    #expect(poll.look(from: 5000, until: 5000) { 1 } == 0)
  }

  @Test func `without a span nothing is looked for`() {
    var poor = BusyPoll()
    poor.most = 200_000
    #expect(poor.look(from: 0, until: .max) { 1 } == 0)
  }

  @Test func `who loses the processor for long does not look for a while`() {
    var poll = grown()
    var looks = 0
    let found = poll.look(from: 0, until: .max, clock: clock(from: 0, step: 1_000_000)) {
      looks += 1
      return 0
    }
    #expect(found == 0 && looks == 1)
    #expect(poll.look(from: 1_000_001, until: .max) { 1 } == 0)
    #expect(poll.look(from: 60_000_000_000, until: .max) { 1 } == 1)
  }

  @Test func `a loop that may not look never does`() {
    var poll = BusyPoll()
    for _ in 0..<10 { poll.missed(by: 0) }
    #expect(poll.span == 0)
    poll = grown()
    poll.most = 0
    #expect(poll.span == 0)
  }

  @Test func `a loop that looks keeps timeouts and timers`() throws {
    let loop = try EventLoop()
    loop.busyPoll = .milliseconds(100)
    let bell = try Doorbell()
    let token = try loop.watch(bell.waiting.raw, for: .readable) { _ in bell.drain() }
    for _ in 0..<30 {
      bell.ring()
      try loop.runOnce(timeout: .seconds(1))
      try loop.runOnce(timeout: .milliseconds(1))
    }
    var fired = false
    loop.schedule(after: .milliseconds(2)) { fired = true }
    bell.ring()
    try loop.runOnce(timeout: .seconds(1))
    let start = MonotonicTime.now
    while !fired { try loop.runOnce(timeout: .seconds(10)) }
    #expect(MonotonicTime.now - start < .seconds(5))
    loop.unwatch(token)
  }
}
