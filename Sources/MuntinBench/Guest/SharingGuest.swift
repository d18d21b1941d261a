import Buffers
import CrossDomain
import GPUDevice
import Glibc
import Platform
import VhostUser
import Virtqueue

/// A VM with a channel to the hub, whose guest's part is played here: no emulated processor hides what the host does.
final class SharingGuest {
  private static let window: UInt8 = 1
  private static let context = ContextID(rawValue: 1)

  private let arena: GuestArena
  private let control: VirtqueueDriver
  private let cursor: VirtqueueDriver
  private let frontend: VhostUserFrontend
  private let command: Place, poll: Place
  private var finished: Set<UInt16> = []
  private var lastResource: UInt32 = 0
  private var lastFence: UInt64 = 0
  private var windowEnd: UInt64 = 0
  private var windowID: UInt8 = 0

  /// Where a request and its answer lie.
  private struct Place {
    let request: GuestAddress, answer: GuestAddress
    static let byteCount = 64 << 10
  }

  /// Connects to a graphics card and starts its queues.
  init(socket: String) throws(BenchError) {
    do {
      arena = try GuestArena([(GuestAddress(0x10_0000), 4 << 20)])
      control = try VirtqueueDriver(arena: arena, size: 64, format: .split)
      cursor = try VirtqueueDriver(arena: arena, size: 64, format: .split)
      command = Place(request: try arena.allocate(Place.byteCount, alignment: 64), answer: try arena.allocate(64))
      poll = Place(request: try arena.allocate(Place.byteCount, alignment: 64), answer: try arena.allocate(64))
    } catch {
      throw .noRoom("guest memory (\(error))")
    }
    do throws(VhostUserError) {
      frontend = try VhostUserFrontend(path: socket)
      // VIRGL, EDID, RESOURCE_UUID, RESOURCE_BLOB, CONTEXT_INIT.
      try frontend.negotiate(
        features: protocolFeaturesBit | RingFeature.version1 | RingFeature.eventIndex
          | RingFeature.indirectDescriptors | 0x1f)
      try frontend.openBackendChannel()
      try frontend.share(arena, asTable: true)
      windowID = try frontend.readSharedMemoryRegions().first?.id ?? Self.window
      for (index, ring) in [control, cursor].enumerated() { try frontend.start(ring, index: UInt32(index)) }
    } catch {
      throw .frontend("\(error)")
    }
  }

  // MARK: Commands

  /// Offers a command and kicks; `wait` tells when it has been answered.
  private func post(_ bytes: [UInt8], _ place: Place) throws(BenchError) -> UInt16 {
    guard bytes.count <= Place.byteCount else { throw .noRoom("a request of \(bytes.count) bytes") }
    arena.bytes(at: place.request, count: bytes.count).copyBytes(from: bytes)
    let token = control.add(
      readable: [VirtqueueDriver.Buffer(place.request, UInt32(bytes.count))],
      writable: [VirtqueueDriver.Buffer(place.answer, 64)], indirect: true)
    guard let token else { throw .noRoom("a request in the ring") }
    control.kick()
    return token
  }

  private func wait(for token: UInt16) throws(BenchError) {
    let end = MonotonicTime.now + .seconds(10)
    while true {
      while let done = control.poll() { finished.insert(done.token) }
      if finished.remove(token) != nil { return }
      guard MonotonicTime.now < end else { throw .timedOut("no answer of the card's") }
      if control.enableCalls() { continue }
      var file = pollfd(fd: control.callBell.waiting.raw, events: Int16(POLLIN), revents: 0)
      if Glibc.poll(&file, 1, 1000) > 0 { _ = control.wasCalled() }
    }
  }

  private func check(_ place: Place, _ what: String) throws(BenchError) {
    let code = arena.bytes(at: place.answer, count: 4).loadUnaligned(as: UInt32.self)
    guard code == ResponseCode.okNoData.rawValue || code == ResponseCode.okMapInfo.rawValue else {
      throw .refused(command: what, response: code)
    }
  }

