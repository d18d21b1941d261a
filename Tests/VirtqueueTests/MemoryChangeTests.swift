import Platform
import Testing

@testable import Virtqueue

/// Guest memory that changes while queues run and chains are in flight.
@Suite struct MemoryChangeTests {
  static let ring = GuestAddress(0x10000)
  static let data = GuestAddress(0x100000)

  /// The ring in one region, a buffer in another.
  func pair(_ format: Format) throws -> Pair {
    try Pair(format, regions: [(Self.ring, 0x10000), (Self.data, 0x2000)])
  }

  @Test(arguments: Format.allCases)
  func `a chain in flight finds its buffers in the new mapping`(format: Format) throws {
    let pair = try pair(format)
    try pair.arena.write([1, 2, 3], at: Self.data)
    _ = pair.driver.add(readable: [.init(Self.data, 3)], writable: [.init(GuestAddress(0x101000), 2)])
    let chain = try pair.take()
    try pair.memory.replace(with: try pair.arena.mapAgain().regions)
    #expect(chain.bytes == [1, 2, 3])
    #expect(chain.write([7, 8]) == 2)
    pair.queue.push(chain, written: 2)
    #expect(pair.arena.bytes(at: GuestAddress(0x101000), count: 2).elementsEqual([7, 8]))
  }

  @Test(arguments: Format.allCases)
  func `a chain whose memory was removed is empty and is completed all the same`(format: Format) throws {
    let pair = try pair(format)
    let token = try #require(pair.driver.add(readable: [.init(pair.request, 4)], writable: [.init(Self.data, 16)]))
    let chain = try pair.take()
    try pair.memory.remove(at: Self.data, count: 0x2000)
    #expect(chain.writableCount == 0)
    #expect(chain.readableCount == 0)
    #expect(chain.write([1]) == 0)
    #expect(chain.defect == .memoryRemoved)
    pair.queue.push(chain, written: 16)
    #expect(pair.completions() == [.init(token: token, written: 0)])
  }

  @Test(arguments: Format.allCases)
  func `a chain does not keep removed memory mapped`(format: Format) throws {
    let pair = try pair(format)
    _ = pair.driver.add(readable: [], writable: [.init(Self.data, 16)])
    let chain = try pair.take()
    weak let mapping = pair.memory.region(containing: Self.data)?.mapping
    #expect(mapping != nil)
    try pair.memory.remove(at: Self.data, count: 0x2000)
    #expect(mapping == nil)
    #expect(chain.writableCount == 0)
  }

  @Test(arguments: Format.allCases)
  func `a ring without memory waits until it is there again`(format: Format) throws {
    let pair = try pair(format)
    let regions = pair.memory.regions
    let tokens = try [pair.offer(1, 1), pair.offer(1, 1), pair.offer(1, 1)]
    let chains = try [pair.take(), pair.take()]
    try pair.memory.replace(with: [])
    #expect(try !pair.queue.pop(into: pair.chain))
    #expect(!pair.queue.enableKicks())
    pair.queue.push(chains[0], written: 1)
    pair.queue.push(chains[1], written: 1)
    pair.queue.notifyIfNeeded()
    #expect(!pair.driver.wasCalled())
    try pair.memory.replace(with: regions)
    #expect(try pair.queue.pop(into: pair.chain))
    pair.queue.push(pair.chain, written: 0)
    pair.queue.notifyIfNeeded()
    #expect(pair.driver.wasCalled())
    #expect(pair.completions().map(\.token) == tokens)
    #expect(pair.driver.violations.isEmpty)
  }

  @Test(arguments: Format.allCases)
  func `a queue that stops without memory offers everything again`(format: Format) throws {
    let pair = try pair(format)
    let regions = pair.memory.regions
    let tokens = try [pair.offer(1, 1), pair.offer(1, 1)]
    let chains = try [pair.take(), pair.take()]
    try pair.memory.replace(with: [])
    pair.queue.push(chains[1], written: 1)
    var configuration = pair.queue.configuration
    configuration.base = pair.queue.stop()
    try pair.memory.replace(with: regions)
    let next = try Virtqueue(index: 0, configuration: configuration, memory: pair.memory)
    var heads: [UInt16] = []
    while try next.pop(into: pair.chain) {
      heads.append(pair.chain.head)
      next.push(pair.chain, written: 0)
    }
    #expect(heads == tokens)
    #expect(pair.completions().map(\.token) == tokens)
  }
}
