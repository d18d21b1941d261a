import Glibc
import Platform
import Testing
import VhostUser
import Virtqueue

@Suite("guest memory")
struct MemoryTests {
  private func region(_ bench: Bench, _ index: Int) -> RegionDescription {
    RegionDescription(bench.arena.regions[index])
  }

  @Test("a table and single regions serve alike", arguments: [true, false])
  func serve(asTable: Bool) throws {
    let bench = try Bench()
    try bench.frontend.negotiate(features: .max & ~RingFeature.packed)
    try bench.frontend.share(bench.arena, asTable: asTable)
    try bench.startRings()
    #expect(try bench.echoes())
    #expect(bench.device.memory?.regions.count == 2)
  }

  @Test("as many regions as there are slots can be added, one by one")
  func manyRegions() throws {
    let bench = try Bench()
    try bench.frontend.negotiate(features: .max & ~RingFeature.packed)
    let arena = try GuestArena((0..<64).map { (GuestAddress(UInt64($0) << 20), 4096) })
    try bench.frontend.share(arena)
    #expect(bench.device.memory?.regions.count == 64)
  }

  @Test("a region may begin anywhere in its file")
  func offset() throws {
    let bench = try Bench()
    try bench.frontend.negotiate()
    let file = try SharedMemory.create(name: "guest", count: 3 * 4096)
    let bytes: [UInt8] = [1, 2, 3]
    #expect(pwrite(file.raw, bytes, 3, 5000) == 3)
    let description = RegionDescription(guestAddress: 0, size: 4096, userAddress: 1 << 40, mmapOffset: 5000)
    try bench.frontend.call(.addMemReg(description), descriptors: [file.raw])
    let slice = try #require(bench.device.memory?.slice(at: GuestAddress(0), count: 4096))
    #expect(Array(slice[..<3]) == bytes)
  }

  @Test("the table can be sent again while rings run and requests are in flight")
  func tableAgain() throws {
    let bench = try Bench(protocolFeatures: .all.subtracting(.configureMemorySlots))
    try bench.start()
    bench.device.isHolding = true
    _ = try bench.offer([9, 8, 7])
    bench.rings[0].kick()
    bench.turn(4)
    for size in 1...5 {
      bench.device.isHolding = false
      _ = try bench.arena.addRegion(at: GuestAddress(UInt64(size) << 36), count: size << 16)
      try bench.frontend.share(bench.arena)
      #expect(try bench.echoes())
    }
    #expect(bench.device.held.count == 1)
  }

  @Test("an unchanged region keeps its mapping when the table is sent again")
  func sameMapping() throws {
    let bench = try Bench()
    try bench.negotiate()
    let before = try #require(bench.device.memory?.regions.first).mapping
    try bench.frontend.share(bench.arena, asTable: true)
    #expect(bench.device.memory?.regions.first?.mapping === before)
  }

