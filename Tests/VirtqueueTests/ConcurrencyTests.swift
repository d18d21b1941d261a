import Glibc
import Platform
import TestSupport
import Testing

@testable import Virtqueue

/// Guest and device at the same time, each asleep whenever it may be: a barrier that is missing shows as a wake-up that
/// never comes.
@Suite(.serialized) struct ConcurrencyTests {
  @Test(arguments: Format.allCases, [true, false])
  func `two threads that sleep between requests never lose a wake-up`(format: Format, eventIndex: Bool) throws {
    let pair = try Pair(format, size: 16, eventIndex: eventIndex)
    let device = DeviceThread(queue: pair.queue, doorbell: pair.driver.kickBell, total: 30_000)
    let thread = try start(device)
    var random = SplitMix(seed: 1)
    var offered = 0
    var completed = 0
    while completed < device.total {
      let batch = min(random.below(8) + 1, device.total - offered)
      for _ in 0..<batch where pair.driver.add(readable: [.init(pair.request, 8)], writable: []) != nil { offered += 1 }
      pair.driver.kick()
      if offered < device.total, offered - completed < 12, random.chance(50) { continue }
      pair.driver.suppressCalls()
      repeat {
        while pair.driver.poll() != nil { completed += 1 }
      } while pair.driver.enableCalls()
      guard completed < offered || offered < device.total else { break }
      guard completed == offered || sleep(until: pair.driver.callBell) else {
        Issue.record("no call for 5 s: \(completed) of \(offered) seen, \(device.served) served")
        break
      }
    }
    device.isOver = true
    pair.driver.kickBell.ring()
    pthread_join(thread, nil)
    #expect(!device.overslept)
    #expect(completed == device.total)
    #expect(pair.driver.violations.isEmpty)
  }

  private func start(_ device: DeviceThread) throws -> pthread_t {
    var thread = pthread_t()
    let context = Unmanaged.passRetained(device).toOpaque()
    let result = pthread_create(
      &thread, nil,
      { context in
        if let context { Unmanaged<DeviceThread>.fromOpaque(context).takeRetainedValue().run() }
        return nil
      }, context)
    try #require(result == 0)
    return thread
  }
}

/// A device that serves one queue, kicked by its doorbell only.
private final class DeviceThread {
  let queue: Virtqueue
  let doorbell: Doorbell
  let total: Int
  private(set) var served = 0
  private(set) var overslept = false
  /// Set before the last ring of the doorbell, which orders it.
  nonisolated(unsafe) var isOver = false

  init(queue: Virtqueue, doorbell: Doorbell, total: Int) {
    self.queue = queue
    self.doorbell = doorbell
    self.total = total
  }

  func run() {
    let chain = DescriptorChain()
    repeat {
      queue.suppressKicks()
      repeat {
        while (try? queue.pop(into: chain)) == true {
          queue.push(chain, written: 0)
          served += 1
        }
      } while queue.enableKicks()
      queue.notifyIfNeeded()
      guard sleep(until: doorbell) else {
        overslept = true
        return
      }
    } while !isOver
  }
}

/// Sleeps until the doorbell rings; false when it does not for 5 s.
private func sleep(until doorbell: Doorbell) -> Bool {
  var entry = pollfd(fd: doorbell.waiting.raw, events: Int16(POLLIN), revents: 0)
  while poll(&entry, 1, 5000) < 0 {}
  return doorbell.drain()
}
