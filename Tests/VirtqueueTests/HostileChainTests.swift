import Testing

@testable import Virtqueue

/// Chains that break the rules in a ring that is sound: each is delivered once, nothing of it can be read, and the ring
/// goes on.
@Suite struct HostileChainTests {
  static let next = Descriptor.next
  static let write = Descriptor.write
  static let indirect = Descriptor.indirect

  /// One descriptor as the guest writes it; `address` nil means the request page.
  struct Raw {
    var address: UInt64?
    var count: UInt32
    var flags: UInt16
    var link: UInt16 = 0
  }

  /// Offers raw descriptors, in the slots from 0 on, as a new ring's first chain.
  func take(_ descriptors: [Raw], _ format: Format, size: UInt32 = 8, indirect: Bool = true) throws -> (
    Pair, DescriptorChain
  ) {
    let pair = try Pair(format, size: size, indirect: indirect)
    for (index, raw) in descriptors.enumerated() {
      let flags = format == .packed ? raw.flags | PackedFormat.available : raw.flags
      pair.driver.poke(
        index, address: raw.address.map { GuestAddress($0) } ?? pair.request, count: raw.count, flags: flags,
        link: raw.link)
    }
    if format == .split { pair.driver.offer(head: 0) }
    return (pair, try pair.take())
  }

  /// The chain is unreadable, is completed once, and the queue is empty and sound afterwards.
  func expectBad(_ pair: Pair, _ chain: DescriptorChain, _ defect: ChainDefect, writable: Int = 0) throws {
    #expect(chain.defect == defect)
    #expect(chain.readableCount == 0)
    #expect(chain.bytes.isEmpty)
    #expect(chain.writableCount == writable)
    pair.queue.push(chain, written: .max)
    #expect(try !pair.queue.pop(into: pair.chain))
    #expect(pair.queue.inFlightCount == 0)
  }

  @Test(arguments: Format.allCases)
  func `a request in a hole can be answered and not read`(format: Format) throws {
    for (address, count): (UInt64, UInt32) in [
      (0, 16), (0x4ffff, 2), (0x50000, 1), (.max, 1), (.max - 3, 4), (.max - 2, 8), (0x10000, .max),
    ] {
      let (pair, chain) = try take(
        [
          Raw(address: nil, count: 8, flags: Self.next, link: 1),
          Raw(address: address, count: count, flags: Self.next, link: 2),
          Raw(address: nil, count: 24, flags: Self.write),
        ], format)
      try expectBad(pair, chain, .notMapped(GuestAddress(address), count: count), writable: 24)
    }
  }

  @Test(arguments: Format.allCases)
  func `a response in a hole is cut off there`(format: Format) throws {
    let (pair, chain) = try take(
      [
        Raw(address: nil, count: 8, flags: Self.next, link: 1),
        Raw(address: nil, count: 10, flags: Self.write | Self.next, link: 2),
        Raw(address: 0x4fff0, count: 17, flags: Self.write | Self.next, link: 3),
        Raw(address: nil, count: 24, flags: Self.write),
      ], format)
    try expectBad(pair, chain, .notMapped(GuestAddress(0x4fff0), count: 17), writable: 10)
  }

  @Test(arguments: Format.allCases)
  func `the last byte of memory can be used and the one behind it cannot`(format: Format) throws {
    let (pair, chain) = try take([Raw(address: 0x4ffff, count: 1, flags: 0)], format)
    #expect(chain.defect == nil)
    #expect(chain.readableCount == 1)
    pair.queue.push(chain, written: 0)
  }

  @Test(arguments: Format.allCases)
  func `a readable buffer behind a writable one is refused`(format: Format) throws {
    let (pair, chain) = try take(
      [
        Raw(address: nil, count: 24, flags: Self.write | Self.next, link: 1), Raw(address: nil, count: 8, flags: 0),
      ], format)
    try expectBad(pair, chain, .readableAfterWritable, writable: 24)
  }

  @Test(arguments: [0, 1, 3] as [UInt16])
  func `a split chain that runs in a circle ends`(link: UInt16) throws {
    let (pair, chain) = try take(
      (0..<4).map { Raw(address: nil, count: 8, flags: Self.next, link: $0 == 3 ? link : $0 + 1) }, .split)
    try expectBad(pair, chain, .loop)
  }

  @Test(arguments: [8, 9, 0x8000, 0xffff] as [UInt16])
  func `a split chain that leaves the table ends`(link: UInt16) throws {
    let (pair, chain) = try take(
      [
        Raw(address: nil, count: 8, flags: Self.next, link: 1),
        Raw(address: nil, count: 8, flags: Self.write | Self.next, link: link),
      ], .split)
    try expectBad(pair, chain, .nextOutOfRange(link))
  }

  @Test func `a split chain as long as its table is good`() throws {
    let (_, chain) = try take(
      (0..<8).map { Raw(address: nil, count: 8, flags: $0 < 7 ? Self.next : 0, link: $0 + 1) }, .split)
    #expect(chain.defect == nil)
    #expect(chain.readableCount == 64)
  }

