import Platform
import Testing

@testable import Virtqueue

/// Who wakes whom, and when not.
@Suite struct NotificationTests {
  @Test(arguments: Format.allCases, [true, false])
  func `a driver that waits is called once for each wake`(format: Format, eventIndex: Bool) throws {
    let pair = try Pair(format, eventIndex: eventIndex)
    for _ in 0..<100 {
      #expect(!pair.driver.enableCalls())
      try pair.offer(1, 1)
      try pair.offer(1, 1)
      try pair.serve()
      #expect(!pair.driver.wasCalled())
      pair.queue.notifyIfNeeded()
      #expect(pair.driver.wasCalled())
      pair.queue.notifyIfNeeded()
      #expect(!pair.driver.wasCalled())
      #expect(pair.completions().count == 2)
    }
  }

  @Test(arguments: Format.allCases, [true, false])
  func `a driver that does not want to be called is not`(format: Format, eventIndex: Bool) throws {
    let pair = try Pair(format, eventIndex: eventIndex)
    try pair.offer(1, 1)
    try pair.serve()
    pair.queue.notifyIfNeeded()
    _ = pair.driver.wasCalled()
    _ = pair.completions()
    pair.driver.suppressCalls()
    for _ in 0..<100 {
      try pair.offer(1, 1)
      try pair.serve()
      pair.queue.notifyIfNeeded()
      _ = pair.completions()
      // The split ring's event index cannot be switched off: the driver moves it as it goes.
      pair.driver.suppressCalls()
    }
    #expect(!pair.driver.wasCalled())
  }

  @Test(arguments: Format.allCases)
  func `the event index names the completion that calls`(format: Format) throws {
    let pair = try Pair(format, size: 16)
    try pair.offer(0, 1)
    try pair.serve()
    pair.queue.notifyIfNeeded()
    _ = pair.completions()
    _ = pair.driver.wasCalled()
    // Ask for the fourth from now, by hand.
    let addresses = pair.driver.configuration.addresses
    for round in 0..<20 {
      let area = try #require(pair.arena.bytes(at: GuestAddress(addresses.driver), count: 4).baseAddress)
      let used = 1 + 5 * round
      switch format {
      case .split: area.setWord16(4 + 32, UInt16(used + 3))
      case .packed:
        var position = PackedFormat.Position(0x8000)
        for _ in 0..<used + 3 { position.advance(by: 1, size: 16) }
        area.setWord32(0, UInt32(position.packed) | 2 << 16)
      }
      var called: [Bool] = []
      for _ in 0..<5 {
        try pair.offer(0, 1)
        try pair.serve()
        pair.queue.notifyIfNeeded()
        called.append(pair.driver.wasCalled())
      }
      #expect(called == [false, false, false, true, false])
      _ = pair.completions()
    }
  }

  @Test(arguments: Format.allCases)
  func `completions before there is a doorbell are told when there is one`(format: Format) throws {
    let pair = try Pair(format)
    pair.queue.callDescriptor = nil
    try pair.offer()
    try pair.serve()
    pair.queue.notifyIfNeeded()
    #expect(!pair.driver.wasCalled())
    pair.queue.callDescriptor = pair.driver.callBell.ringing
    #expect(pair.driver.wasCalled())
    pair.queue.callDescriptor = nil
    pair.queue.callDescriptor = pair.driver.callBell.ringing
    #expect(!pair.driver.wasCalled())
  }

  @Test(arguments: Format.allCases, [true, false])
  func `a device that looks anyway is not kicked`(format: Format, eventIndex: Bool) throws {
    let pair = try Pair(format, size: 64, eventIndex: eventIndex)
    try pair.offer(1, 1)
    #expect(pair.driver.kick())
    try pair.serve()
    #expect(!pair.queue.enableKicks())
    _ = pair.completions()
    try pair.offer(1, 1)
    #expect(pair.driver.kick())
    pair.queue.suppressKicks()
    for _ in 0..<20 {
      try pair.serve()
      _ = pair.completions()
      try pair.offer(1, 1)
      #expect(!pair.driver.kick())
    }
    #expect(pair.queue.enableKicks())
    try pair.serve()
    #expect(!pair.queue.enableKicks())
    _ = pair.completions()
    try pair.offer(1, 1)
    #expect(pair.driver.kick())
  }

  @Test(arguments: Format.allCases, [true, false])
  func `what comes while kicks are enabled is not missed`(format: Format, eventIndex: Bool) throws {
    let pair = try Pair(format, eventIndex: eventIndex)
    pair.queue.suppressKicks()
    try pair.serve()
    try pair.offer(1, 1)
    _ = pair.driver.kick()
    #expect(pair.queue.enableKicks())
  }

  @Test(arguments: Format.allCases)
  func `completions of many turns of the ring call in the end`(format: Format) throws {
    let pair = try Pair(format)
    pair.driver.suppressCalls()
    try pair.offer()
    try pair.serve()
    pair.queue.notifyIfNeeded()
    _ = pair.driver.wasCalled()
    for _ in 0..<70_001 {
      _ = pair.completions()
      _ = pair.driver.enableCalls()
      try pair.offer(1, 0)
      try pair.serve()
    }
    pair.queue.notifyIfNeeded()
    #expect(pair.driver.wasCalled())
  }

  @Test(arguments: Format.allCases)
  func `the first completion after a start calls, whatever event the driver has passed`(format: Format) throws {
    let pair = try Pair(format)
    for _ in 0..<5 {
      try pair.offer(1, 0)
      try pair.serve()
      _ = pair.completions()
    }
    pair.queue.notifyIfNeeded()
    _ = pair.driver.enableCalls()
    try pair.offer(1, 0)
    try pair.serve()
    _ = pair.completions()
    try pair.resume()
    _ = pair.driver.wasCalled()
    try pair.offer(1, 0)
    try pair.serve()
    pair.queue.notifyIfNeeded()
    #expect(pair.driver.wasCalled())
  }

  @Test func `event indices pass where the counters wrap`() {
    #expect(passes(0xffff, from: 0xfffe, to: 0))
    #expect(passes(0xffff, from: 0xffff, to: 0))
    #expect(!passes(0xffff, from: 0, to: 1))
    #expect(!passes(5, from: 5, to: 5))
    #expect(passes(5, from: 5, to: 6))
    #expect(!passes(6, from: 5, to: 6))
    #expect(!passes(4, from: 5, to: 6))
  }
}
