import Glibc
import Testing

@testable import Platform

@Suite struct SignalTests {
  @Test func `signals are handled in the loop, each kind`() throws {
    let loop = try EventLoop()
    var seen: [Int32] = []
    try loop.onSignals([SIGUSR1, SIGUSR2]) { seen.append($0) }
    for signal in [SIGUSR1, SIGUSR2] {
      #expect(raise(signal) == 0)
      try loop.runOnce(timeout: .seconds(1))
    }
    #expect(seen == [SIGUSR1, SIGUSR2])
  }
}
