import Glibc
import Platform
import Testing
import VhostUser
import Virtqueue

@Suite("rings")
struct RingTests {
  @Test("requests are answered on both rings", arguments: [VirtqueueConfiguration.Format.split, .packed])
  func echo(format: VirtqueueConfiguration.Format) throws {
    let bench = try Bench()
    try bench.start(format: format)
    for round in 0..<100 {
      #expect(try bench.echoes([UInt8(round), 1, 2], ring: round % 2))
    }
    #expect(bench.rings.allSatisfy { $0.violations.isEmpty })
  }

  @Test("a ring that was not kicked, or is not enabled, is left alone")
  func notStarted() throws {
    let bench = try Bench()
    try bench.start()
    bench.turn(4)
    #expect(bench.device.running.isEmpty)
    _ = try bench.offer([1])
    try bench.frontend.call(.setVringEnable(VringState(index: 0, num: 0)))
    bench.rings[0].kick()
    bench.turn(4)
    #expect(bench.rings[0].poll() == nil)
    try bench.frontend.call(.setVringEnable(VringState(index: 0, num: 1)))
    #expect(bench.waitForCompletion() != nil)
  }

  @Test("a ring that is disabled for a while goes on where it was")
  func disabled() throws {
    let bench = try Bench()
    try bench.start()
    #expect(try bench.echoes())
    try bench.frontend.call(.setVringEnable(VringState(index: 0, num: 0)))
    _ = try bench.offer([1, 2])
    bench.rings[0].kick()
    bench.turn(4)
    #expect(bench.rings[0].poll() == nil)
    try bench.frontend.call(.setVringEnable(VringState(index: 0, num: 1)))
    #expect(bench.waitForCompletion()?.written == 2)
    #expect(bench.device.resets == 0)
  }

  @Test("a kick before SET_VRING_CALL and _ENABLE is not lost, and its answer is announced")
  func earlyKick() throws {
    let bench = try Bench()
    try bench.negotiate()
    let ring = try VirtqueueDriver(arena: bench.arena, size: 16, format: .split)
    let addresses = ring.userAddresses
    let which = VringDescriptor(index: 0, hasDescriptor: true)
    let room = try bench.arena.allocate(64)
    let token = ring.add(readable: [.init(room, 4)], writable: [.init(GuestAddress(room.rawValue + 32), 4)])
    try bench.frontend.call(.setVringKick(which), descriptors: [ring.kickBell.waiting.raw])
    ring.kick()
    bench.turn(4)
    try bench.frontend.call(.setVringNum(VringState(index: 0, num: 16)))
    try bench.frontend.call(.setVringBase(VringState(index: 0, num: 0)))
    try bench.frontend.call(.setVringEnable(VringState(index: 0, num: 1)))
    try bench.frontend.call(
      .setVringAddr(
        VringAddress(
          index: 0, descriptor: addresses.descriptors, used: addresses.device, available: addresses.driver)))
    bench.turn(4)
    #expect(ring.poll()?.token == token)
    #expect(!ring.wasCalled())
    try bench.frontend.call(.setVringCall(which), descriptors: [ring.callBell.ringing.raw])
    bench.turn(2)
    #expect(ring.wasCalled())
  }

  @Test("a stopped ring is not touched, and its old kick descriptor means nothing")
  func stopped() throws {
    let bench = try Bench()
    try bench.start()
    #expect(try bench.echoes())
    let base = try bench.frontend.stop(index: 0)
    #expect(base == 1)
    _ = try bench.offer([1, 2, 3])
    bench.rings[0].kickBell.ring()
    bench.turn(4)
    #expect(bench.rings[0].poll() == nil)
    try bench.frontend.start(bench.rings[0], index: 0, base: base)
    #expect(bench.waitForCompletion()?.written == 3)
  }

