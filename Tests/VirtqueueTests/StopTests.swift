import Testing

@testable import Virtqueue

/// Stopping, the base that GET_VRING_BASE answers, and going on from there.
@Suite struct StopTests {
  @Test func `a split base is the next available index`() throws {
    let pair = try Pair(.split)
    #expect(pair.queue.base == 0)
    for count: UInt32 in 1...20 {
      try pair.offer(1, 1)
      try pair.serve()
      _ = pair.completions()
      #expect(pair.queue.base == count)
      #expect(try pair.resume() == count)
    }
  }

  @Test func `a packed base holds both positions and their wrap counters`() throws {
    let pair = try Pair(.packed, size: 5)
    #expect(pair.queue.base == 0x8000_8000)
    for count: UInt32 in 1...30 {
      try pair.offer(1, 0)
      try pair.serve()
      _ = pair.completions()
      let position = count % 5 | (count / 5 % 2 == 0 ? 0x8000 : 0)
      #expect(pair.queue.base == position | position << 16)
      #expect(try pair.resume() == position | position << 16)
    }
  }

  @Test(arguments: Format.allCases)
  func `chains in flight at a stop are offered again`(format: Format) throws {
    let pair = try Pair(format, size: 8)
    for _ in 0..<30 {
      let tokens = try [pair.offer(2, 2), pair.offer(1, 0), pair.offer(0, 3), pair.offer(1, 1, indirect: true)]
      let first = try pair.take()
      pair.queue.push(first, written: 0)
      let lost = try [pair.take(), pair.take()]
      try pair.resume()
      for chain in lost { pair.queue.push(chain, written: 1) }
      #expect(pair.completions().map(\.token) == [tokens[0]])
      let again = try [pair.take(), pair.take(), pair.take()]
      #expect(again.map(\.head) == Array(tokens[1...]))
      for chain in again { pair.queue.push(chain, written: 0) }
      #expect(pair.completions().map(\.token) == Array(tokens[1...]))
    }
    #expect(pair.driver.violations.isEmpty)
    #expect(pair.driver.freeSlots == 8)
  }

  @Test(arguments: Format.allCases)
  func `a chain that was overtaken is completed at the stop and no other is done twice`(format: Format) throws {
    let pair = try Pair(format, size: 16)
    for _ in 0..<30 {
      let tokens = try (0..<6).map { try pair.offer(1, $0 % 2 == 0 ? 4 : 0) }
      let chains = try (0..<5).map { _ in try pair.take() }
      pair.queue.push(chains[2], written: 3)
      pair.queue.push(chains[0], written: 2)
      try pair.resume()
      #expect(
        pair.completions() == [
          .init(token: tokens[2], written: 3), .init(token: tokens[0], written: 2), .init(token: tokens[1], written: 0),
        ])
      #expect(try pair.serve() == 3)
      #expect(pair.completions().map(\.token) == Array(tokens[3...]))
    }
    #expect(pair.driver.violations.isEmpty)
  }

  @Test(arguments: Format.allCases)
  func `chains that were overtaken are completed in the order in which they were taken`(format: Format) throws {
    let pair = try Pair(format, size: 16)
    // Entries that were used and freed in another order before.
    for _ in 0..<4 { try pair.offer(1, 0) }
    let before = try (0..<4).map { _ in try pair.take() }
    for index in [1, 3, 0, 2] { pair.queue.push(before[index], written: 0) }
    _ = pair.completions()
    let tokens = try (0..<5).map { _ in try pair.offer(1, 0) }
    let chains = try tokens.map { _ in try pair.take() }
    pair.queue.push(chains[4], written: 0)
    pair.queue.stop()
    #expect(pair.completions().map(\.token) == [tokens[4]] + tokens[..<4])
  }

  @Test(arguments: Format.allCases)
  func `a stopped queue is silent`(format: Format) throws {
    let pair = try Pair(format)
    try pair.offer(1, 1)
    let chain = try pair.take()
    try pair.offer(1, 1)
    let base = pair.queue.stop()
    pair.queue.push(chain, written: 1)
    pair.queue.notifyIfNeeded()
    #expect(try !pair.queue.pop(into: pair.chain))
    #expect(!pair.queue.enableKicks())
    #expect(pair.completions().isEmpty)
    #expect(pair.queue.base == base)
    #expect(pair.queue.stop() == base)
  }

  @Test(arguments: Format.allCases)
  func `completions that nobody was told of are told at the stop`(format: Format) throws {
    let pair = try Pair(format)
    try pair.offer(1, 1)
    try pair.serve()
    pair.queue.stop()
    #expect(pair.driver.wasCalled())
  }
}
