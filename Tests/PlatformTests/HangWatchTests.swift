import Glibc
import Testing

@testable import Platform

/// In processes of their own, which may be ended.
@Suite struct HangWatchTests {
  @Test func `a turn of a loop that takes too long ends the process, with its last words`() async throws {
    let result = try await #require(
      processExitsWith: .exitCode(HangWatch.exitStatus), observing: [\.standardErrorContent]
    ) {
      let loop = try EventLoop()
      loop.hangWatch = try HangWatch(limit: .milliseconds(50), words: "never comes back")
      loop.schedule(after: .milliseconds(20)) { while true { usleep(1000) } }
      try loop.run()
    }
    #expect(String(decoding: result.standardErrorContent, as: UTF8.self).hasSuffix("never comes back\n"))
  }

  @Test func `many turns that take longer together, and rest, do not`() async {
    await #expect(processExitsWith: .success) {
      let loop = try EventLoop()
      loop.hangWatch = try HangWatch(limit: .milliseconds(100), words: "hangs")
      let end = MonotonicTime.now + .milliseconds(400)
      func turn() {
        usleep(5000)
        if MonotonicTime.now < end { loop.afterEvents(turn) } else { loop.stop() }
      }
      turn()
      try loop.run()
      try loop.runOnce(timeout: .milliseconds(300))
      exit(EXIT_SUCCESS)
    }
  }

  @Test func `a turn after a rest is watched again`() async {
    await #expect(processExitsWith: .exitCode(HangWatch.exitStatus)) {
      let loop = try EventLoop()
      loop.hangWatch = try HangWatch(limit: .milliseconds(30), words: "hangs")
      loop.afterEvents {}
      try loop.runOnce(timeout: .milliseconds(200))
      loop.schedule(after: .milliseconds(100)) { while true { usleep(1000) } }
      try loop.run()
    }
  }

  @Test func `there is one to a process`() async {
    await #expect(processExitsWith: .exitCode(3)) {
      _ = try HangWatch(limit: .seconds(1), words: "hangs")
      let second = #expect(throws: SystemError.self) { try HangWatch(limit: .seconds(1), words: "hangs") }
      exit(second?.code == EBUSY ? 3 : 4)
    }
  }
}
