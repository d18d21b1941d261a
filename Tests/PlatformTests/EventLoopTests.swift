import Glibc
import Testing

@testable import Platform

@Suite struct EventLoopTests {
  @Test func `a rung doorbell wakes its watcher`() throws {
    let loop = try EventLoop()
    let bell = try Doorbell()
    var woken = 0
    let token = try loop.watch(bell.waiting.raw, for: .readable) { readiness in
      #expect(readiness == .readable)
      bell.drain()
      woken += 1
    }
    bell.ring()
    try loop.runOnce(timeout: .seconds(1))
    try loop.runOnce(timeout: .zero)
    #expect(woken == 1)
    loop.unwatch(token)
  }

  @Test func `each ring of a doorbell that nobody drains is told once at an edge`() throws {
    let loop = try EventLoop()
    let bell = try Doorbell()
    var woken = 0
    let token = try loop.watch(bell.waiting.raw, for: [.readable, .edge]) { _ in woken += 1 }
    for round in 1...3 {
      bell.ring()
      for _ in 0..<3 { try loop.runOnce(timeout: .zero) }
      #expect(woken == round)
    }
    loop.unwatch(token)
  }

  @Test func `what is always ready cannot be watched`() throws {
    let loop = try EventLoop()
    let file = try SharedMemory.create(name: "test", count: 4096)
    #expect { try loop.watch(file.raw, for: .readable) { _ in } } throws: { ($0 as? SystemError)?.code == EPERM }
  }

  @Test func `a changed interest counts from the next turn on, and waking for writing works`() throws {
    let loop = try EventLoop()
    let pair = try UnixSocket.pair(.stream)
    var seen: [EventLoop.Readiness] = []
    let token = try loop.watch(pair.first.raw, for: .readable) { seen.append($0) }
    try loop.runOnce(timeout: .zero)
    loop.change(token, to: .writable)
    try loop.runOnce(timeout: .seconds(1))
    loop.change(token, to: [])
    try loop.runOnce(timeout: .zero)
    #expect(seen == [.writable])
    loop.unwatch(token)
  }

  @Test func `a hundred bells are each heard once a turn`() throws {
    let loop = try EventLoop()
    let bells = try (0..<100).map { _ in try Doorbell() }
    var heard = [Int](repeating: 0, count: 100)
    for (index, bell) in bells.enumerated() {
      _ = try loop.watch(bell.waiting.raw, for: .readable) { _ in
        bell.drain()
        heard[index] += 1
      }
    }
    for bell in bells { bell.ring() }
    for _ in 0..<4 { try loop.runOnce(timeout: .zero) }
    #expect(heard.allSatisfy { $0 == 1 })
  }

  @Test func `a handler may turn the loop itself`() throws {
    let loop = try EventLoop()
    let bells = try (0..<3).map { _ in try Doorbell() }
    var heard = 0
    for bell in bells {
      _ = try loop.watch(bell.waiting.raw, for: .readable) { _ in
        bell.drain()
        heard += 1
        try? loop.runOnce(timeout: .zero)
      }
    }
    for bell in bells { bell.ring() }
    try loop.runOnce(timeout: .zero)
    try loop.runOnce(timeout: .zero)
    #expect(bells.allSatisfy { !$0.drain() } && heard >= 3)
  }

  @Test func `an unwatched descriptor is silent even when its event is already there`() throws {
    let loop = try EventLoop()
    let first = try Doorbell()
    let second = try Doorbell()
    var tokens: [EventLoop.Token] = []
    var calls = 0
    let handler: (EventLoop.Readiness) -> Void = { _ in
      calls += 1
      for token in tokens { loop.unwatch(token) }
    }
    tokens.append(try loop.watch(first.waiting.raw, for: .readable, handler))
    tokens.append(try loop.watch(second.waiting.raw, for: .readable, handler))
    first.ring()
    second.ring()
    try loop.runOnce(timeout: .seconds(1))
    #expect(calls == 1)
  }

  @Test func `a stale token does not touch the slot's next user`() throws {
    let loop = try EventLoop()
    let bell = try Doorbell()
    let stale = try loop.watch(bell.waiting.raw, for: .readable) { _ in }
    loop.unwatch(stale)
    var woken = false
    _ = try loop.watch(bell.waiting.raw, for: .readable) { _ in woken = true }
    loop.unwatch(stale)
    loop.change(stale, to: [])
    bell.ring()
    try loop.runOnce(timeout: .seconds(1))
    #expect(woken)
  }

  @Test func `timers fire in the order of their deadlines`() throws {
    let loop = try EventLoop()
    var order: [Int] = []
    let start = MonotonicTime.now
    for index in [3, 1, 2] {
      loop.schedule(after: .milliseconds(10 * index)) { order.append(index) }
    }
    while order.count < 3 { try loop.runOnce(timeout: .seconds(1)) }
    #expect(order == [1, 2, 3])
    #expect(MonotonicTime.now - start >= .milliseconds(30))
  }

  @Test func `a cancelled timer never fires`() throws {
    let loop = try EventLoop()
    var fired = false
    let token = loop.schedule(after: .milliseconds(1)) { fired = true }
    loop.cancel(token)
    try loop.runOnce(timeout: .milliseconds(20))
    #expect(!fired)
  }

  @Test func `a timer that schedules itself again leaves room for other events`() throws {
    let loop = try EventLoop()
    var count = 0
    func again() {
      count += 1
      loop.schedule(after: .zero) { again() }
    }
    again()
    try loop.runOnce(timeout: .zero)
    #expect(count == 2)
  }

  @Test func `a hundred thousand cancelled timers leave nothing behind`() throws {
    var queue = TimerQueue()
    for _ in 0..<100_000 { queue.remove(queue.add(at: .now + .seconds(100)) {}) }
    #expect(queue.count < 100)
  }

  @Test func `a closed peer is reported as a hangup`() throws {
    let loop = try EventLoop()
    let pair = try UnixSocket.pair(.stream)
    let (first, second) = pair.take()
    var seen: EventLoop.Readiness = []
    _ = try loop.watch(first, for: .readable) { seen = $0 }
    closeAll([second])
    try loop.runOnce(timeout: .seconds(1))
    #expect(seen.contains(.hangup))
    closeAll([first])
  }

  @Test func `work put off runs after the events of its turn`() throws {
    let loop = try EventLoop()
    let first = try Doorbell()
    let second = try Doorbell()
    var order: [String] = []
    let handler: (EventLoop.Readiness) -> Void = { _ in
      order.append("event")
      loop.afterEvents { order.append("after") }
    }
    _ = try loop.watch(first.waiting.raw, for: .readable, handler)
    _ = try loop.watch(second.waiting.raw, for: .readable, handler)
    first.ring()
    second.ring()
    try loop.runOnce(timeout: .seconds(1))
    #expect(order == ["event", "event", "after", "after"])
  }
}
