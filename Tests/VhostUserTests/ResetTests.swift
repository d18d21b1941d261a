import Platform
import Testing
import VhostUser
import Virtqueue

@Suite("reset, pause and resume")
struct ResetTests {
  private func stopAll(_ bench: Bench) throws -> [UInt32] {
    try (0..<2).map { try bench.frontend.stop(index: UInt32($0)) }
  }

  private func resume(_ bench: Bench, _ bases: [UInt32]) throws {
    for index in 0..<2 { try bench.frontend.start(bench.rings[index], index: UInt32(index), base: bases[index]) }
  }

  private static let formats: [VirtqueueConfiguration.Format] = [.split, .packed]

  @Test("rings that go on where they stopped are a paused machine's", arguments: formats)
  func pause(format: VirtqueueConfiguration.Format) throws {
    let bench = try Bench()
    try bench.start(format: format)
    for round in 0..<40 {
      #expect(try bench.echoes())
      if round % 3 == 0 { #expect(try bench.echoes(ring: 1)) }
      let bases = try stopAll(bench)
      // QEMU may write status 0 when it only pauses.
      try bench.frontend.call(.setStatus(0))
      try bench.frontend.call(.setFeatures(bench.frontend.features))
      try resume(bench, bases)
      #expect(try bench.echoes())
    }
    #expect(bench.device.resets == 0)
  }

  @Test("rings that begin anew are a new driver's: one reset, features and memory stay", arguments: formats)
  func newDriver(format: VirtqueueConfiguration.Format) throws {
    let bench = try Bench()
    try bench.start(format: format)
    for round in 1...3 {
      #expect(try bench.echoes())
      #expect(try bench.echoes(ring: 1))
      _ = try stopAll(bench)
      try bench.frontend.call(.setFeatures(bench.frontend.features))
      try bench.startRings(format: format)
      #expect(try bench.echoes())
      #expect(bench.device.resets == round)
      #expect(bench.device.features == bench.frontend.features & ~protocolFeaturesBit)
    }
  }

  @Test("a new driver is known by its look at configuration space when the old rings had just wrapped")
  func wrapped() throws {
    let bench = try Bench()
    try bench.start(format: .packed)
    for _ in 0..<32 { #expect(try bench.echoes()) }
    let bases = try stopAll(bench)
    #expect(bases == [0x8000_8000, 0x8000_8000])
    _ = try bench.frontend.readConfiguration(offset: 0, size: 16)
    try bench.startRings(format: .packed)
    #expect(try bench.echoes())
    #expect(bench.device.resets == 1)
  }

  @Test("a paused machine whose rings had just wrapped keeps its resources")
  func wrappedPause() throws {
    let bench = try Bench()
    try bench.start(format: .packed)
    for _ in 0..<32 { #expect(try bench.echoes()) }
    let bases = try stopAll(bench)
    try resume(bench, bases)
    #expect(try bench.echoes())
    #expect(bench.device.resets == 0)
  }

  @Test("status 0 while rings run is a reset at once")
  func statusZero() throws {
    let bench = try Bench()
    try bench.start()
    #expect(try bench.echoes())
    try bench.frontend.call(.setStatus(0))
    #expect(bench.device.resets == 1)
    #expect(bench.device.running.isEmpty)
    try bench.startRings()
    #expect(try bench.echoes())
  }

  @Test("RESET_DEVICE resets, disables the rings and keeps the memory")
  func resetDevice() throws {
    let bench = try Bench()
    try bench.start()
    #expect(try bench.echoes())
    try bench.frontend.call(.resetDevice)
    #expect(bench.device.resets == 1)
    #expect(bench.device.running.isEmpty)
    try bench.startRings()
    #expect(try bench.echoes())
    #expect(bench.device.resets == 1)
    #expect(bench.device.memory?.regions.count == 2)
  }

  @Test("requests held back by the device are gone after a reset, and it never completes them")
  func heldRequests() throws {
    let bench = try Bench()
    try bench.start()
    bench.device.isHolding = true
    _ = try bench.offer([1, 2])
    bench.rings[0].kick()
    bench.turn(4)
    #expect(bench.device.held.count == 1)
    try bench.frontend.call(.resetDevice)
    #expect(bench.device.held.isEmpty)
    #expect(bench.rings[0].poll() == nil)
  }
}
