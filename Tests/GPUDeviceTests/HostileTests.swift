import Buffers
import Glibc
import GPUDevice
import Testing
import Virtqueue

@Suite("Odd and hostile requests") struct HostileTests {
  static let formats: [VirtqueueConfiguration.Format] = [.split, .packed]

  @Test("every command cut at every length, and padded, is answered; cut ones with an error")
  func cut() throws {
    let guest = try Guest()
    for command in CodecTests.all {
      let isCursor = command.code.isCursorCommand
      let bytes = command.encoded() + [UInt8](repeating: 0xff, count: 40)
      for length in 1...bytes.count {
        let reply = try #require(try guest.send(Array(bytes[..<length]), toCursorQueue: isCursor))
        if length < command.code.byteCount { #expect(reply.code?.isError == true, "\(command) cut to \(length)") }
        #expect(reply.bytes.count >= 24)
      }
    }
    #expect(try guest.code(.getDisplayInfo) == .okDisplayInfo)
  }

  @Test("a header over many descriptors is one header", arguments: formats, [1, 3, 7, 24])
  func pieces(_ format: VirtqueueConfiguration.Format, _ count: Int) throws {
    let guest = try Guest(format)
    let create = Command.resourceCreate2D(ResourceID(rawValue: 1), format: 1, size: Size(width: 8, height: 8))
    for indirect in [true, false] {
      let id = ResourceID(rawValue: indirect ? 1 : 2)
      let command = Command.resourceCreate2D(id, format: 1, size: Size(width: 8, height: 8))
      let reply = try guest.send(
        command.encoded(flags: .fence, fence: FenceID(rawValue: 5)), room: 24, readPieces: count, writePieces: count,
        indirect: indirect)
      #expect(reply?.code == .okNoData && reply?.header?.fence.rawValue == 5)
    }
    #expect(try guest.run(create).code == .invalidResourceID)
  }

  @Test("an answer is cut to the room there is", arguments: [0, 1, 4, 23, 24, 407, 408])
  func smallAnswers(_ room: Int) throws {
    let guest = try Guest()
    let reply = try #require(try guest.send(Command.getDisplayInfo.encoded(), room: room))
    #expect(reply.bytes.count == room)
    if room >= 4 { #expect(reply.code == .okDisplayInfo) }
    #expect(try guest.code(.getDisplayInfo) == .okDisplayInfo)
  }

  @Test("a request of which nothing is readable is answered with an error")
  func onlyWritable() throws {
    let guest = try Guest()
    let reply = try #require(try guest.send([], room: 24))
    #expect(reply.code == .unspecified && reply.bytes.count == 24)
  }

  @Test("a chain out of guest memory is answered where it can be", arguments: formats)
  func unmapped(_ format: VirtqueueConfiguration.Format) throws {
    let guest = try Guest(format)
    let reply = try guest.arena.allocate(24)
    let hole = VirtqueueDriver.Buffer(GuestAddress(1 << 40), 24)
    for writable in [VirtqueueDriver.Buffer(reply, 24), hole] {
      _ = try #require(guest.control.add(readable: [hole], writable: [writable]))
      guest.kick()
      #expect(guest.completed().count == 1)
    }
    #expect(try guest.arena.read(at: reply, count: 2) == [0x00, 0x12])
    #expect(guest.device.statistics.errors == 2)
  }

  @Test("a long request with surplus bytes is taken")
  func long() throws {
    let guest = try Guest()
    let create = Command.resourceCreate2D(ResourceID(rawValue: 1), format: 1, size: Size(width: 8, height: 8))
    let reply = try guest.send(create.encoded() + [UInt8](repeating: 0, count: 100_000))
    #expect(reply?.code == .okNoData && reply?.bytes.count == 24)
  }

  @Test("commands that are not offered are refused as such", arguments: CodecTests.all)
  func notOffered(_ command: Command) throws {
    let offered: Set<CommandCode> = [
      .getDisplayInfo, .resourceCreate2D, .resourceUnref, .setScanout, .resourceFlush, .transferToHost2D,
      .resourceAttachBacking, .resourceDetachBacking, .getCapsetInfo, .getCapset, .getEDID, .resourceAssignUUID,
      .updateCursor, .moveCursor, .resourceCreateBlob, .setScanoutBlob, .resourceMapBlob, .resourceUnmapBlob,
    ]
    guard !offered.contains(command.code) else { return }
    #expect(try Guest().code(command) == .unspecified)
  }

  @Test("a command on the other queue is refused", arguments: CodecTests.all)
  func wrongQueue(_ command: Command) throws {
    let reply = try Guest().send(command.encoded(), toCursorQueue: !command.code.isCursorCommand)
    #expect(reply?.code == .unspecified)
  }

  @Test("refusals are counted and reported with their reason")
  func reported() throws {
    let guest = try Guest()
    var reasons: [GPUError] = []
    guest.device.refused = { error, _ in reasons.append(error) }
    _ = try guest.unref(7)
    _ = try guest.send([1, 2, 3])
    #expect(reasons == [.invalidResource(ResourceID(rawValue: 7)), .headerTruncated(byteCount: 3)])
    #expect(guest.device.statistics.errors == 2 && guest.device.statistics.commands == 2)
    #expect(reasons.allSatisfy { !"\($0)".isEmpty })
  }

  @Test("a broken ring is reported and harms nothing else")
  func brokenRing() throws {
    let guest = try Guest()
    var broken: [Int] = []
    guest.device.queueBroken = { queue, _ in broken.append(queue) }
    guest.control.setAvailableIndex(5000)
    guest.kick()
    guest.kick()
    #expect(broken.first == 0)
    #expect(try guest.code(.moveCursor(CursorTests.update(resource: 0))) == .okNoData)
    guest.device.stop(queue: 0)
    try guest.control.reset()
    try guest.startQueues()
    #expect(try guest.code(.getDisplayInfo) == .okDisplayInfo)
  }

  @Test("queues there are not, and queues that do not run, are ignored")
  func strangeQueues() throws {
    let guest = try Guest()
    for index in [-1, 2, 100] {
      guest.device.kicked(queue: index)
      guest.device.stop(queue: index)
    }
    guest.device.stop(queue: 0)
    guest.device.stop(queue: 0)
    guest.device.kicked(queue: 0)
    #expect(guest.device.statistics.commands == 0)
  }

  struct Failure: Error {}

  @Test("shown pictures made and given up again leave no mapping behind")
  func noLeak() throws {
    let guest = try Guest(name: "only-here")
    func mappings() -> Int {
      guard let file = fopen("/proc/self/maps", "r") else { return -1 }
      defer { fclose(file) }
      var count = 0
      var line = [CChar](repeating: 0, count: 512)
      while fgets(&line, 512, file) != nil {
        if strstr(line, "only-here") != nil { count += 1 }
      }
      return count
    }
    for id: UInt32 in 1...300 {
      guard try guest.create(id) == .okNoData, try guest.show(id) == .okNoData, try guest.unref(id) == .okNoData else {
        throw Failure()
      }
    }
    #expect(guest.sink.retired.count == 300 && Set(guest.sink.retired).count == 300)
    #expect(guest.device.memoryUsed == 0 && mappings() == 0)
    #expect(try guest.create(1) == .okNoData && guest.show(1) == .okNoData)
    #expect(mappings() == 1, "mappings are found")
  }
}
