import Platform
import Testing
import VhostUser
import Virtqueue

@Suite("configuration space")
struct ConfigurationTests {
  @Test("the whole and a part of it can be read")
  func read() throws {
    let bench = try Bench()
    try bench.frontend.negotiate()
    #expect(try bench.frontend.readConfiguration(offset: 0, size: 16) == Array(0..<16))
    #expect(try bench.frontend.readConfiguration(offset: 8, size: 4) == [8, 9, 10, 11])
  }

  @Test("bytes behind the device's are zero")
  func readBeyond() throws {
    let bench = try Bench()
    try bench.frontend.negotiate()
    #expect(try bench.frontend.readConfiguration(offset: 14, size: 4) == [14, 15, 0, 0])
    #expect(try bench.frontend.readConfiguration(offset: 0, size: 256).count == 256)
    #expect(try bench.frontend.readConfiguration(offset: 100, size: 4) == [0, 0, 0, 0])
  }

  @Test("writes reach the device, and what is behind it goes nowhere")
  func write() throws {
    let bench = try Bench()
    try bench.frontend.negotiate()
    try bench.frontend.writeConfiguration(offset: 4, [40, 50])
    try bench.frontend.writeConfiguration(offset: 14, [1, 2, 3, 4])
    #expect(bench.device.configuration == [0, 1, 2, 3, 40, 50, 6, 7, 8, 9, 10, 11, 12, 13, 1, 2])
  }

  @Test("offset and size that wrap or pass the limit are refused with an empty answer")
  func overflow() throws {
    let bench = try Bench()
    try bench.frontend.negotiate()
    for (offset, size): (UInt32, UInt32) in [(0xffff_fff0, 32), (0, 257), (256, 1), (1, .max), (.max, .max)] {
      #expect(throws: VhostUserError.refused(.getConfig, 0)) {
        try bench.frontend.readConfiguration(offset: offset, size: size)
      }
      #expect(bench.recorder.refusals.last == .configurationRange(offset: offset, size: size))
    }
    #expect(try bench.frontend.readConfiguration(offset: 0, size: 1) == [0])
  }

  @Test("a change is announced once rings run, and acknowledged ones follow each other")
  func change() throws {
    let bench = try Bench()
    try bench.negotiate()
    try bench.frontend.openBackendChannel()
    bench.backend.configurationChanged()
    bench.frontend.timeLimit = .milliseconds(20)
    #expect(throws: VhostUserError.timeout) { try bench.frontend.nextBackendRequest() }
    try bench.startRings()
    #expect(try bench.echoes())
    #expect(try bench.frontend.nextBackendRequest() == BackendRequestCode.configChange.rawValue)
    bench.turn(2)
    bench.backend.configurationChanged()
    #expect(try bench.frontend.nextBackendRequest() == BackendRequestCode.configChange.rawValue)
  }

  @Test("changes while the front-end is busy are announced once")
  func coalesced() throws {
    let bench = try Bench()
    try bench.start()
    try bench.frontend.openBackendChannel()
    #expect(try bench.echoes())
    for _ in 0..<100_000 { bench.backend.configurationChanged() }
    _ = try bench.frontend.nextBackendRequest()
    bench.turn(2)
    _ = try bench.frontend.nextBackendRequest()
    bench.turn(2)
    bench.frontend.timeLimit = .milliseconds(20)
    #expect(throws: VhostUserError.timeout) { try bench.frontend.nextBackendRequest() }
  }

  @Test("a front-end that refuses changes is heard, and nothing else happens")
  func refused() throws {
    let bench = try Bench()
    try bench.start()
    try bench.frontend.openBackendChannel()
    #expect(try bench.echoes())
    bench.backend.configurationChanged()
    _ = try bench.frontend.nextBackendRequest(answer: 1)
    bench.turn(2)
    #expect(bench.recorder.refusedBackendRequests == [1])
    #expect(try bench.echoes())
  }

  @Test("without acknowledgements, and with nobody reading, announcing never blocks")
  func neverBlocks() throws {
    let bench = try Bench()
    try bench.negotiate(protocolFeatures: .all.subtracting(.replyAck))
    try bench.frontend.openBackendChannel()
    try bench.startRings()
    #expect(try bench.echoes())
    for _ in 0..<1_000_000 { bench.backend.configurationChanged() }
    #expect(try bench.echoes())
  }
}
