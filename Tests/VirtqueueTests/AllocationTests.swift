import CAllocations
import Testing

@testable import Virtqueue

/// A request costs no allocation once the queue is warm.
@Suite(.enabled(if: muntin_counts_allocations(), "a sanitizer has its own malloc")) struct AllocationTests {
  @Test(arguments: Format.allCases)
  func `requests in a row allocate nothing`(format: Format) throws {
    let pair = try Pair(format, size: 64)
    let readable = (0..<3).map { _ in VirtqueueDriver.Buffer(pair.request, 100) }
    let writable = [VirtqueueDriver.Buffer(pair.response, 24), .init(pair.response, 400)]
    var copy = [UInt8](repeating: 0, count: 300)
    let chains = [DescriptorChain(), DescriptorChain(), DescriptorChain()]

    // No loop over an array here: in a debug build its iterator allocates.
    func round() throws {
      pair.queue.suppressKicks()
      var count = 0
      while count < 3, try pair.queue.pop(into: chains[count]) {
        _ = copy.withUnsafeMutableBytes { chains[count].read(into: $0) }
        _ = copy.withUnsafeBytes { chains[count].write($0, at: 10) }
        var bytes = 0
        chains[count].forEachReadable(from: 20) { bytes += $0.count }
        count += 1
      }
      while count > 0 {
        count -= 1
        pair.queue.push(chains[count], written: 24)
      }
      _ = pair.queue.enableKicks()
      pair.queue.notifyIfNeeded()
    }

    var allocations: UInt64 = 0
    for index in 0..<200 {
      for _ in 0..<3 {
        try #require(pair.driver.add(readable: readable, writable: writable, indirect: index % 2 == 0) != nil)
      }
      let before = muntin_allocations()
      try round()
      if index >= 10 { allocations += muntin_allocations() - before }
      #expect(pair.completions().count == 3)
    }
    #expect(allocations == 0)
  }

  @Test func `the counter counts`() {
    let before = muntin_allocations()
    let array = [Int](repeating: 1, count: 1000)
    #expect(muntin_allocations() > before)
    #expect(array.count == 1000)
  }
}