  private func perform(_ command: Command, tail: [UInt8] = [], requests: Int = 0) throws(BenchError) {
    let token = try post(command.encoded(context: Self.context) + tail, self.command)
    for _ in 0..<requests {
      do throws(VhostUserError) {
        _ = try frontend.nextBackendRequest()
      } catch {
        throw .frontend("\(command.code): \(error)")
      }
    }
    try wait(for: token)
    try check(self.command, "\(command.code)")
  }

  private func newResource() -> ResourceID {
    lastResource += 1
    return ResourceID(rawValue: lastResource)
  }

  // MARK: The channel

  /// Opens the context; where its ring is.
  func startChannel() throws(BenchError) -> GuestAddress {
    try perform(.contextCreate(nameLength: 0, kind: CrossDomain.capset))
    let query = try ring()
    let channel = try ring()
    try submit(.initialize(queryRing: query.0.rawValue, channelRing: channel.0.rawValue, .hub))
    return channel.1
  }

  private func ring() throws(BenchError) -> (ResourceID, GuestAddress) {
    let resource = newResource()
    let address: GuestAddress
    do { address = try arena.allocate(4096, alignment: 4096) } catch { throw .noRoom("a ring (\(error))") }
    let blob = Command.CreateBlob(resource: resource, memory: 1, flags: 1, entryCount: 1, blob: 0, byteCount: 4096)
    try perform(.resourceCreateBlob(blob), tail: MemoryEntry(address: address, length: 4096).encoded)
    try perform(.contextAttachResource(resource))
    return (resource, address)
  }

  /// Gives the context a command.
  func submit(_ command: CrossDomainCommand) throws(BenchError) {
    let token = try post(try Self.bytes(command, flags: []), self.command)
    try wait(for: token)
    try check(self.command, "SUBMIT_3D")
  }

  /// The same, without waiting for the card's answer; to be awaited before the next command.
  func begin(_ command: CrossDomainCommand) throws(BenchError) -> UInt16 {
    try post(try Self.bytes(command, flags: []), self.command)
  }

  /// Waits for the answer to what was begun.
  func finish(_ token: UInt16) throws(BenchError) { try wait(for: token) }

  /// Asks to be woken when the ring has something.
  func postPoll() throws(BenchError) -> UInt16 {
    lastFence += 1
    return try post(try Self.bytes(.poll, flags: [.fence, .ringIndex], FenceID(rawValue: lastFence)), poll)
  }

  private static func bytes(
    _ command: CrossDomainCommand, flags: CommandFlags, _ fence: FenceID = FenceID(rawValue: 0)
  ) throws(BenchError) -> [UInt8] {
    guard let bytes = command.encoded else { throw .noRoom("a command") }
    return Command.submit3D(byteCount: UInt32(bytes.count), fenceCount: 0)
      .encoded(flags: flags, fence: fence, context: context, ring: CrossDomain.channelRing) + bytes
  }

  /// What is on the ring.
  func entry(at ring: GuestAddress) -> [UInt8] { [UInt8](arena.bytes(at: ring, count: 4096)) }

  // MARK: Memory

  /// A blob in the host's memory, and its bytes as the guest sees them.
  func hostBlob(number: UInt64, byteCount: UInt64) throws(BenchError) -> (ResourceID, UnsafeMutableRawBufferPointer) {
    let resource = newResource()
    let blob = Command.CreateBlob(
      resource: resource, memory: 2, flags: 3, entryCount: 0, blob: number, byteCount: byteCount)
    try perform(.resourceCreateBlob(blob))
    try perform(.contextAttachResource(resource))
    let offset = windowEnd
    windowEnd += byteCount
    // The mapping, and the barrier behind it.
    try perform(.resourceMapBlob(resource, offset: offset), requests: 2)
    guard let bytes = frontend.window.bytes(at: offset, count: Int(byteCount), region: windowID) else {
      throw .noRoom("a mapping")
    }
    return (resource, bytes)
  }
}
