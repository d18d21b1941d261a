import Buffers
import Glibc
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

/// Pictures in a VM's memory, and who gets to see them.
@Suite struct MemoryKindTests {
  private static let scattered = [pages(1, 7), pages(1, 2), pages(1, 5)]

  private func trusting(_ names: String...) throws -> World {
    try World { $0.guestMemoryReaders = .only(Set(names.compactMap { PeerName($0) })) }
  }

  /// A producer with a VM's memory of eight pages, whose first number is 1.
  private func producer(in world: World) throws -> (client: ProducerClient, log: ProducerLog, memory: VMMemory) {
    let memory = try VMMemory(pages: 8)
    for page in 0..<8 { memory.store(UInt32(page), page: page) }
    let (client, log) = world.producer("a")
    #expect(client.registerMemory(memory.readOnly, byteCount: UInt64(memory.byteCount)).rawValue == 1)
    return (client, log, memory)
  }

  @Test func `a trusted display sees a VM's scattered pages side by side, and their changes without any message`()
    throws
  {
    let world = try trusting("main")
    let display = world.capableDisplay()
    let (client, _, memory) = try producer(in: world)
    try client.show(Self.scattered, layout: try threePageLayout())
    try world.wait("shown") { display.log.buffer("a")?.marks == [7, 2, 5] }
    #expect(display.log.buffer("a")?.pieceCount == 3)
    memory.store(99, page: 2)
    #expect(display.log.buffer("a")?.marks == [7, 99, 5])
  }

  @Test func `a VM's memory file is passed once, however many pictures are in it`() throws {
    let world = try trusting("main")
    let consumer = try world.raw()
    try consumer.becomeConsumer()
    try consumer.sendConstraints(.mappable)
    let (client, _, memory) = try producer(in: world)
    _ = memory
    for turn in 0..<4 {
      consumer.forget()
      try client.show([pages(1, turn), pages(1, turn + 2), pages(1, turn + 4)], layout: try threePageLayout())
      _ = try consumer.shownLayer()
    }
    // Four tables of ranges and one memory file.
    #expect(consumer.descriptorCount == 5)
  }

  @Test func `an untrusted display never gets a VM's memory, and its producer is told to copy`() throws {
    let world = try trusting("another")
    let display = world.capableDisplay()
    let consumer = try world.raw()
    try consumer.becomeConsumer("second")
    try consumer.sendConstraints(.all)
    let (client, log, memory) = try producer(in: world)
    _ = memory
    try client.show(Self.scattered, layout: try threePageLayout())
    try world.wait("withheld") { display.log.absence("a") == .withheld }
    try world.wait("told") { log.requirements.last?.isWithheld == true }
    #expect(log.requirements.last?.memoryKinds == .file)
    let buffer = try picture(77)
    try client.show(buffer, source: Rectangle(buffer.layout.size), on: ScanoutIndex(0), reason: .memoryWithheld)
    try world.wait("the copy is shown") { display.log.buffer("a")?.mark == 77 }
    _ = try consumer.shownLayer()
    #expect(try consumer.all { message, _ in message.type == .memorySet ? true : nil }.isEmpty)
    #expect(consumer.descriptorCount == 1)
  }

  @Test func `the layout says which of its displays may see VMs' memory, also a new one while all runs`() throws {
    let world = try World { $0.guestMemoryReaders = .all }
    let display = world.capableDisplay()
    let (client, _, memory) = try producer(in: world)
    _ = memory
    try client.show(Self.scattered, layout: try threePageLayout())
    try world.wait("shown") { display.log.buffer("a") != nil }
    let name = try #require(PeerName("main"))
    let vm = try #require(PeerName("a"))
    var layout = Layout(
      displays: [Layout.Display(name: name)],
      placements: [Layout.Placement(vm: vm, display: name, area: Rectangle(x: 0, y: 0, width: 64, height: 3))])
    world.hub?.setLayout(layout)
    try world.wait("withheld") { display.log.absence("a") == .withheld }
    #expect(client.requirements(of: ScanoutIndex(0)).isWithheld)
    layout.displays[0].seesGuestMemory = true
    world.hub?.setLayout(layout)
    try world.wait("shown again") { display.log.buffer("a")?.marks == [7, 2, 5] }
  }