  @Test("requests in flight when a ring stops are done after it resumes")
  func inFlight() throws {
    let bench = try Bench()
    try bench.start()
    bench.device.isHolding = true
    for byte: UInt8 in 0..<4 { _ = try bench.offer([byte]) }
    bench.rings[0].kick()
    bench.turn(4)
    #expect(bench.device.held.count == 4)
    let base = try bench.frontend.stop(index: 0)
    #expect(base == 0)
    bench.turn(4)
    #expect(bench.rings[0].poll() == nil)
    bench.device.isHolding = false
    try bench.frontend.start(bench.rings[0], index: 0, base: base)
    for _ in 0..<4 { #expect(bench.waitForCompletion() != nil) }
    #expect(bench.device.resets == 0)
  }

  @Test("a ring without a kick descriptor is polled")
  func polled() throws {
    let bench = try Bench()
    try bench.start()
    try bench.frontend.call(.setVringKick(VringDescriptor(index: 0, hasDescriptor: false)))
    _ = try bench.offer([1, 2, 3, 4, 5])
    #expect(bench.waitForCompletion()?.written == 5)
    _ = try bench.offer([1, 2])
    #expect(bench.waitForCompletion()?.written == 2)
  }

  @Test("a ring without a call descriptor is served in silence")
  func silent() throws {
    let bench = try Bench()
    try bench.start()
    try bench.frontend.call(.setVringCall(VringDescriptor(index: 0, hasDescriptor: false)))
    #expect(try bench.echoes())
    #expect(!bench.rings[0].wasCalled())
  }

  @Test("sizes that no ring can have are refused", arguments: [0, 3, 65535, 65536, .max] as [UInt32])
  func sizes(_ size: UInt32) throws {
    let bench = try Bench()
    try bench.negotiate()
    #expect { try bench.frontend.call(.setVringNum(VringState(index: 0, num: size))) } throws: {
      VhostUserError.isRefusal(of: .setVringNum, $0)
    }
    #expect(bench.recorder.refusals == [.ringSize(size)])
  }

  @Test("a packed ring need not be a power of two")
  func packedSize() throws {
    let bench = try Bench()
    try bench.negotiate(features: .max)
    try bench.startRings(1, size: 12, format: .packed)
    for _ in 0..<30 { #expect(try bench.echoes()) }
  }

  @Test("rings that the device does not have are refused")
  func unknownRing() throws {
    let bench = try Bench()
    try bench.negotiate()
    let state = VringState(index: 2, num: 16)
    let which = VringDescriptor(index: 255, hasDescriptor: true)
    let bell = try Doorbell()
    for request in [Request.setVringNum(state), .setVringBase(state), .setVringEnable(state)] {
      #expect(throws: (any Error).self) { try bench.frontend.call(request) }
    }
    for request in [Request.setVringKick(which), .setVringCall(which), .setVringErr(which)] {
      #expect(throws: (any Error).self) { try bench.frontend.call(request, descriptors: [bell.ringing.raw]) }
    }
    #expect(throws: (any Error).self) {
      try bench.frontend.call(.setVringAddr(VringAddress(index: .max, descriptor: 0, used: 0, available: 0)))
    }
    #expect(throws: VhostUserError.unexpectedReply(request: 11)) { try bench.frontend.word(.getVringBase(state)) }
    try bench.startRings()
    #expect(try bench.echoes())
  }

  @Test("a running ring cannot be set up anew, but may be told the same address")
  func running() throws {
    let bench = try Bench()
    try bench.start()
    #expect(try bench.echoes())
    #expect(throws: (any Error).self) { try bench.frontend.call(.setVringNum(VringState(index: 0, num: 8))) }
    #expect(throws: (any Error).self) { try bench.frontend.call(.setVringBase(VringState(index: 0, num: 8))) }
    let addresses = bench.rings[0].userAddresses
    var address = VringAddress(
      index: 0, flags: 1, descriptor: addresses.descriptors, used: addresses.device, available: addresses.driver)
    try bench.frontend.call(.setVringAddr(address))
    address.descriptor += 16
    #expect(throws: (any Error).self) { try bench.frontend.call(.setVringAddr(address)) }
    #expect(try bench.echoes())
  }

  @Test("a ring at an address that is no memory fails alone and can be set up again")
  func badAddress() throws {
    let bench = try Bench()
    try bench.start()
    let failures = try Doorbell()
    let which = VringDescriptor(index: 1, hasDescriptor: true)
    try bench.frontend.call(.setVringErr(which), descriptors: [failures.ringing.raw])
    try bench.frontend.call(.setVringAddr(VringAddress(index: 1, descriptor: 1 << 60, used: 16, available: 16)))
    bench.rings[1].kick()
    bench.rings[1].kickBell.ring()
    bench.turn(4)
    #expect(failures.drain())
    #expect(bench.device.running.isEmpty)
    #expect(try bench.echoes())
    try bench.frontend.start(bench.rings[1], index: 1)
    #expect(try bench.echoes(ring: 1))
  }

