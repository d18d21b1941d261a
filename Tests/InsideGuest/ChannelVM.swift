import Buffers
import CrossDomain
import GPUDevice
import Glibc
import HubProtocol
import Platform
import VhostUser
import Virtqueue

/// A guest and its VMM in a few lines, with a program's channel to the hub. It serves its card's wishes for shared memory
/// while it waits.
final class ChannelVM {
  static let pixels = GuestAddress(0x1_0000_0000)
  private static let pixelCount = 4 << 20
  private static let context = ContextID(rawValue: 1)
  private static let queryRing: UInt32 = 100, channelRing: UInt32 = 101
  private static let window: UInt8 = 1
  /// Where the guest sees its window on the host's memory.
  private static let windowAddress: UInt64 = 0x10_0000_0000

  private let arena: GuestArena
  private let control: VirtqueueDriver
  private let frontend: VhostUserFrontend
  private let request: GuestAddress, reply: GuestAddress
  private let pollRequest: GuestAddress, pollReply: GuestAddress
  private let ring: GuestAddress
  private var done: Set<UInt16> = []
  private var lastFence: UInt64 = 0
  private var lastSerial: UInt64 = 0
  private var nextPlace: UInt64 = 0
  private var news: [Message] = []

  init(socket: String) throws {
    arena = try GuestArena([(GuestAddress(0x10_0000), 1 << 20), (Self.pixels, Self.pixelCount)])
    control = try VirtqueueDriver(arena: arena, size: 64, format: .split)
    let cursor = try VirtqueueDriver(arena: arena, size: 64, format: .split)
    request = try arena.allocate(64 << 10, alignment: 4096)
    reply = try arena.allocate(4096, alignment: 4096)
    pollRequest = try arena.allocate(4096, alignment: 4096)
    pollReply = try arena.allocate(4096, alignment: 4096)
    ring = try arena.allocate(8192, alignment: 4096)
    frontend = try VhostUserFrontend(path: socket)
    try frontend.negotiate(
      features: protocolFeaturesBit | RingFeature.version1 | RingFeature.eventIndex | RingFeature.indirectDescriptors
        | GPUDevice.virglFeature | GPUDevice.resourceBlobFeature | GPUDevice.contextInitFeature)
    try frontend.openBackendChannel()
    try frontend.readSharedMemoryRegions()
    try frontend.share(arena, asTable: true)
    for (index, queue) in [control, cursor].enumerated() { try frontend.start(queue, index: UInt32(index)) }
    try openChannel()
  }

  // MARK: Memory

  func bytes(at address: GuestAddress, count: Int) -> UnsafeMutableRawBufferPointer {
    arena.bytes(at: address, count: count)
  }

  /// What the guest sees in its window on the host's memory; nil where nothing is.
  func windowBytes(at offset: UInt64, count: Int) -> UnsafeMutableRawBufferPointer? {
    frontend.window.bytes(at: offset, count: count, region: Self.window)
  }

  /// Makes a resource of what a number stands for, and maps it; where.
  func map(_ blob: Transmission.Identifier, as resource: UInt32) throws -> UInt64 {
    let id = ResourceID(rawValue: resource)
    let create = Command.CreateBlob(
      resource: id, memory: 2, flags: 3, entryCount: 0, blob: UInt64(blob.number), byteCount: UInt64(blob.byteCount))
    try expect(.resourceCreateBlob(create))
    try expect(.contextAttachResource(id))
    defer { nextPlace += 16 << 20 }
    try expect(.resourceMapBlob(id, offset: nextPlace), .okMapInfo)
    return nextPlace
  }

  // MARK: Commands

  /// Runs a command of the program's context that must be answered so.
  func expect(_ command: Command, _ expected: ResponseCode = .okNoData, tail: [UInt8] = []) throws {
    let token = try post(command, tail, at: request, reply)
    try wait(for: token)
    let code = bytes(at: reply, count: 4).load(as: UInt32.self)
    guard code == expected.rawValue else {
      throw Failure("\(command.code) was answered 0x\(String(code, radix: 16))")
    }
  }

  private func post(
    _ command: Command, _ tail: [UInt8], at request: GuestAddress, _ reply: GuestAddress, ring: UInt8? = nil
  ) throws -> UInt16 {
    lastFence += 1
    let bytes =
      command.encoded(
        flags: ring == nil ? [] : [.fence, .ringIndex], fence: FenceID(rawValue: lastFence), context: Self.context,
        ring: ring ?? 0) + tail
    try arena.write(bytes, at: request)
    let token = control.add(
      readable: [VirtqueueDriver.Buffer(request, UInt32(bytes.count))],
      writable: [VirtqueueDriver.Buffer(reply, 64)], indirect: true)
    guard let token else { throw Failure("the ring is full") }
    done.remove(token)
    control.kick()
    return token
  }