  @Test func `a display that says nothing is given memory files only`() throws {
    let world = try World { $0.guestMemoryReaders = .all }
    let display = world.display()
    let (client, log, memory) = try producer(in: world)
    _ = memory
    try client.show(Self.scattered, layout: try threePageLayout())
    try world.wait("withheld") { display.log.absence("a") == .withheld }
    try world.turn(20)
    #expect(client.requirements(of: ScanoutIndex(0)) == ScanoutRequirements(constraints: .unstated))
    #expect(log.requirements.isEmpty)
  }

  @Test func `what a scanout needs is what all its displays can use, and follows them as they come and go`() throws {
    let world = try World { $0.guestMemoryReaders = .all }
    let (client, _, memory) = try producer(in: world)
    _ = memory
    client.setMode(Size(width: 64, height: 3), of: ScanoutIndex(0))
    let wanted = { client.requirements(of: ScanoutIndex(0)).memoryKinds }
    try world.wait("nobody: everything") { wanted() == .all }
    let display = world.capableDisplay()
    try world.wait("one that can") { wanted() == .mappable && display.log.layer("a") != nil }
    let plain = world.display("plain")
    try world.wait("one that cannot") { wanted() == .file }
    plain.client.stop()
    try world.wait("it left") { wanted() == .mappable }
  }

  @Test func `a display may ask for something else while it runs`() throws {
    let world = try World { $0.guestMemoryReaders = .all }
    let consumer = try world.raw()
    try consumer.becomeConsumer()
    try consumer.sendConstraints(.all)
    let (client, _, memory) = try producer(in: world)
    _ = memory
    try client.show(Self.scattered, layout: try threePageLayout())
    _ = try consumer.shownLayer()
    consumer.forget()
    try consumer.sendConstraints(.file)
    _ = try consumer.wait("withheld") { if case .layerContent(_, .absent(.withheld)) = $0 { true } else { nil } }
    try world.wait("told") { client.requirements(of: ScanoutIndex(0)).memoryKinds == .file }
    try consumer.sendConstraints(.all)
    _ = try consumer.shownLayer()
  }

  @Test func `a layout that a display cannot use is not shown there, and its producer is told what it needs`() throws {
    let world = try World()
    let consumer = try world.raw()
    try consumer.becomeConsumer()
    try consumer.sendConstraints(.file, strideAlignment: 512)
    let producer = try world.raw()
    // 64 pixels: a stride of 256 bytes.
    _ = try producer.becomeProducer()
    _ = try consumer.wait("withheld") { if case .layerContent(_, .absent(.withheld)) = $0 { true } else { nil } }
    try world.wait("told") { try producer.requirements()?.constraints.strideAlignment == 512 }
  }

  @Test func `two displays that cannot agree are named to the producer, with what about`() throws {
    let world = try World()
    for (name, kinds) in [("left", MemoryKind.file), ("right", .dmaBuf)] {
      let consumer = try world.raw()
      try consumer.becomeConsumer(name)
      try consumer.sendConstraints(kinds)
      world.keep(consumer)
    }
    let producer = try world.raw()
    _ = try producer.becomeProducer()
    try world.wait("told") {
      let reason = try producer.requirements()?.disagreement ?? ""
      return reason.contains("display right") && reason.contains("memory kinds")
    }
  }

  @Test func `the list of buffers names the displays that are not shown one, and what they disagree on`() throws {
    let world = try World()
    for (name, alignment) in [("left", 512), ("right", 64)] as [(String, UInt32)] {
      let consumer = try world.raw()
      try consumer.becomeConsumer(name)
      try consumer.sendConstraints(.file, strideAlignment: alignment)
      world.keep(consumer)
    }
    let producer = try world.raw()
    let buffer = try producer.becomeProducer()
    try world.turn(20)
    let trouble = { try world.ask { client throws(ControlError) in try client.buffers() }.first?.trouble }
    #expect(try trouble() == "display left cannot use a stride or offset of 256, no multiple of 512")
    let third = try world.raw()
    try third.becomeConsumer("third")
    try third.sendConstraints(.dmaBuf)
    try world.turn(20)
    #expect(try trouble() == "display left and display third disagree on memory kinds")
    try producer.show(nil)
    try world.turn(20)
    #expect(try trouble() == "", "\(buffer.description.id) is shown nowhere")
  }