  @Test("a broken ring is reported by its error descriptor, once, and the other one works on")
  func brokenRing() throws {
    let bench = try Bench()
    try bench.start()
    let failures = try Doorbell()
    try bench.frontend.call(
      .setVringErr(VringDescriptor(index: 0, hasDescriptor: true)), descriptors: [failures.ringing.raw])
    #expect(try bench.echoes())
    bench.rings[0].setAvailableIndex(5000)
    bench.rings[0].kickBell.ring()
    bench.turn(4)
    #expect(failures.drain())
    bench.rings[0].kickBell.ring()
    bench.turn(4)
    #expect(!failures.drain())
    #expect(try bench.echoes(ring: 1))
    _ = try bench.frontend.stop(index: 0)
    try bench.rings[0].reset()
    try bench.frontend.start(bench.rings[0], index: 0)
    #expect(try bench.echoes())
  }

  @Test("a kick that can never be waited for is refused")
  func noDoorbell() throws {
    let bench = try Bench()
    try bench.start()
    let file = try SharedMemory.create(name: "no bell", count: 4096)
    #expect {
      try bench.frontend.call(.setVringKick(VringDescriptor(index: 0, hasDescriptor: true)), descriptors: [file.raw])
    } throws: { VhostUserError.isRefusal(of: .setVringKick, $0) }
    try bench.frontend.start(bench.rings[0], index: 0)
    #expect(try bench.echoes())
  }

  @Test("a kick that always rings, or has hung up, does not keep the loop busy")
  func endlessBell() throws {
    let bench = try Bench()
    try bench.start()
    let random = open("/dev/urandom", O_RDONLY)
    defer { close(random) }
    var pipe: [Int32] = [-1, -1]
    #expect(Glibc.pipe(&pipe) == 0)
    close(pipe[1])
    defer { close(pipe[0]) }
    try? bench.frontend.call(
      .setVringKick(VringDescriptor(index: 0, hasDescriptor: true)), descriptors: [random])
    try bench.frontend.call(
      .setVringKick(VringDescriptor(index: 1, hasDescriptor: true)), descriptors: [pipe[0]])
    bench.turn(10)
    let start = MonotonicTime.now
    try bench.loop.runOnce(timeout: .milliseconds(30))
    #expect(MonotonicTime.now - start >= .milliseconds(25))
  }

  @Test("a call that is full, and blocks, does not hold the back-end")
  func fullCall() throws {
    let bench = try Bench()
    try bench.start()
    let bell = try Doorbell()
    var full = UInt64.max - 1
    while write(bell.ringing.raw, &full, 8) == 8 {}
    #expect(errno == EAGAIN)
    try UnixSocket.setNonBlocking(bell.ringing.raw, false)
    try bench.frontend.call(
      .setVringCall(VringDescriptor(index: 0, hasDescriptor: true)), descriptors: [bell.ringing.raw])
    #expect(try bench.echoes())
  }

  @Test("a call or error descriptor that is no doorbell is refused: it could block or break")
  func noBell() throws {
    let bench = try Bench()
    try bench.start()
    let pair = try UnixSocket.pair(.stream)
    try bench.refusesBells([pair.first.raw, bench.arena.regions[0].file.raw])
    #expect(try bench.echoes())
  }
}

extension Bench {
  /// Expects that none of these may be a call or an error descriptor.
  func refusesBells(_ descriptors: [Int32]) throws {
    let which = VringDescriptor(index: 0, hasDescriptor: true)
    for request in [Request.setVringCall(which), .setVringErr(which)] {
      for raw in descriptors {
        #expect { try frontend.call(request, descriptors: [raw]) } throws: {
          VhostUserError.isRefusal(of: request.code, $0)
        }
        #expect(recorder.refusals.last == .noDoorbell(request.code))
      }
    }
  }
}
