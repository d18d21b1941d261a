import Glibc
import Platform
import Testing
import VhostUser
import Virtqueue

@Suite("hostile messages")
struct FramingTests {
  /// Requests that do no harm to a set-up that is never started.
  static let harmless = MessageTests.samples.filter { $0.descriptorCount == 0 }

  @Test("a message that comes byte by byte is one message")
  func bytewise() throws {
    let bench = try Bench()
    for byte in message(RequestCode.getFeatures.rawValue) {
      try bench.frontend.send(bytes: [byte])
      bench.turn()
    }
    #expect(try bench.frontend.receiveWord(.getFeatures) != 0)
  }

  @Test("several messages in one piece are answered one by one")
  func together() throws {
    let bench = try Bench()
    let one = message(RequestCode.getFeatures.rawValue)
    try bench.frontend.send(bytes: Array(repeating: one, count: 200).flatMap(\.self))
    for _ in 0..<200 { #expect(try bench.frontend.receiveWord(.getFeatures) != 0) }
  }

  @Test("NEED_REPLY on any request gets exactly one answer", arguments: harmless)
  func needReply(_ request: Request) throws {
    let bench = try Bench()
    try bench.frontend.send(request, needReply: true)
    try bench.frontend.send(.getProtocolFeatures)
    bench.turn(4)
    let answer = Result { () throws(VhostUserError) in try bench.frontend.receiveWord(request.code) }
    if case .failure(.timeout) = answer { Issue.record("no answer") }
    #expect(
      try bench.frontend.receiveWord(.getProtocolFeatures) == ProtocolFeatures.all.subtracting(.sharedMemory).rawValue)
  }

  @Test("a request that nobody knows is answered with an error when an answer is awaited, else ignored")
  func unknown() throws {
    let bench = try Bench()
    for code: UInt32 in [0, 45, 99, 0xffff_ffff] {
      try bench.frontend.send(bytes: message(code, [1, 2, 3]))
      #expect(try bench.frontend.word(.getFeatures) != 0)
      #expect(bench.recorder.refusals.last == .unknownRequest(code))
    }
    try bench.frontend.send(bytes: message(RequestCode.setLogBase.rawValue, flags: 9, [0, 0, 0, 0, 0, 0, 0, 0]))
    #expect(try bench.frontend.receiveWord(.setLogBase) == 1)
    #expect(bench.recorder.refusals.last == .unsupported(.setLogBase))
  }

  /// Requests that are answered in any case, but never offered.
  private static let unsupported: [RequestCode] = [
    .getInflightFd, .getSharedObject, .getShmemConfig, .setDeviceStateFd, .checkDeviceState, .postcopyEnd, .iotlbMsg,
    .createCryptoSession, .postcopyAdvise,
  ]

  @Test("requests with an answer of their own are never left without one", arguments: unsupported)
  func unsupportedAnswers(_ code: RequestCode) throws {
    let bench = try Bench()
    try bench.frontend.send(bytes: message(code.rawValue, flags: 1, [UInt8](repeating: 0, count: 8)))
    let answer = Result { () throws(VhostUserError) in try bench.frontend.receiveWord(code) }
    #expect(answer != .success(0))
    if case .failure(.timeout) = answer { Issue.record("no answer") }
    #expect(try bench.frontend.word(.getFeatures) != 0)
  }

  @Test("0 to 8 descriptors too many on each request are closed", arguments: harmless)
  func surplusDescriptors(_ request: Request) throws {
    let bench = try Bench()
    for count in 0...8 {
      let tracer = try Tracer()
      try bench.frontend.send(request, descriptors: Array(repeating: tracer.raw, count: count))
      bench.turn(2)
      #expect(tracer.isClosedEverywhere())
    }
    #expect(bench.recorder.disconnections.isEmpty)
  }

  @Test("a request that needs one descriptor is refused with any other number, and all are closed")
  func wrongDescriptors() throws {
    let bench = try Bench()
    try bench.frontend.negotiate()
    let tracer = try Tracer()
    let which = VringDescriptor(index: 0, hasDescriptor: true)
    let region = RegionDescription(guestAddress: 0, size: 4096, userAddress: 0, mmapOffset: 0)
    let requests: [Request] = [
      .setVringKick(which), .setVringCall(which), .setVringErr(which), .setBackendReqFd, .addMemReg(region),
      .gpuSetSocket,
    ]
    for request in requests {
      for count in [0, 2, 8, 100] {
        #expect { try bench.frontend.call(request, descriptors: Array(repeating: tracer.raw, count: count)) } throws: {
          VhostUserError.isRefusal(of: request.code, $0)
        }
      }
    }
    #expect(tracer.isClosedEverywhere())
    #expect(bench.recorder.displaySockets.isEmpty)
  }

  @Test("a size that no message has ends the connection", arguments: [4097, 0x8000_0000, 0xffff_ffff] as [UInt32])
  func hugeSize(_ size: UInt32) throws {
    let bench = try Bench()
    try bench.frontend.send(bytes: message(RequestCode.setFeatures.rawValue, size: size))
    #expect(bench.frontend.waitForHangup())
    #expect(bench.recorder.disconnections == [.messageTooLarge(request: 2, size: size)])
  }

  @Test("another version, or an answer to nothing, ends the connection", arguments: [0, 2, 3, 5] as [UInt32])
  func wrongFlags(_ flags: UInt32) throws {
    let bench = try Bench()
    try bench.frontend.send(bytes: message(1, flags: flags))
    #expect(bench.frontend.waitForHangup())
    #expect(bench.recorder.disconnections == [.wrongFlags(request: 1, flags: flags)])
  }

  @Test("a wrong payload size is refused and the connection lives")
  func wrongSize() throws {
    let bench = try Bench()
    try bench.frontend.negotiate()
    for size in [0, 1, 7, 9, 4096] {
      try bench.frontend.send(bytes: message(2, flags: 9, [UInt8](repeating: 0, count: size)))
      #expect(try bench.frontend.receiveWord(.setFeatures) == 1)
      #expect(bench.recorder.refusals.last == .wrongSize(request: 2, size: UInt32(size)))
    }
  }

  @Test("a front-end that does not read its answers holds nobody and loses none of them")
  func unreadAnswers() throws {
    let bench = try Bench()
    let (theirs, ours) = try UnixSocket.pair(.stream).take()
    let flood = FileDescriptor(adopting: ours)
    try UnixSocket.setNonBlocking(flood.raw, true)
    bench.adopt(VhostUserFrontend(try FileDescriptor(duplicating: flood.raw)))
    try bench.backend.serve(FileDescriptor(adopting: theirs))
    let request = message(RequestCode.getFeatures.rawValue)
    var sent = 0
    var failures = 0
    while failures < 5 && sent < 1_000_000 {
      if try request.withUnsafeBytes({ try UnixSocket.send(flood.raw, $0) }) == nil {
        failures += 1
        bench.turn()
      } else {
        sent += 1
        failures = 0
      }
    }
    #expect(sent < 1_000_000)
    let start = MonotonicTime.now
    try bench.loop.runOnce(timeout: .milliseconds(20))
    #expect(MonotonicTime.now - start >= .milliseconds(15), "the loop must be asleep")
    for _ in 0..<sent { #expect(try bench.frontend.receiveWord(.getFeatures) != 0) }
  }
}
