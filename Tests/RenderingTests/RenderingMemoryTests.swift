import Buffers
import GPUDevice
import Geometry
import Platform
import Testing

@testable import Rendering

/// In a process of its own, whose limits stay.
@Suite("what the library takes", .enabled(Trial.skipped) { await Trial.isThere })
struct RenderingMemoryTests {
  @Test("over the limit a guest gets nothing more until it has given back")
  func limited() async {
    await #expect(processExitsWith: .success) { try await Self.fill() }
  }

  @LibraryThread private static func fill() throws {
    var limits = LedgerAmounts.usualLimits(hostAllocated: 4 << 30)
    limits.rendering = 128 << 20
    let guest = try RenderedGuest(limits: limits)
    let ledger = try guest.device.ledger
    try Trial.renderer?.charge(ledger, on: #require(Trial.loop))
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 0), context: 1) == .okNoData)
    // 16 MiB each.
    let made = try (1...32).prefix { id in
      guard try guest.run(.createTarget(UInt32(id), 2048, 2048)) == .okNoData else { return false }
      #expect(try guest.run(.contextAttachResource(ResourceID(rawValue: UInt32(id))), context: 1) == .okNoData)
      let commands = Drawing.target(UInt32(id)) + Drawing.clear(red: 1, green: 0, blue: 0)
      #expect(try guest.submit(commands, fence: UInt64(id)) == .okNoData)
      try measure()
      return true
    }
    #expect((7...12).contains(made.count) && ledger.totals.rendering >= limits.rendering)
    #expect(try guest.run(.createTarget(99, 1, 1)) == .outOfMemory)
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 0), context: 2) == .outOfMemory)
    for id in made { #expect(try guest.run(.resourceUnref(ResourceID(rawValue: UInt32(id)))) == .okNoData) }
    #expect(try guest.run(.contextDestroy, context: 1) == .okNoData)
    try measure()
    #expect(ledger.totals.rendering < limits.rendering)
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 0), context: 2) == .okNoData)
    #expect(try guest.run(.createTarget(99, 1, 1)) == .okNoData)
  }

  /// Waits until the measure has been taken.
  @LibraryThread private static func measure() throws {
    let end = MonotonicTime.now + .milliseconds(150)
    while MonotonicTime.now < end { try Trial.loop?.runOnce(timeout: end - .now) }
  }
}
