import Glibc
import Testing

@testable import Platform

@Suite struct DoorbellTests {
  @Test func `a bell is silent, rings until it is drained, and rings again`() throws {
    let bell = try Doorbell()
    #expect(!bell.drain())
    for _ in 0..<3 {
      bell.ring()
      bell.ring()
      #expect(bell.drain())
      #expect(!bell.drain())
    }
  }

  @Test func `a bell that nobody drains can be rung a hundred thousand times without waiting`() throws {
    let bell = try Doorbell()
    for _ in 0..<100_000 { bell.ring() }
    #expect(bell.drain())
  }

  @Test func `a bell's own ends are what a peer may send`() throws {
    let bell = try Doorbell()
    #expect(Doorbell.canWait(for: bell.waiting.raw))
    #expect(Doorbell.canRing(bell.ringing.raw))
  }

  @Test func `a socket or a file cannot be rung`() throws {
    let pair = try UnixSocket.pair(.stream)
    let file = try SharedMemory.create(name: "test", count: 4096)
    #expect(!Doorbell.canRing(pair.first.raw))
    #expect(!Doorbell.canRing(file.raw))
    #expect(!Doorbell.canRing(-1))
  }
}