  @Test func `a restarted hub is given the VM's memory again`() throws {
    let world = try trusting("main")
    let display = world.capableDisplay()
    let (client, _, memory) = try producer(in: world)
    try client.show(Self.scattered, layout: try threePageLayout())
    try world.wait("shown") { display.log.buffer("a")?.marks == [7, 2, 5] }
    world.killHub()
    try world.wait("noticed") { !client.isLinked && !display.client.isLinked }
    display.log.history = []
    try world.startHub { $0.guestMemoryReaders = .all }
    try world.wait("shown again") { display.log.history.contains("a shown") }
    memory.store(11, page: 7)
    #expect(display.log.buffer("a")?.marks == [11, 2, 5])
  }

  @Test func `a memory file that goes is let go by its readers, whose pictures of it stay`() throws {
    let world = try trusting("main")
    let display = world.capableDisplay()
    let consumer = try world.raw()
    try consumer.becomeConsumer("main2")
    let (client, log, memory) = try producer(in: world)
    let id = BufferID.random()
    try client.show(Self.scattered, layout: try threePageLayout(), id: id)
    try world.wait("shown") { display.log.buffer("a") != nil }
    let held = display.log.buffer("a")
    #expect(client.retire(id))
    client.unregisterMemory(MemoryFileID(rawValue: 1))
    try world.wait("freed") { log.freed == [id] }
    memory.store(55, page: 2)
    #expect(held?.marks == [7, 55, 5])
    #expect(log.links.count == 1)
  }

  @Test func `readers are told of a producer's memory files when it dies`() throws {
    let world = try trusting("main")
    let consumer = try world.raw()
    try consumer.becomeConsumer()
    try consumer.sendConstraints(.all)
    let memory = try VMMemory(pages: 8)
    var producer: RawPeer? = try world.raw()
    try producer?.hello(.producer, "a")
    try producer?.send(.vmState(connected: true))
    try producer?.register(memory, as: 3)
    let id = try #require(try producer?.register([pages(3, 1, count: 3)]))
    try producer?.show(id)
    let set = try consumer.wait("set") { if case .memorySet(let key, _) = $0 { key } else { nil } }
    #expect(set.memory.rawValue == 3)
    producer = nil
    let removed = try consumer.wait("removed") { if case .memoryRemove(let key) = $0 { key } else { nil } }
    #expect(removed == set)
  }

  @Test func `memory that is truncated while it is shown reads as zeros, and the display is told`() throws {
    let world = try World { $0.guestMemoryReaders = .all }
    let display = world.capableDisplay()
    let file = try TruncatableFile(pages: 8)
    let client = world.producer("a").client
    _ = client.registerMemory(file.readOnly, byteCount: UInt64(8 * SharedMemory.pageSize))
    try client.show(Self.scattered, layout: try threePageLayout())
    try world.wait("shown") { display.log.buffer("a")?.marks == [7, 2, 5] }
    display.log.history = []
    file.truncate()
    #expect(display.log.buffer("a")?.marks == [0, 0, 0])
    try world.wait("told") { display.log.history == ["a shown"] }
    #expect(display.log.buffer("a")?.isLost == true)
    let buffer = try picture(5)
    try client.show(buffer)
    try world.wait("the display goes on") { display.log.buffer("a")?.mark == 5 }
  }

  @Test func `a display that cannot map a VM's memory asks for pictures elsewhere`() throws {
    let world = try World { $0.guestMemoryReaders = .all }
    let display = world.capableDisplay()
    let client = world.producer("a").client
    // The kernel calls this a file of a page, and maps it for nobody.
    let file = SharedDescriptor(
      FileDescriptor(adopting: open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC)))
    _ = client.registerMemory(file, byteCount: UInt64(SharedMemory.pageSize))
    try client.show(
      [pages(1, 0)], layout: try #require(PixelLayout(size: Size(width: 8, height: 1), format: .xrgb8888)))
    try world.wait("told") {
      client.requirements(of: ScanoutIndex(0)).memoryKinds == MemoryKind.mappable.subtracting(.ranges)
    }
    try client.show(try picture(8))
    try world.wait("shown") { display.log.buffer("a")?.mark == 8 }
  }

