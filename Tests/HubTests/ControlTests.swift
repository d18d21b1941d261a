import Buffers
import Glibc
import Platform
import TestSupport
import Testing

@testable import Hub
@testable import HubProtocol

@Suite struct ControlTests {
  @Test func `the list of VMs tells their state, screens, buffers and bytes`() throws {
    let world = try World()
    let a = world.producer("a")
    let buffer = try picture(size: Size(width: 100, height: 100))
    try a.client.show(buffer)
    a.client.setMode(Size(width: 640, height: 480), of: ScanoutIndex(2))
    _ = world.producer("b", connected: false)
    try world.wait("both") { world.hub?.machines.count == 2 && world.hub?.registry.all.count == 1 }
    _ = a.client.flush(ScanoutIndex(0), damage: .empty)
    try world.wait("flushed") { !a.log.latched.isEmpty }
    let vms = try world.ask { client throws(ControlError) in try client.vms() }
    #expect(vms.map(\.name.text) == ["a", "b"])
    #expect(vms.map(\.state) == [.connected, .offline])
    let size = Size(width: 100, height: 100)
    #expect(
      vms[0].scanouts == [
        .init(scanout: ScanoutIndex(0), isOn: true, mode: size, shown: size, flushes: 1),
        .init(
          scanout: ScanoutIndex(2), isOn: false, mode: Size(width: 640, height: 480), shown: Size(width: 0, height: 0),
          flushes: 0),
      ])
    #expect(vms[0].socketPath == "/run/a.sock")
    #expect(vms[0].memoryLimit == 1 << 28)
    #expect(vms[0].buffers == 1)
    #expect(vms[0].bytes == UInt64(buffer.byteCount))
    #expect(vms[0].processID == World.ownProcessID)
  }

  @Test func `the list of buffers tells their life`() throws {
    let world = try World()
    let display = world.display()
    let producer = world.producer("a")
    let buffer = try picture()
    try producer.client.show(buffer)
    try world.wait("shown") { display.log.buffer("a") != nil }
    let buffers = try world.ask { client throws(ControlError) in try client.buffers() }
    #expect(
      buffers == [
        BufferRecord(
          buffer: BufferDescription(id: buffer.id, layout: buffer.layout),
          memory: MemoryDescription(hostFileOf: buffer.layout), owner: Party(.vm, PeerName("a")!),
          bytes: UInt64(buffer.byteCount),
          state: .leased, leases: 1)
      ])
  }

  @Test func `a list longer than a packet comes whole and in order`() throws {
    let world = try World()
    let producer = try world.raw()
    try producer.hello(.producer, "a")
    let buffer = try RawBuffer()
    for _ in 0..<1000 {
      let description = BufferDescription(id: .random(), layout: buffer.description.layout)
      while try !producer.send(
        .bufferRegister(description, buffer.memoryDescription), descriptors: [buffer.descriptor.raw])
      {
        try world.turn(1)
      }
    }
    try world.wait("registered") { world.hub?.registry.all.count == 1000 }
    let buffers = try world.ask { client throws(ControlError) in try client.buffers() }
    #expect(Set(buffers.map(\.buffer.id)) == Set(try #require(world.hub?.registry.all.map(\.id))))
    #expect(buffers.map(\.buffer.id.high) == buffers.map(\.buffer.id.high).sorted())
  }

  @Test func `the list of displays has those that are connected and those that are expected`() throws {
    let expected = Layout.Display(name: PeerName("other")!, size: Size(width: 800, height: 600))
    let world = try World({ $0.layout = Layout(displays: [expected]) })
    let display = world.display("main", size: Size(width: 320, height: 200))
    try display.client.setFrame(try FrameMemory(size: Size(width: 320, height: 200)))
    try world.wait("frame") { world.hub?.displays.values.first?.frame != nil }
    let displays = try world.ask { client throws(ControlError) in try client.displays() }
    #expect(displays.map(\.name.text) == ["main", "other"])
    #expect(displays.map(\.size) == [Size(width: 320, height: 200), Size(width: 800, height: 600)])
    #expect(displays.map(\.hasFrame) == [true, false])
    #expect(displays.map(\.processID) == [World.ownProcessID, 0])
    #expect(displays[0].output == "test")
    #expect(displays[0].refreshMillihertz == 60_000)
  }

  @Test func `the list of clients has everybody by role`() throws {
    let world = try World()
    _ = world.display()
    _ = world.producer("a")
    try world.wait("there") { world.hub?.clients.count == 2 }
    let clients = try world.ask { client throws(ControlError) in try client.clients() }
    #expect(clients.map(\.role) == [.producer, .consumer, .control])
    #expect(clients.map(\.name.text) == ["a", "main", "test"])
    #expect(
      clients.allSatisfy {
        $0.processID == World.ownProcessID && $0.userID == World.ownUserID && $0.messagesReceived > 0
      })
  }

  @Test func `a screenshot is the display's own memory`() throws {
    let world = try World()
    let display = world.display()
    let frame = try FrameMemory(size: Size(width: 8, height: 4))
    frame.beginFrame()
    frame.pixels.withMemoryRebound(to: UInt32.self) { $0.update(repeating: 0x00aa_bbcc) }
    frame.endFrame()
    try display.client.setFrame(frame)
    try world.wait("frame") { world.hub?.displays.values.first?.frame != nil }
    let pixels = try world.ask { client throws(ControlError) -> [UInt32] in
      let reader = try client.screenshot()
      var pixels = [UInt32](repeating: 0, count: 32)
      let generation = pixels.withUnsafeMutableBytes { reader.copyPixels(into: $0) }
      return generation == 2 && reader.display.text == "main" ? pixels : []
    }
    #expect(pixels == [UInt32](repeating: 0x00aa_bbcc, count: 32))
  }

  @Test func `a display that is not there, or has no frame, is said so, and the connection stays`() throws {
    let world = try World()
    _ = world.display("main")
    try world.wait("there") { world.hub?.displays.count == 1 }
    let reasons = try world.ask { client throws(ControlError) -> [String] in
      var reasons: [String] = []
      for name in ["nowhere", "main"] {
        do throws(ControlError) {
          _ = try client.screenshot(display: PeerName(name))
        } catch {
          reasons.append(error.description)
        }
      }
      return reasons + [try client.displays().first?.name.text ?? ""]
    }
    #expect(reasons == ["no display nowhere is connected", "display main has no frame yet", "main"])
  }

  @Test func `a frame without room for its header is refused`() throws {
    let world = try World()
    let consumer = try world.raw()
    try consumer.becomeConsumer()
    let buffer = try RawBuffer()
    try consumer.send(.frameRegister(buffer.description), descriptors: [buffer.descriptor.raw])
    #expect(try consumer.refusal()?.code == .badBuffer)
  }

  @Test func `without a hub a request fails at once and says where it looked`() {
    let error = #expect(throws: ControlError.self) {
      try ControlClient(hubPath: "/nonexistent/hub.sock", name: PeerName("test")!)
    }
    #expect(error?.description.contains("/nonexistent/hub.sock") == true)
  }

  @Test func `a hub that does not answer is given up after the time limit`() throws {
    let directory = try ScratchFolder()
    let path = directory.path + "/hub.sock"
    let listener = try UnixSocket.listen(path: path, kind: .sequencedPacket)
    let client = try ControlClient(hubPath: path, name: PeerName("test")!, timeLimit: .milliseconds(50))
    #expect(throws: ControlError.timedOut) { try client.vms() }
    _ = listener.raw
  }

  @Test func `a hub that accepts nobody is given up after the time limit`() throws {
    let directory = try ScratchFolder()
    let path = directory.path + "/hub.sock"
    let listener = try UnixSocket.listen(path: path, kind: .sequencedPacket)
    var waiting: [SharedDescriptor] = []
    while let next = try? UnixSocket.connect(path: path, kind: .sequencedPacket) {
      waiting.append(SharedDescriptor(next))
    }
    #expect(throws: ControlError.timedOut) {
      _ = try ControlClient(hubPath: path, name: PeerName("test")!, timeLimit: .milliseconds(50))
    }
    _ = listener.raw
  }
}
