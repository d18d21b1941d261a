import Testing

@testable import Virtqueue

/// What both formats do alike, with a driver that keeps the rules.
@Suite struct QueueTests {
  @Test(arguments: Format.allCases, [true, false])
  func `a request travels to the device and its answer back`(format: Format, indirect: Bool) throws {
    let pair = try Pair(format)
    try pair.arena.write(Array("hello".utf8), at: pair.request)
    let token = try pair.offer(5, 7, indirect: indirect)
    let chain = try pair.take()
    #expect(chain.bytes == Array("hello".utf8))
    #expect(chain.readableCount == 5)
    #expect(chain.writableCount == 7)
    #expect(chain.defect == nil)
    #expect(chain.write(Array("goodbye!".utf8)) == 7)
    pair.queue.push(chain, written: 7)
    #expect(pair.completions() == [.init(token: token, written: 7)])
    #expect(try pair.arena.read(at: pair.response, count: 8) == Array("goodbye".utf8) + [0])
    #expect(pair.driver.violations.isEmpty)
  }

  @Test(arguments: Format.allCases)
  func `an empty queue gives nothing`(format: Format) throws {
    let pair = try Pair(format)
    #expect(try !pair.queue.pop(into: pair.chain))
    try pair.offer()
    #expect(try pair.serve() == 1)
    #expect(try !pair.queue.pop(into: pair.chain))
  }

  @Test(arguments: Format.allCases, [1, 2, 4, 16] as [UInt32])
  func `the ring turns more often than any index can count`(format: Format, size: UInt32) throws {
    let pair = try Pair(format, size: size)
    for round in 0..<70_000 {
      let token = try pair.offer(0, 8)
      #expect(try pair.serve(written: 3) == 1)
      let done = try #require(pair.driver.poll())
      if done != .init(token: token, written: 3) { Issue.record("round \(round): \(done)") }
    }
    #expect(pair.driver.violations.isEmpty)
  }

  @Test func `a packed ring may have any size`() throws {
    for size: UInt32 in [1, 3, 7, 255] {
      let pair = try Pair(.packed, size: size)
      for _ in 0..<size * 5 {
        try pair.offer(1, 0)
        #expect(try pair.serve() == 1)
        #expect(pair.completions().count == 1)
      }
    }
  }

  @Test(arguments: Format.allCases)
  func `a full ring is served whole`(format: Format) throws {
    let pair = try Pair(format, size: 64)
    for _ in 0..<32 { try pair.offer() }
    #expect(pair.driver.add(readable: [.init(pair.request, 1)], writable: []) == nil)
    #expect(try pair.serve() == 32)
    #expect(pair.completions().count == 32)
    #expect(pair.driver.freeSlots == 64)
  }

  @Test(arguments: Format.allCases)
  func `chains may be completed in any order`(format: Format) throws {
    let pair = try Pair(format, size: 16)
    for round: UInt32 in 0..<50 {
      let tokens = try [pair.offer(8, 8), pair.offer(4, 0), pair.offer(8, 8, indirect: true), pair.offer(1, 1)]
      let chains = try tokens.map { _ in try pair.take() }
      #expect(chains.map(\.head) == tokens)
      let order = [2, 0, 3, 1]
      for index in order {
        pair.queue.push(chains[index], written: min(round % 2, UInt32(chains[index].writableCount)))
      }
      #expect(pair.completions().map(\.token) == order.map { tokens[$0] })
    }
    #expect(pair.driver.violations.isEmpty)
    #expect(pair.driver.freeSlots == 16)
  }

  @Test(arguments: Format.allCases)
  func `a chain is given back once however often it is pushed`(format: Format) throws {
    let pair = try Pair(format)
    try pair.offer()
    let chain = try pair.take()
    for _ in 0..<3 { pair.queue.push(chain, written: 0) }
    pair.queue.push(DescriptorChain(), written: 0)
    #expect(pair.completions().count == 1)
    #expect(pair.driver.violations.isEmpty)
  }

  @Test(arguments: Format.allCases)
  func `a chain of one queue is nothing to another`(format: Format) throws {
    let pair = try Pair(format)
    let other = try Pair(format)
    try pair.offer()
    try other.offer()
    let chain = try pair.take()
    let foreign = try other.take()
    pair.queue.push(foreign, written: 0)
    #expect(pair.completions().isEmpty)
    pair.queue.push(chain, written: 0)
    #expect(pair.completions().count == 1)
  }

  @Test(arguments: Format.allCases)
  func `no more bytes are reported than could be written`(format: Format) throws {
    let pair = try Pair(format)
    let token = try pair.offer(4, 10)
    pair.queue.push(try pair.take(), written: 4000)
    #expect(pair.completions() == [.init(token: token, written: 10)])
  }