  @Test func `a picture in memory that is already shorter than it says goes black and no further`() throws {
    let world = try World { $0.guestMemoryReaders = .all }
    let display = world.capableDisplay()
    let file = try TruncatableFile(pages: 8)
    let client = world.producer("a").client
    _ = client.registerMemory(file.readOnly, byteCount: UInt64(8 * SharedMemory.pageSize))
    try client.show([pages(1, 0, count: 3)], layout: try threePageLayout())
    try world.wait("shown") { display.log.buffer("a") != nil }
    file.truncate()
    try client.show(Self.scattered, layout: try threePageLayout())
    try world.wait("the next") { display.log.buffer("a")?.pieceCount == 3 }
    #expect(display.log.buffer("a")?.marks == [0, 0, 0])
  }
}

/// When the hub says that a buffer is freed.
@Suite struct BufferFreedTests {
  @Test func `a buffer is freed when its last reader has let go, not before`() throws {
    let world = try World()
    let consumer = try world.raw()
    try consumer.becomeConsumer()
    let producer = world.producer("a")
    let buffer = try picture()
    try producer.client.show(buffer)
    _ = try consumer.shownLayer()
    #expect(producer.client.retire(buffer.id))
    let id = try consumer.wait("retired") { if case .bufferRetired(let id) = $0 { id } else { nil } }
    try world.turn(20)
    #expect(producer.log.freed.isEmpty)
    try consumer.send(.bufferRelease(id))
    try world.wait("freed") { producer.log.freed == [buffer.id] }
  }

  @Test func `a buffer that nobody knows needs nobody's word`() throws {
    let world = try World()
    let producer = world.producer("a")
    #expect(!producer.client.retire(.random()))
    let buffer = try picture()
    try producer.client.show(buffer)
    #expect(!producer.client.retire(buffer.id))
    try world.turn(20)
    #expect(producer.log.freed.isEmpty)
  }

  @Test func `the end of the hub frees what waited for it`() throws {
    let world = try World()
    let consumer = try world.raw()
    try consumer.becomeConsumer()
    let producer = world.producer("a")
    let buffer = try picture()
    try producer.client.show(buffer)
    _ = try consumer.shownLayer()
    #expect(producer.client.retire(buffer.id))
    try world.turn(20)
    world.killHub()
    try world.wait("freed") { producer.log.freed == [buffer.id] }
  }

  @Test func `a producer that does not read which buffers are freed is cut off`() throws {
    let world = try World()
    let producer = try world.raw()
    try producer.hello(.producer, "a")
    let buffer = try RawBuffer()
    var reason: String?
    func send(_ message: Message, _ files: [Int32]) throws {
      while reason == nil, try !producer.send(message, descriptors: files) {
        try world.turn(1)
        for event in world.events {
          if case .left(_, _, let why) = event { reason = why }
        }
      }
    }
    for _ in 0..<40_000 where reason == nil {
      let description = BufferDescription(id: .random(), layout: buffer.description.layout)
      try send(.bufferRegister(description, buffer.memoryDescription), [buffer.descriptor.raw])
      try send(.bufferUnregister(description.id), [])
    }
    #expect(reason?.contains("BUFFER_FREED is not read") == true)
  }
}

/// A VM's memory that its VMM may truncate: a file without seals. Page n begins with n.
final class TruncatableFile {
  let readOnly: SharedDescriptor
  private let file: FileDescriptor

  init(pages: Int) throws {
    var path = Array("/tmp/muntin-vm-XXXXXX".utf8CString)
    let raw = mkstemp(&path)
    try #require(raw >= 0)
    file = FileDescriptor(adopting: raw)
    readOnly = SharedDescriptor(FileDescriptor(adopting: open(path, O_RDONLY | O_CLOEXEC)))
    unlink(path)
    try #require(ftruncate(raw, pages * SharedMemory.pageSize) == 0)
    for page in 0..<pages {
      var word = UInt32(page)
      try #require(pwrite(raw, &word, 4, page * SharedMemory.pageSize) == 4)
    }
  }

  func truncate() { _ = ftruncate(file.raw, 0) }
}