  private func wait(for token: UInt16) throws {
    let end = MonotonicTime.now + .seconds(20)
    while !done.contains(token) {
      guard MonotonicTime.now < end else { throw Failure("no answer") }
      try serve()
    }
  }

  /// Does what the card wishes, for some milliseconds, and takes its answers.
  func serve() throws {
    let pieces = frontend.window.pieces.count
    frontend.timeLimit = .milliseconds(5)
    do throws(VhostUserError) {
      _ = try frontend.nextBackendRequest()
    } catch {
      guard error == .timeout else { throw error }
    }
    if frontend.window.pieces.count != pieces { try tellMemory() }
    while let finished = control.poll() { done.insert(finished.token) }
  }

  /// What is mapped in the window is a part of the guest's memory to a VMM, which tells all of its devices of it.
  private func tellMemory() throws {
    frontend.timeLimit = .seconds(5)
    let window = frontend.window.guestRegions(from: Self.windowAddress)
    try frontend.call(
      .setMemTable(arena.regions.map(RegionDescription.init) + window.map(\.region)),
      descriptors: arena.regions.map(\.file.raw) + window.map(\.file.raw))
  }

  /// A line of standard input; what the card wishes is done meanwhile.
  func readLine() throws -> String? {
    while true {
      var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
      if Glibc.poll(&input, 1, 10) > 0 { return Swift.readLine() }
      try serve()
    }
  }

  // MARK: The channel

  private func openChannel() throws {
    try expect(.contextCreate(nameLength: 0, kind: CrossDomain.capset))
    for (index, id) in [Self.queryRing, Self.channelRing].enumerated() {
      let address = GuestAddress(ring.rawValue + UInt64(index) << 12)
      let blob = Command.CreateBlob(
        resource: ResourceID(rawValue: id), memory: 1, flags: 1, entryCount: 1, blob: 0, byteCount: 4096)
      try expect(.resourceCreateBlob(blob), tail: MemoryEntry(address: address, length: 4096).encoded)
      try expect(.contextAttachResource(ResourceID(rawValue: id)))
    }
    try submit(.initialize(queryRing: Self.queryRing, channelRing: Self.channelRing, .hub))
    guard let name = PeerName("program") else { throw Failure("no name") }
    try submit(.send(Transmission(Message.hello(Hello(role: .application, name: name)).encoded(serial: 0))))
    guard case .welcome = try receive().message else { throw Failure("no welcome") }
  }

  private func submit(_ command: CrossDomainCommand) throws {
    guard let bytes = command.encoded else { throw Failure("a command that is too long") }
    try expect(.submit3D(byteCount: UInt32(bytes.count), fenceCount: 0), tail: bytes)
  }

  func tell(_ message: ApplicationMessage, serial: UInt64 = 0, resource: UInt32? = nil) throws {
    let data = Message.application(message).encoded(serial: serial, carriesDescriptor: resource != nil)
    let identifiers = resource.map { [Transmission.Identifier(number: $0, kind: .blob)] } ?? []
    try submit(.send(Transmission(data, identifiers: identifiers)))
  }

  /// Asks, and waits for the answer; news are kept.
  func ask(
    _ message: ApplicationMessage, resource: UInt32? = nil
  ) throws -> (message: ApplicationMessage, blob: Transmission.Identifier?) {
    lastSerial += 1
    try tell(message, serial: lastSerial, resource: resource)
    while true {
      let heard = try receive()
      switch heard.message {
      case .error(let refusal): throw Failure(refusal.reason)
      case .application(let answer) where heard.serial == lastSerial: return (answer, heard.blob)
      default: news.append(heard.message)
      }
    }
  }

  /// What is told without being asked for.
  func hear() throws -> Message { news.isEmpty ? try receive().message : news.removeFirst() }

  private func receive() throws -> (message: Message, serial: UInt64, blob: Transmission.Identifier?) {
    guard let bytes = CrossDomainCommand.poll.encoded else { throw Failure("no POLL") }
    let token = try post(
      .submit3D(byteCount: UInt32(bytes.count), fenceCount: 0), bytes, at: pollRequest, pollReply,
      ring: CrossDomain.channelRing)
    try wait(for: token)
    let entry = [UInt8](self.bytes(at: GuestAddress(ring.rawValue + 4096), count: 4096))
    guard case .receive(let said) = try entry.withUnsafeBytes({ try CrossDomainCommand.decode($0).command }) else {
      throw Failure("no RECEIVE on the ring")
    }
    let read = try PacketParser.parseDetached(said.data)
    return (read.message, read.serial, said.identifiers.first)
  }
}