  @Test(arguments: Format.allCases)
  func `a request of many pieces reads as one`(format: Format) throws {
    let pair = try Pair(format, size: 64)
    try pair.arena.write(Array(0..<100), at: pair.request)
    for indirect in [false, true] {
      let readable = (0..<25).map { VirtqueueDriver.Buffer(GuestAddress(pair.request.rawValue + 4 * $0), 4) }
      let writable = (0..<25).map { VirtqueueDriver.Buffer(GuestAddress(pair.response.rawValue + 8 * $0), 2) }
      try #require(pair.driver.add(readable: readable, writable: writable, indirect: indirect) != nil)
      let chain = try pair.take()
      #expect(chain.bytes == Array(0..<100))
      var part = [UInt8](repeating: 0, count: 10)
      #expect(part.withUnsafeMutableBytes { chain.read(into: $0, at: 33) } == 10)
      #expect(part == Array(33..<43))
      #expect(part.withUnsafeMutableBytes { chain.read(into: $0, at: 95) } == 5)
      #expect(part.withUnsafeMutableBytes { chain.read(into: $0, at: 100) } == 0)
      #expect(part.withUnsafeMutableBytes { chain.read(into: $0, at: -1) } == 0)
      #expect(part.withUnsafeMutableBytes { chain.read(into: $0, at: .max) } == 0)
      #expect(chain.write([1, 2, 3, 4, 5], at: 1) == 5)
      #expect(chain.write([9, 9, 9], at: 48) == 2)
      #expect(
        try pair.arena.read(at: pair.response, count: 20) == [
          0, 1, 0, 0, 0, 0, 0, 0, 2, 3, 0, 0, 0, 0, 0, 0, 4, 5, 0, 0,
        ])
      var sum = 0
      chain.forEachReadable(from: 6) { sum += $0.count }
      #expect(sum == 94)
      pair.queue.push(chain, written: 50)
      #expect(pair.completions().count == 1)
    }
  }

  @Test(arguments: Format.allCases)
  func `buffers may pass from one region into the next`(format: Format) throws {
    let pair = try Pair(format, regions: [(GuestAddress(0x10000), 0x10000), (GuestAddress(0x20000), 0x1000)])
    let border = GuestAddress(0x20000 - 10)
    try pair.arena.write(Array(1...20), at: border)
    for indirect in [true, false] {
      try #require(
        pair.driver.add(
          readable: [.init(border, 20)], writable: [.init(GuestAddress(0x20000 - 3), 30)], indirect: indirect) != nil)
      let chain = try pair.take()
      #expect(chain.bytes == Array(1...20))
      #expect(chain.writableCount == 30)
      pair.queue.push(chain, written: 0)
      _ = pair.completions()
    }
  }

  @Test(arguments: Format.allCases)
  func `an indirect table may be longer than the ring, lie anywhere and cross regions`(format: Format) throws {
    let pair = try Pair(format, size: 2, regions: [(GuestAddress(0x10000), 0x10000), (GuestAddress(0x20000), 0x10000)])
    let count = 100
    // A table that crosses the border, and one at an odd address.
    for address in [GuestAddress(0x20000 - 24), GuestAddress(0x20101)] {
      var bytes: [UInt8] = []
      for index in 0..<count {
        var entry = [UInt8](repeating: 0, count: 16)
        let descriptor = Descriptor(
          address: pair.request.rawValue, count: 1, flags: 0, link: UInt16(index + 1))
        entry.withUnsafeMutableBytes {
          guard let base = $0.baseAddress else { return }
          descriptor.write(to: base, format, linked: index + 1 < count)
        }
        bytes += entry
      }
      try pair.arena.write(bytes, at: address)
      try pair.offerTable(format, at: address, count: UInt32(16 * count))
      let chain = try pair.take()
      #expect(chain.defect == nil)
      #expect(chain.readableCount == count)
      pair.queue.push(chain, written: 0)
    }
  }

  @Test(arguments: Format.allCases)
  func `descriptors without bytes count for nothing`(format: Format) throws {
    let pair = try Pair(format)
    let hole = GuestAddress(0)
    let token = try #require(
      pair.driver.add(
        readable: [.init(pair.request, 4), .init(hole, 0)], writable: [.init(hole, 0), .init(pair.response, 4)])
    )
    let chain = try pair.take()
    #expect(chain.defect == nil)
    #expect(chain.readableCount == 4)
    #expect(chain.writableCount == 4)
    pair.queue.push(chain, written: 4)
    #expect(pair.completions() == [.init(token: token, written: 4)])
  }

  @Test func `a used descriptor says that it was written only when it was`() throws {
    let pair = try Pair(.packed)
    let flags = pair.arena.bytes(at: GuestAddress(pair.driver.configuration.addresses.descriptors), count: 32)
    try pair.offer(8, 0)
    try pair.serve()
    #expect(flags[14] & 2 == 0)
    _ = pair.completions()
    try pair.offer(0, 8)
    try pair.serve(written: 5)
    #expect(flags[30] & 2 == 2)
    #expect(pair.completions().first?.written == 5)
  }
}

extension Pair {
  /// Offers a chain of one descriptor that names an indirect table, as the first request of a ring not used so far or
  /// the next one.
  func offerTable(_ format: Format, at address: GuestAddress, count: UInt32, flags: UInt16 = 4) throws {
    switch format {
    case .split:
      driver.poke(0, address: address, count: count, flags: flags, link: 0)
      driver.offer(head: 0)
    case .packed:
      let size = Int(driver.configuration.size)
      let wrap = rawOffers / size % 2 == 0
      driver.poke(
        rawOffers % size, address: address, count: count,
        flags: flags | (wrap ? PackedFormat.available : PackedFormat.used),
        link: 0)
      rawOffers += 1
    }
  }
}
