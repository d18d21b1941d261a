import Platform
import Testing
import VhostUser
import Virtqueue

@Suite("negotiation")
struct NegotiationTests {
  @Test("the back-end offers its device's features and those of rings")
  func features() throws {
    let bench = try Bench()
    try bench.frontend.negotiate()
    #expect(bench.frontend.offeredFeatures == 1 | RingFeature.all | protocolFeaturesBit)
    #expect(bench.frontend.offeredProtocolFeatures == .all.subtracting(.sharedMemory))
    #expect(bench.device.features == 1 | RingFeature.all)
  }

  @Test("features that were not offered are masked")
  func unofferedFeatures() throws {
    let bench = try Bench()
    try bench.frontend.negotiate()
    try bench.frontend.call(.setFeatures(.max))
    #expect(bench.device.features == 1 | RingFeature.all)
  }

  @Test("memory slots can be left out of the offer, and are refused then")
  func withoutSlots() throws {
    let bench = try Bench(protocolFeatures: .all.subtracting(.configureMemorySlots))
    try bench.negotiate()
    #expect(!bench.frontend.protocolFeatures.contains(.configureMemorySlots))
    #expect(throws: (any Error).self) { try bench.frontend.word(.getMaxMemSlots) }
    try bench.startRings()
    #expect(try bench.echoes())
  }

  @Test("the number of queues and of memory slots is told")
  func numbers() throws {
    let bench = try Bench()
    try bench.frontend.negotiate()
    #expect(try bench.frontend.word(.getQueueNum) == 2)
    #expect(try bench.frontend.word(.getMaxMemSlots) >= 32)
  }

  @Test("a second SET_OWNER changes nothing")
  func secondOwner() throws {
    let bench = try Bench()
    try bench.start()
    try bench.frontend.call(.setOwner)
    #expect(try bench.echoes())
    #expect(bench.device.resets == 0)
  }

  @Test("rings work without protocol features, without acknowledgements and without event index or indirect tables")
  func poorFrontends() throws {
    let poor: [(UInt64, ProtocolFeatures)] = [
      (RingFeature.version1, []), (RingFeature.version1 | protocolFeaturesBit, []),
      (RingFeature.version1 | protocolFeaturesBit | RingFeature.eventIndex, [.replyAck]),
      (RingFeature.version1 | protocolFeaturesBit | RingFeature.indirectDescriptors, [.configuration]),
    ]
    for (features, protocolFeatures) in poor {
      let bench = try Bench()
      try bench.negotiate(features: features, protocolFeatures: protocolFeatures)
      for index in 0..<2 {
        let ring = try VirtqueueDriver(
          arena: bench.arena, size: 16, format: .split, eventIndex: features & RingFeature.eventIndex != 0)
        try bench.frontend.start(ring, index: UInt32(index))
        bench.turn(4)
        let room = try bench.arena.allocate(64)
        let token = ring.add(readable: [.init(room, 4)], writable: [.init(GuestAddress(room.rawValue + 32), 4)])
        ring.kick()
        bench.turn(4)
        #expect(ring.poll()?.token == token)
        #expect(ring.wasCalled())
      }
    }
  }

  @Test("features cannot change under a running ring")
  func changeWhileRunning() throws {
    let bench = try Bench()
    try bench.start()
    #expect(try bench.echoes())
    #expect { try bench.frontend.call(.setFeatures(protocolFeaturesBit)) } throws: {
      VhostUserError.isRefusal(of: .setFeatures, $0)
    }
    try bench.frontend.call(.setFeatures(bench.frontend.features | 1 << 26))
    #expect(try bench.echoes())
  }

  @Test("the status that was set is told")
  func status() throws {
    let bench = try Bench()
    try bench.frontend.negotiate()
    try bench.frontend.call(.setStatus(11))
    #expect(try bench.frontend.word(.getStatus) == 11)
    try bench.frontend.call(.setStatus(0))
    #expect(try bench.frontend.word(.getStatus) == 0)
  }
}
