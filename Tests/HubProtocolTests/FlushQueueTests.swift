import Platform
import Testing

@testable import HubProtocol

@Suite struct FlushQueueTests {
  private func time(_ nanoseconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: nanoseconds) }

  @Test func `what is latched leaves in order`() {
    var queue = FlushQueue()
    for serial in 1...5 as ClosedRange<UInt64> { queue.append(serial: serial, deadline: time(Int64(serial))) }
    let first = queue.remove(through: 3)
    #expect(first)
    let again = queue.remove(through: 3)
    #expect(!again)
    #expect(queue.nextDeadline == time(4))
    let rest = queue.remove(through: 9)
    #expect(rest)
    #expect(queue.isEmpty)
  }

  @Test func `only what has waited long enough expires`() {
    var queue = FlushQueue()
    for serial in 1...5 as ClosedRange<UInt64> { queue.append(serial: serial, deadline: time(Int64(serial) * 10)) }
    let early = queue.removeExpired(at: time(9))
    #expect(early == nil)
    let expired = queue.removeExpired(at: time(30))
    #expect(expired == 3)
    #expect(queue.nextDeadline == time(40))
  }

  @Test func `a million flushes that nobody answers take no more than the capacity`() {
    var queue = FlushQueue()
    for serial in 1...1_000_000 as ClosedRange<UInt64> { queue.append(serial: serial, deadline: time(Int64(serial))) }
    let last = queue.removeExpired(at: time(Int64(FlushQueue.capacity)))
    #expect(last == 1_000_000)
    #expect(queue.isEmpty)
  }

  @Test func `the queue works on for ever in constant room`() {
    var queue = FlushQueue()
    for serial in 1...100_000 as ClosedRange<UInt64> {
      queue.append(serial: serial, deadline: time(Int64(serial)))
      if serial > 8 {
        let taken = queue.remove(through: serial - 8)
        #expect(taken)
      }
    }
    let last = queue.removeExpired(at: time(.max))
    #expect(last == 100_000)
  }
}
