import Glibc
import Platform
import Testing
import VhostUser
import Virtqueue

@Suite("connections")
struct ConnectionTests {
  private func temporaryPath() -> String { "/tmp/muntin-vhost-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock" }

  @Test("a front-end that goes leaves a device as new and no descriptor open, again and again")
  func reconnect() throws {
    let bench = try Bench()
    for round in 1...50 {
      let tracer = try Tracer()
      let kick = try KickTracer()
      try bench.start()
      try bench.frontend.openBackendChannel()
      #expect(try bench.echoes())
      let which = VringDescriptor(index: 1, hasDescriptor: true)
      try bench.frontend.call(.setVringKick(which), descriptors: [kick.raw])
      for request in [Request.setBackendReqFd, .gpuSetSocket] {
        try bench.frontend.call(request, descriptors: [tracer.raw])
      }
      try bench.reconnect()
      #expect(bench.recorder.disconnections.count == round)
      #expect(bench.device.resets == round)
      #expect(bench.device.running.isEmpty)
      #expect(bench.device.memory?.regions.isEmpty == true)
      bench.recorder.displaySockets = []
      #expect(tracer.isClosedEverywhere())
      #expect(kick.isClosedEverywhere())
    }
  }

  @Test("a front-end killed in the middle of a message leaves nothing behind")
  func killed() throws {
    let bench = try Bench()
    try bench.start()
    bench.device.isHolding = true
    _ = try bench.offer([1])
    bench.rings[0].kick()
    bench.turn(2)
    try bench.frontend.send(bytes: Array(message(RequestCode.setMemTable.rawValue, size: 72)[..<12]))
    try bench.reconnect()
    #expect(bench.recorder.disconnections == [.closed])
    #expect(bench.device.held.isEmpty)
    bench.device.isHolding = false
    try bench.start()
    #expect(try bench.echoes())
  }

  @Test("one that connects and stays silent keeps nobody out")
  func silent() throws {
    let bench = try Bench()
    let path = temporaryPath()
    try bench.backend.listen(path: path)
    defer { unlink(path) }
    var silent: [VhostUserFrontend] = []
    for _ in 0..<20 {
      silent.append(try VhostUserFrontend(path: path))
      bench.turn()
    }
    bench.adopt(try VhostUserFrontend(path: path))
    try bench.start()
    #expect(try bench.echoes())
    #expect(bench.recorder.connections == 1)
  }

  @Test("a second front-end waits until the first has gone")
  func second() throws {
    let bench = try Bench()
    let path = temporaryPath()
    try bench.backend.listen(path: path)
    defer { unlink(path) }
    try bench.start()
    let waiting = try VhostUserFrontend(path: path)
    try waiting.send(.getFeatures)
    #expect(try bench.echoes())
    bench.turn(4)
    #expect(bench.recorder.connections == 1)
    bench.adopt(waiting)
    #expect(try waiting.receiveWord(.getFeatures) != 0)
    #expect(bench.recorder.connections == 2)
    try bench.start()
    #expect(try bench.echoes())
  }

  @Test("one that speaks and falls silent before SET_OWNER makes way for one that waits, not before")
  func fallenSilent() throws {
    let bench = try Bench()
    bench.backend.silenceLimit = .milliseconds(50)
    let path = temporaryPath()
    try bench.backend.listen(path: path)
    defer { unlink(path) }
    let silent = bench.frontend
    #expect(try silent.word(.getFeatures) != 0)
    try silent.send(bytes: [1, 0, 0])
    bench.turn(100)
    #expect(bench.recorder.disconnections.isEmpty, "nobody waits")
    bench.adopt(try VhostUserFrontend(path: path))
    try bench.start()
    #expect(try bench.echoes())
    #expect(bench.recorder.disconnections == [.silent])
    #expect(silent.waitForHangup())
  }

  @Test("the device's owner may be silent for ever, whoever waits")
  func silentOwner() throws {
    let bench = try Bench()
    bench.backend.silenceLimit = .zero
    let path = temporaryPath()
    try bench.backend.listen(path: path)
    defer { unlink(path) }
    try bench.frontend.call(.setOwner)
    let owner = bench.frontend
    let waiting = try VhostUserFrontend(path: path)
    try waiting.send(.getFeatures)
    bench.turn(50)
    #expect(try owner.word(.getFeatures) != 0)
    #expect(bench.recorder.connections == 1 && bench.recorder.disconnections.isEmpty)
  }

