import Glibc
import Platform
import Virtqueue

/// A virtqueue as a guest drives it, with the two ways of waiting that guests have.
final class GuestQueue {
  /// How the driver waits for answers.
  enum Waiting {
    /// In poll(2) on the call descriptor, as a guest does that halts its processor.
    case asleep
    /// Looking at the used ring again and again.
    case spinning
  }

  let ring: VirtqueueDriver

  init(_ ring: VirtqueueDriver) {
    self.ring = ring
  }

  /// Offers a request; the caller has seen to it that the ring has room.
  func add(_ slot: CommandSlots.Slot) throws(BenchError) {
    guard ring.add(readable: slot.readable, writable: slot.writable, indirect: true) != nil else {
      throw .noRoom("a request in the ring")
    }
  }

  /// Kicks, and waits until so many requests have come back.
  func complete(_ count: Int, _ waiting: Waiting = .asleep) throws(BenchError) {
    if waiting == .spinning { ring.suppressCalls() }
    ring.kick()
    var left = count - take()
    guard left > 0 else { return }
    switch waiting {
    case .asleep: while left > 0 { left -= try sleep() }
    case .spinning: try spin(&left)
    }
  }

  private func take() -> Int {
    var count = 0
    while ring.poll() != nil { count += 1 }
    return count
  }

  private func sleep() throws(BenchError) -> Int {
    if ring.enableCalls() { return take() }
    var file = pollfd(fd: ring.callBell.waiting.raw, events: Int16(POLLIN), revents: 0)
    guard poll(&file, 1, 10_000) > 0 else { throw .timedOut("no call from the device for 10 s") }
    _ = ring.wasCalled()
    return take()
  }

  private func spin(_ left: inout Int) throws(BenchError) {
    let deadline = Stopwatch.now + 10_000_000_000
    while left > 0 {
      for _ in 0..<1000 where left > 0 { left -= take() }
      guard Stopwatch.now < deadline else { throw .timedOut("nothing in the used ring for 10 s") }
    }
  }
}
