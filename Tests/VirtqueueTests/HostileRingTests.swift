import Platform
import Testing

@testable import Virtqueue

/// Rings whose bookkeeping cannot be true: the queue says so and touches nothing more.
@Suite struct HostileRingTests {
  func expectBroken(_ pair: Pair, _ error: VirtqueueError) {
    for _ in 0..<2 {
      #expect(throws: error) { try pair.queue.pop(into: pair.chain) }
    }
    #expect(!pair.queue.enableKicks())
    pair.queue.suppressKicks()
    pair.queue.notifyIfNeeded()
  }

  @Test(arguments: [9, 10, 0x7fff, 0x8000, 0xffff] as [UInt16])
  func `an available index that runs ahead breaks a split ring`(index: UInt16) throws {
    let pair = try Pair(.split)
    pair.driver.setAvailableIndex(index)
    expectBroken(pair, .availableIndexJumped(from: 0, to: index))
  }

  @Test func `an available index that goes back breaks a split ring`() throws {
    let pair = try Pair(.split)
    for _ in 0..<3 { try pair.offer(4, 4) }
    try pair.serve()
    pair.driver.setAvailableIndex(2)
    expectBroken(pair, .availableIndexJumped(from: 3, to: 2))
  }

  @Test(arguments: [8, 9, 0x8000, 0xffff] as [UInt16])
  func `a head that the table does not have breaks a split ring`(head: UInt16) throws {
    let pair = try Pair(.split)
    pair.driver.offer(head: head)
    expectBroken(pair, .headOutOfRange(head))
  }

  @Test func `more chains than descriptors break a split ring`() throws {
    let pair = try Pair(.split)
    pair.driver.poke(0, address: pair.request, count: 1, flags: 0, link: 0)
    for _ in 0..<8 {
      pair.driver.offer(head: 0)
      _ = try pair.take()
    }
    pair.driver.offer(head: 0)
    expectBroken(pair, .tooManyInFlight)
  }

  @Test func `a packed chain without end breaks its ring`() throws {
    let pair = try Pair(.packed)
    for index in 0..<8 {
      pair.driver.poke(index, address: pair.request, count: 1, flags: Descriptor.next | PackedFormat.available, link: 0)
    }
    expectBroken(pair, .chainLongerThanRing)
  }

  @Test func `more chains than slots break a packed ring`() throws {
    let pair = try Pair(.packed)
    for index in 0..<16 {
      let flags = index < 8 ? PackedFormat.available : PackedFormat.used
      pair.driver.poke(index % 8, address: pair.request, count: 1, flags: flags, link: 0)
      if index < 8 { _ = try pair.take() }
    }
    expectBroken(pair, .chainLongerThanRing)
  }

  @Test(arguments: Format.allCases)
  func `a driver that never takes what is used is served on, and loses only its own answers`(format: Format) throws {
    let pair = try Pair(format)
    for round in 0..<70_000 {
      switch format {
      case .split:
        pair.driver.poke(0, address: pair.request, count: 1, flags: 0, link: 0)
        pair.driver.offer(head: 0)
      case .packed:
        let flags = round / 8 % 2 == 0 ? PackedFormat.available : PackedFormat.used
        pair.driver.poke(round % 8, address: pair.request, count: 1, flags: flags, link: 0)
      }
      let served = try pair.serve()
      guard served == 1 else { throw Unserved(round: round, count: served) }
    }
    #expect(pair.queue.failure == nil && pair.queue.inFlightCount == 0)
  }

  struct Unserved: Error { let round: Int, count: Int }

  @Test func `nothing is written into a broken ring`() throws {
    let pair = try Pair(.split)
    try pair.offer()
    let chain = try pair.take()
    pair.driver.setAvailableIndex(0x7000)
    #expect(throws: VirtqueueError.self) { try pair.queue.pop(into: pair.chain) }
    pair.queue.push(chain, written: 4)
    #expect(pair.completions().isEmpty)
    #expect(!chain.isInFlight)
  }

  @Test(arguments: Format.allCases)
  func `a ring that is not in memory is refused`(format: Format) throws {
    let pair = try Pair(format)
    let good = pair.driver.configuration
    func expect(_ error: VirtqueueError, _ change: (inout VirtqueueConfiguration) -> Void) {
      var bad = good
      change(&bad)
      #expect(throws: error) { try Virtqueue(index: 0, configuration: bad, memory: pair.memory) }
    }
    for address: UInt64 in [0, 0x4fff0, 0x50000, .max - 15] {
      expect(.ringNotMapped(address: address)) { $0.addresses.descriptors = address }
    }
    expect(.ringNotMapped(address: 0x4fffe)) { $0.addresses.driver = 0x4fffe }
    expect(.ringNotMapped(address: 0x4fffe)) { $0.addresses.device = 0x4fffe }
    expect(.ringNotMapped(address: good.addresses.descriptors)) { $0.addresses.space = .user }
    expect(.misalignedRing(address: 0x20008)) { $0.addresses.descriptors = 0x20008 }
    expect(.misalignedRing(address: 0x20001)) { $0.addresses.driver = 0x20001 }
    expect(.misalignedRing(address: 0x20002)) { $0.addresses.device = 0x20002 }
  }

  @Test func `a size that no ring has is refused`() throws {
    let pair = try Pair(.split)
    for (format, sizes): (Format, [UInt32]) in [
      (.split, [0, 3, 255, 32769, 65535, 65536, .max]), (.packed, [0, 32769, .max]),
    ] {
      for size in sizes {
        var bad = pair.driver.configuration
        bad.format = format
        bad.size = size
        bad.base = VirtqueueConfiguration.initialBase(format)
        #expect(throws: VirtqueueError.invalidSize(size)) {
          try Virtqueue(index: 0, configuration: bad, memory: pair.memory)
        }
      }
    }
  }

  @Test(arguments: [0x8000_0008, 0x8008_8000, 0xffff_ffff, 0x7fff_0000] as [UInt32])
  func `a base outside a packed ring is refused`(base: UInt32) throws {
    let pair = try Pair(.packed)
    var bad = pair.driver.configuration
    bad.base = base
    #expect(throws: VirtqueueError.invalidBase(base)) {
      try Virtqueue(index: 0, configuration: bad, memory: pair.memory)
    }
  }

  @Test func `the largest rings work`() throws {
    for format in Format.allCases {
      let pair = try Pair(format, size: 32768, regions: [(GuestAddress(0x10000), 0x200000)])
      for _ in 0..<32768 { try pair.offer(0, 1) }
      #expect(try pair.serve(written: 1) == 32768)
      #expect(pair.completions().count == 32768)
      #expect(pair.driver.violations.isEmpty)
    }
  }
}
