import Glibc
import Platform
import Testing
import VhostUser

@Suite("doorbells that are pipes") struct PipeTests {
  @Test("the wrong end of a pipe is refused")
  func wrongEnd() throws {
    let bench = try Bench()
    try bench.start()
    let bell = try Doorbell()
    try bench.refusesBells([bell.waiting.raw])
    let kick = Request.setVringKick(VringDescriptor(index: 0, hasDescriptor: true))
    #expect { try bench.frontend.call(kick, descriptors: [bell.ringing.raw]) } throws: {
      VhostUserError.isRefusal(of: .setVringKick, $0)
    }
    #expect(bench.recorder.refusals.last == .noDoorbell(.setVringKick))
    try bench.frontend.start(bench.rings[0], index: 0)
    #expect(try bench.echoes())
  }

  @Test("a kick that may never be empty is refused")
  func endless() throws {
    let bench = try Bench()
    try bench.start()
    let random = FileDescriptor(adopting: open("/dev/urandom", O_RDONLY | O_CLOEXEC))
    let kick = Request.setVringKick(VringDescriptor(index: 0, hasDescriptor: true))
    #expect { try bench.frontend.call(kick, descriptors: [random.raw]) } throws: {
      VhostUserError.isRefusal(of: .setVringKick, $0)
    }
  }

  @Test("a driver that waits no more is served in silence, and the process lives")
  func brokenCall() throws {
    let bench = try Bench()
    try bench.start()
    var ends: [Int32] = [-1, -1]
    try #require(pipe(&ends) == 0)
    try bench.frontend.call(
      .setVringCall(VringDescriptor(index: 0, hasDescriptor: true)), descriptors: [ends[1]])
    closeAll(ends)
    #expect(try bench.echoes())
    #expect(try bench.echoes())
  }

  @Test("bytes of any number in a kick are one kick")
  func manyBytes() throws {
    let bench = try Bench()
    try bench.start()
    var ends: [Int32] = [-1, -1]
    try #require(pipe(&ends) == 0)
    defer { closeAll(ends) }
    try bench.frontend.call(
      .setVringKick(VringDescriptor(index: 0, hasDescriptor: true)), descriptors: [ends[0]])
    let bytes = [UInt8](repeating: 1, count: 30_000)
    #expect(write(ends[1], bytes, bytes.count) == bytes.count)
    #expect(try bench.echoes())
    #expect(!Doorbell.drain(ends[0]))
  }
}
