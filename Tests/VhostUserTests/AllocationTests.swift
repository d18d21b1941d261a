import Buffers
import CAllocations
import Platform
import Testing
import VhostUser
import Virtqueue

@Suite("allocations")
struct AllocationTests {
  @Test("from the kick to the driver's interrupt nothing is allocated")
  func kick() throws {
    let bench = try Bench()
    try bench.start()
    #expect(try bench.echoes())
    var allocations: UInt64 = 0
    for round in 0..<100 {
      _ = try bench.offer([1, 2, 3, 4])
      bench.rings[0].kick()
      let before = muntin_allocations()
      try bench.loop.runOnce(timeout: .zero)
      if round >= 10 { allocations += muntin_allocations() - before }
      #expect(bench.rings[0].poll() != nil)
    }
    #expect(allocations == 0)
  }
}