  @Test("a region can be added and removed under running rings")
  func hotplug() throws {
    let bench = try Bench()
    try bench.start()
    let index = try bench.arena.addRegion(at: GuestAddress(1 << 40), count: 8192)
    let added = region(bench, index)
    try bench.frontend.call(.addMemReg(added), descriptors: [bench.arena.regions[index].file.raw])
    #expect(bench.device.memory?.slice(at: GuestAddress(1 << 40), count: 8192) != nil)
    #expect(try bench.echoes())
    try bench.frontend.call(.remMemReg(added))
    #expect(bench.device.memory?.slice(at: GuestAddress(1 << 40), count: 1) == nil)
    #expect(try bench.echoes())
    #expect { try bench.frontend.call(.remMemReg(added)) } throws: {
      VhostUserError.isRefusal(of: .remMemReg, $0)
    }
  }

  @Test("a ring whose memory is taken away waits, and goes on when it is back")
  func ringMemoryRemoved() throws {
    let bench = try Bench()
    try bench.start()
    #expect(try bench.echoes())
    let first = region(bench, 0)
    try bench.frontend.call(.remMemReg(first))
    _ = try bench.offer([4, 5, 6])
    bench.rings[0].kick()
    bench.turn(4)
    #expect(bench.rings[0].poll() == nil)
    try bench.frontend.call(.addMemReg(first), descriptors: [bench.arena.regions[0].file.raw])
    #expect(bench.waitForCompletion()?.written == 3)
  }

  @Test("REM_MEM_REG with a descriptor is accepted and the descriptor closed")
  func removalWithDescriptor() throws {
    let bench = try Bench()
    try bench.negotiate()
    let tracer = try Tracer()
    try bench.frontend.call(.remMemReg(region(bench, 1)), descriptors: [tracer.raw])
    #expect(tracer.isClosedEverywhere())
  }

  @Test("overlapping, empty and wrapping regions are refused and change nothing")
  func badRegions() throws {
    let bench = try Bench()
    try bench.start()
    let file = try SharedMemory.create(name: "guest", count: 8192)
    let bad = [
      RegionDescription(guestAddress: 4096, size: 4096, userAddress: 1 << 50, mmapOffset: 0),
      RegionDescription(guestAddress: 1 << 50, size: 0, userAddress: 1 << 50, mmapOffset: 0),
      RegionDescription(guestAddress: .max - 100, size: 4096, userAddress: 1 << 50, mmapOffset: 0),
      RegionDescription(guestAddress: 1 << 50, size: 4096, userAddress: .max - 100, mmapOffset: 0),
      RegionDescription(guestAddress: 1 << 50, size: 4096, userAddress: 1 << 50, mmapOffset: .max - 100),
      RegionDescription(guestAddress: 1 << 50, size: .max, userAddress: 1 << 50, mmapOffset: 0),
      RegionDescription(guestAddress: 1 << 50, size: 8193, userAddress: 1 << 50, mmapOffset: 0),
      RegionDescription(guestAddress: 1 << 50, size: 8192, userAddress: 1 << 50, mmapOffset: 1),
    ]
    for description in bad {
      #expect { try bench.frontend.call(.addMemReg(description), descriptors: [file.raw]) } throws: {
        VhostUserError.isRefusal(of: .addMemReg, $0)
      }
      let table = Request.setMemTable([description, description])
      #expect { try bench.frontend.call(table, descriptors: [file.raw, file.raw]) } throws: {
        VhostUserError.isRefusal(of: .setMemTable, $0)
      }
    }
    #expect(bench.device.memory?.regions.count == 2)
    #expect(try bench.echoes())
  }

  @Test("a file shorter than its region is refused with both sizes")
  func shortFile() throws {
    let bench = try Bench()
    try bench.frontend.negotiate()
    let file = try SharedMemory.create(name: "guest", count: 4096)
    let description = RegionDescription(guestAddress: 0, size: 8192, userAddress: 1 << 40, mmapOffset: 0)
    #expect(throws: (any Error).self) {
      try bench.frontend.call(.addMemReg(description), descriptors: [file.raw])
    }
    #expect(bench.recorder.refusals == [.regionBeyondFile(description, fileSize: 4096)])
  }

  @Test("what is no file cannot hold memory")
  func noFile() throws {
    let bench = try Bench()
    try bench.frontend.negotiate()
    let description = RegionDescription(guestAddress: 0, size: 4096, userAddress: 1 << 40, mmapOffset: 0)
    let pair = try UnixSocket.pair(.stream)
    let bell = try Doorbell()
    for raw in [pair.first.raw, bell.ringing.raw] {
      #expect(throws: (any Error).self) { try bench.frontend.call(.addMemReg(description), descriptors: [raw]) }
      #expect(bench.recorder.refusals.last == .regionNoFile(description))
    }
  }

  @Test("a table with too few or too many descriptors is refused, and all of them are closed")
  func tableDescriptors() throws {
    let bench = try Bench()
    try bench.negotiate()
    let tracer = try Tracer()
    let raw = bench.arena.regions[0].file.raw
    for descriptors in [[], [tracer.raw], [raw, tracer.raw], [raw, raw, tracer.raw, tracer.raw]] {
      let table = Request.setMemTable([region(bench, 0), region(bench, 1)])
      #expect { try bench.frontend.call(table, descriptors: descriptors) } throws: {
        VhostUserError.isRefusal(of: .setMemTable, $0)
      }
    }
    #expect(tracer.isClosedEverywhere())
  }

  @Test("a file truncated after mapping ends that connection, not the process")
  func truncated() throws {
    let bench = try Bench()
    let file = try unsealedFile(count: 1 << 20)
    try bench.frontend.negotiate(features: .max & ~RingFeature.packed)
    try bench.frontend.share(bench.arena)
    try bench.startRings()
    let stolen = RegionDescription(guestAddress: 1 << 40, size: 1 << 20, userAddress: 1 << 50, mmapOffset: 0)
    try bench.frontend.call(.addMemReg(stolen), descriptors: [file.raw])
    #expect(ftruncate(file.raw, 0) == 0)
    let slice = try #require(bench.device.memory?.slice(at: GuestAddress(1 << 40), count: 4096))
    #expect(slice.allSatisfy { $0 == 0 })
    #expect(bench.frontend.waitForHangup())
    #expect(bench.recorder.disconnections == [.memoryFault])

    try bench.reconnect()
    try bench.start()
    #expect(try bench.echoes())
  }

  @Test("a ring in a file that is truncated ends the connection, not the process")
  func truncatedRing() throws {
    let bench = try Bench()
    try bench.frontend.negotiate(features: .max & ~RingFeature.packed)
    let file = try unsealedFile(count: 1 << 16)
    let memory = RegionDescription(guestAddress: 0, size: 1 << 16, userAddress: 1 << 40, mmapOffset: 0)
    try bench.frontend.call(.setMemTable([memory]), descriptors: [file.raw])
    let kick = try Doorbell()
    let which = VringDescriptor(index: 0, hasDescriptor: true)
    try bench.frontend.call(.setVringNum(VringState(index: 0, num: 16)))
    try bench.frontend.call(
      .setVringAddr(
        VringAddress(index: 0, descriptor: 1 << 40, used: (1 << 40) + 8192, available: (1 << 40) + 4096)))
    try bench.frontend.call(.setVringKick(which), descriptors: [kick.waiting.raw])
    try bench.frontend.call(.setVringEnable(VringState(index: 0, num: 1)))
    kick.ring()
    bench.turn(4)
    #expect(bench.device.running == [0])
    #expect(ftruncate(file.raw, 0) == 0)
    kick.ring()
    #expect(bench.frontend.waitForHangup())
    #expect(bench.recorder.disconnections == [.memoryFault])
    #expect(bench.device.running.isEmpty)
  }
}