  @Test("one that hung up while it waited pushes nobody out")
  func waitedAndLeft() throws {
    let bench = try Bench()
    bench.backend.silenceLimit = .milliseconds(20)
    let path = temporaryPath()
    try bench.backend.listen(path: path)
    defer { unlink(path) }
    #expect(try bench.frontend.word(.getFeatures) != 0)
    do { _ = try VhostUserFrontend(path: path) }
    bench.turn(50)
    #expect(try bench.frontend.word(.getFeatures) != 0)
    #expect(bench.recorder.disconnections.isEmpty)
  }

  @Test("a crowd at the door is let in little by little")
  func crowd() throws {
    let bench = try Bench()
    let path = temporaryPath()
    try bench.backend.listen(path: path)
    defer { unlink(path) }
    var crowd: [VhostUserFrontend] = []
    for _ in 0..<40 { crowd.append(try VhostUserFrontend(path: path)) }
    for frontend in crowd { frontend.timeLimit = .zero }
    try bench.loop.runOnce(timeout: .milliseconds(100))
    // The bench's own connection and eight of the crowd may wait; who came before them was sent away.
    #expect(crowd.count { $0.waitForHangup() } == 16 - 8 + 0)
    bench.turn(5)
    #expect(crowd.count { $0.waitForHangup() } == 40 - 8)
  }

  @Test("one that connects and hangs up is not even noticed")
  func prober() throws {
    let bench = try Bench()
    let path = temporaryPath()
    try bench.backend.listen(path: path)
    defer { unlink(path) }
    for _ in 0..<100 {
      _ = try VhostUserFrontend(path: path)
      bench.turn()
    }
    bench.turn(4)
    #expect(bench.recorder.connections == 0)
    #expect(bench.device.resets == 0)
  }

  @Test("a listening socket can be handed over")
  func handedListener() throws {
    let bench = try Bench()
    let path = temporaryPath()
    try bench.backend.serve(try UnixSocket.listen(path: path, kind: .stream))
    defer { unlink(path) }
    bench.adopt(try VhostUserFrontend(path: path))
    try bench.start()
    #expect(try bench.echoes())
  }

  @Test("the end of the only connection there can be is told")
  func deserted() throws {
    let bench = try Bench()
    #expect(try bench.frontend.word(.getFeatures) != 0)
    #expect(!bench.recorder.isDeserted)
    let (theirs, ours) = try UnixSocket.pair(.stream).take()
    closeAll([theirs])
    bench.adopt(VhostUserFrontend(FileDescriptor(adopting: ours)))
    bench.turn(4)
    #expect(bench.recorder.isDeserted)
  }

  @Test("a display socket reaches the program, and so does a second one")
  func displaySocket() throws {
    let bench = try Bench()
    try bench.start()
    let first = try bench.frontend.openDisplaySocket()
    #expect(try bench.echoes())
    let second = try bench.frontend.openDisplaySocket()
    #expect(try bench.echoes())
    #expect(bench.recorder.displaySockets.count == 2)
    _ = (first.raw, second.raw)
  }

  @Test("a back-end that goes without being closed leaves nothing on the loop")
  func forgotten() throws {
    let loop = try EventLoop()
    let (theirs, ours) = try UnixSocket.pair(.stream).take()
    let frontend = VhostUserFrontend(FileDescriptor(adopting: ours))
    frontend.timeLimit = .milliseconds(50)
    frontend.whileWaiting = { try? loop.runOnce(timeout: .milliseconds(1)) }
    do {
      let backend = VhostUserBackend(device: LoopbackDevice(), loop: loop)
      try backend.serve(FileDescriptor(adopting: theirs))
      #expect(try frontend.word(.getFeatures) != 0)
    }
    #expect(throws: VhostUserError.self) { try frontend.word(.getFeatures) }
  }

  @Test("a backend that is told to end hangs up")
  func close() throws {
    let bench = try Bench()
    try bench.start()
    bench.backend.close()
    #expect(bench.frontend.waitForHangup())
    #expect(bench.recorder.disconnections == [.ended])
    #expect(!bench.backend.isConnected)
  }
}