  @Test(arguments: Format.allCases)
  func `an indirect table of a wrong size is refused`(format: Format) throws {
    for count: UInt32 in [0, 1, 15, 17, 40, 16 * 1025, 0xffff_fff0, .max] {
      let (pair, chain) = try take([Raw(address: nil, count: count, flags: Self.indirect)], format)
      try expectBad(pair, chain, .indirectTableSize(count))
    }
  }

  @Test(arguments: Format.allCases)
  func `an indirect table in a hole is refused`(format: Format) throws {
    for address: UInt64 in [0, 0x4fff8, 0x50000, .max - 15, .max] {
      let (pair, chain) = try take([Raw(address: address, count: 16, flags: Self.indirect)], format)
      try expectBad(pair, chain, .indirectTableNotMapped(GuestAddress(address), count: 16))
    }
  }

  @Test(arguments: Format.allCases)
  func `an indirect table needs the feature`(format: Format) throws {
    let (pair, chain) = try take([Raw(address: nil, count: 16, flags: Self.indirect)], format, indirect: false)
    try expectBad(pair, chain, .indirectNotNegotiated)
  }

  @Test(arguments: Format.allCases)
  func `an indirect descriptor that has a successor is refused`(format: Format) throws {
    let (pair, chain) = try take(
      [
        Raw(address: nil, count: 16, flags: Self.indirect | Self.next, link: 1),
        Raw(address: nil, count: 8, flags: Self.write),
      ], format)
    try expectBad(pair, chain, .misplacedIndirect)
  }

  @Test(arguments: Format.allCases)
  func `an indirect table may end a chain of direct descriptors`(format: Format) throws {
    let pair = try Pair(format)
    let table = try pair.arena.allocate(16)
    let entry = Descriptor(address: pair.response.rawValue, count: 24, flags: Self.write, link: 0)
    entry.write(to: try #require(pair.arena.bytes(at: table, count: 16).baseAddress), format, linked: false)
    let turn: UInt16 = format == .packed ? PackedFormat.available : 0
    pair.driver.poke(0, address: pair.request, count: 8, flags: Self.next | turn, link: 1)
    pair.driver.poke(1, address: table, count: 16, flags: Self.indirect | Self.write | turn, link: 0)
    if format == .split { pair.driver.offer(head: 0) }
    let chain = try pair.take()
    #expect(chain.defect == nil)
    #expect(chain.readableCount == 8)
    #expect(chain.writableCount == 24)
  }

  @Test(arguments: Format.allCases)
  func `an indirect table in an indirect table is refused`(format: Format) throws {
    let pair = try Pair(format)
    let table = try pair.arena.allocate(32)
    let bytes = try #require(pair.arena.bytes(at: table, count: 32).baseAddress)
    Descriptor(address: pair.request.rawValue, count: 8, flags: Self.next, link: 1).write(
      to: bytes, format, linked: true)
    Descriptor(address: table.rawValue, count: 32, flags: Self.indirect, link: 0).write(
      to: bytes + 16, format, linked: false)
    try pair.offerTable(format, at: table, count: 32)
    try expectBad(pair, try pair.take(), .misplacedIndirect)
  }

  @Test func `a circle in an indirect table of a split ring ends`() throws {
    let pair = try Pair(.split)
    let table = try pair.arena.allocate(32)
    let bytes = try #require(pair.arena.bytes(at: table, count: 32).baseAddress)
    for (target, defect): (UInt16, ChainDefect) in [(0, .loop), (1, .loop), (2, .nextOutOfRange(2))] {
      for index in 0..<2 {
        Descriptor(address: pair.request.rawValue, count: 8, flags: Self.next, link: index == 0 ? 1 : target)
          .write(to: bytes + 16 * index, .split, linked: true)
      }
      try pair.offerTable(.split, at: table, count: 32)
      try expectBad(pair, try pair.take(), defect)
    }
  }

  @Test(arguments: Format.allCases)
  func `a chain of more than four gigabytes is refused`(format: Format) throws {
    // Each buffer is legal by itself: memory of 64 MiB, named again and again.
    let pair = try Pair(format, regions: [(GuestAddress(0x10000), 0x40000), (GuestAddress(0x1000_0000), 0x400_0000)])
    for (count, isGood) in [(64, true), (65, false)] {
      let buffers = Array(repeating: VirtqueueDriver.Buffer(GuestAddress(0x1000_0000), 0x400_0000), count: count)
      try #require(pair.driver.add(readable: [], writable: buffers, indirect: true) != nil)
      let chain = try pair.take()
      #expect(chain.defect == (isGood ? nil : .tooLarge))
      #expect(chain.writableCount == (isGood ? 1 << 32 : 0))
      pair.queue.push(chain, written: 0)
    }
  }

  @Test(arguments: Format.allCases)
  func `a bad chain does not taint the next one in the same object`(format: Format) throws {
    let pair = try Pair(format)
    let hole = GuestAddress(0)
    _ = pair.driver.add(readable: [.init(hole, 8)], writable: [.init(hole, 8)])
    try pair.offer(5, 6)
    #expect(try pair.queue.pop(into: pair.chain))
    #expect(pair.chain.defect != nil)
    pair.queue.push(pair.chain, written: 0)
    #expect(try pair.queue.pop(into: pair.chain))
    #expect(pair.chain.defect == nil)
    #expect(pair.chain.readableCount == 5)
    #expect(pair.chain.writableCount == 6)
  }
}
