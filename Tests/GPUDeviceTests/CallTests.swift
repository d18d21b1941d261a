import Buffers
import GPUDevice
import Glibc
import Testing
import Virtqueue

@Suite("When the driver is called") struct CallTests {
  /// How many answers the driver has not been called for, as each flush of a batch is handled.
  private func calls(whileHandling count: Int, _ format: VirtqueueConfiguration.Format) throws -> [Int] {
    let guest = try Guest(format)
    try guest.picture(1)
    #expect(try guest.show(1) == .okNoData)
    _ = guest.control.wasCalled()
    _ = guest.control.enableCalls()
    var calledAt: [Int] = []
    guest.sink.whenFlushed = { _ in
      if guest.control.wasCalled() { calledAt.append(guest.sink.flushes.count - 1) }
    }
    for _ in 0..<count { _ = try guest.post(FlushTests.flush) }
    guest.kick()
    if guest.control.wasCalled() { calledAt.append(guest.sink.flushes.count) }
    #expect(guest.completed().count == count)
    return calledAt
  }

  @Test(
    "a driver that sleeps is called while the rest of a long batch is done, and once",
    arguments: [
      VirtqueueConfiguration.Format.split, .packed,
    ])
  func early(_ format: VirtqueueConfiguration.Format) throws {
    #expect(try calls(whileHandling: 40, format) == [8])
  }

  @Test("a short batch is one call, at its end", arguments: [VirtqueueConfiguration.Format.split, .packed])
  func late(_ format: VirtqueueConfiguration.Format) throws {
    #expect(try calls(whileHandling: 7, format) == [7])
  }

  @Test("a driver that asks again meanwhile is called again at the end")
  func again() throws {
    let guest = try Guest()
    try guest.picture(1)
    #expect(try guest.show(1) == .okNoData)
    _ = guest.control.wasCalled()
    _ = guest.control.enableCalls()
    var taken = 0
    guest.sink.whenFlushed = { _ in
      guard guest.control.wasCalled() else { return }
      taken += guest.completed().count
      _ = guest.control.enableCalls()
    }
    for _ in 0..<20 { _ = try guest.post(FlushTests.flush) }
    guest.kick()
    #expect(taken == 8)
    #expect(guest.control.wasCalled())
    #expect(guest.completed().count == 12)
  }
}
