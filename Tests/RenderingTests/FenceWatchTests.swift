import GPUDevice
import Platform
import Testing

@testable import Rendering

@Suite struct FenceWatchTests {
  private let loop: EventLoop

  init() throws { loop = try EventLoop() }

  /// Lets the loop run for so long; whether the watch found that nothing is done.
  private func isHung(
    limit: Int, within milliseconds: Int, _ since: @escaping () -> MonotonicTime?
  ) throws -> Bool {
    var isHung = false
    let watch = FenceWatch(limit: .milliseconds(limit), loop: loop) { isHung = true }
    watch.waitsSince = since
    watch.began()
    let end = MonotonicTime.now + .milliseconds(milliseconds)
    while !isHung, .now < end { try loop.runOnce(timeout: end - .now) }
    return isHung
  }

  @Test func `a fence that stays the next one for too long is found`() throws {
    let start = MonotonicTime.now
    #expect(try isHung(limit: 30, within: 2000) { start })
    #expect(MonotonicTime.now - start >= .milliseconds(30))
  }

  @Test func `fences that come and go are not`() throws {
    #expect(try !isHung(limit: 30, within: 200) { .now })
  }

  @Test func `nothing is looked at any more when no fence waits`() throws {
    var looks = 0
    #expect(
      try !isHung(limit: 10, within: 100) {
        looks += 1
        return nil
      })
    #expect(looks == 1)
  }
}
