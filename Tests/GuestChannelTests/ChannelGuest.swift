import Buffers
import CrossDomain
import GPUDevice
import GuestChannel
import HubProtocol
import Platform
import Testing
import Virtqueue

/// A VMM that maps at once, so that a test sees what its guest would see.
final class MappingWindow: SharedMemoryWindow {
  weak var device: GPUDevice?
  private(set) var mapped: [UInt64: MemoryMapping] = [:]
  private(set) var files: [UInt64: SharedDescriptor] = [:]
  /// Whether a map that ignores what it was told, as QEMU's, would let the guest write.
  private(set) var couldWrite: [UInt64: Bool] = [:]

  func map(
    _ piece: SharedMemoryPiece, of descriptor: SharedDescriptor, isWritable: Bool, _ ticket: SharedMemoryTicket
  ) -> Bool {
    mapped[piece.offset] = try? MemoryMapping(
      descriptor: descriptor.raw, count: Int(piece.byteCount), access: isWritable ? .readWrite : .readOnly)
    files[piece.offset] = descriptor
    couldWrite[piece.offset] = SharedMemory.canWrite(descriptor.raw)
    answer(ticket, piece)
    return true
  }

  func unmap(_ piece: SharedMemoryPiece, _ ticket: SharedMemoryTicket) -> Bool {
    mapped[piece.offset] = nil
    answer(ticket, piece)
    return true
  }

  private var loop: EventLoop?
  func serve(on loop: EventLoop) { self.loop = loop }

  private func answer(_ ticket: SharedMemoryTicket, _ piece: SharedMemoryPiece) {
    loop?.afterEvents { [weak self] in self?.device?.sharedMemoryChanged(ticket, succeeded: true) }
  }
}

/// A guest that opens channels: its card, with commands one at a time.
final class ChannelGuest {
  let device: GPUDevice
  let contexts: ChannelContexts
  let display = NoDisplay()
  let window = MappingWindow()
  private let arena: GuestArena
  private let driver: VirtqueueDriver
  private let queue: Virtqueue
  private let loop: EventLoop
  private let request: GuestAddress
  private var lastFence: UInt64 = 0
  private var posted: [UInt16: GuestAddress] = [:]
  private(set) var done: Set<UInt16> = []

  init(_ options: ChannelOptions, loop: EventLoop, limits: LedgerAmounts = .usualLimits) throws {
    self.loop = loop
    arena = try GuestArena(count: 16 << 20)
    contexts = ChannelContexts(options, loop: loop)
    var configuration = GPUConfiguration(name: options.vm.text, limits: limits)
    configuration.allocation = .host
    device = GPUDevice(configuration: configuration, sink: display, contextKinds: [contexts])
    driver = try VirtqueueDriver(arena: arena, size: 64, format: .split)
    queue = try Virtqueue(index: 0, configuration: driver.configuration, memory: arena.memory)
    queue.callDescriptor = driver.callBell.ringing
    request = try arena.allocate(128 << 10, alignment: 4096)
    device.featuresAccepted(device.deviceFeatures)
    device.memoryChanged(arena.memory)
    window.device = device
    window.serve(on: loop)
    device.sharedMemoryWindowChanged(window)
    device.start(queue)
  }

  // MARK: Commands

  /// Posts a command; its answer comes at once unless its fence waits.
  func post(_ command: Command, tail: [UInt8] = [], context: UInt32 = 0, ring: UInt8? = nil) throws -> UInt16 {
    lastFence += 1
    let flags: CommandFlags = ring == nil ? [] : [.fence, .ringIndex]
    let bytes =
      command.encoded(
        flags: flags, fence: FenceID(rawValue: lastFence), context: ContextID(rawValue: context), ring: ring ?? 0)
      + tail
    try arena.write(bytes, at: request)
    let reply = try arena.allocate(64)
    let token = try #require(
      driver.add(
        readable: [VirtqueueDriver.Buffer(request, UInt32(bytes.count))],
        writable: [VirtqueueDriver.Buffer(reply, 64)], indirect: true))
    posted[token] = reply
    done.remove(token)
    device.kicked(queue: 0)
    collect()
    return token
  }

  func collect() {
    while let finished = driver.poll() { done.insert(finished.token) }
  }

  /// Posts a command and turns the loop until its answer is there; its code.
  @discardableResult
  func run(_ command: Command, tail: [UInt8] = [], context: UInt32 = 0) throws -> ResponseCode? {
    let token = try post(command, tail: tail, context: context)
    try wait { self.done.contains(token) }
    let reply = try #require(posted[token])
    return ResponseCode(rawValue: arena.bytes(at: reply, count: 4).loadUnaligned(as: UInt32.self))
  }

  func wait(_ condition: () throws -> Bool) throws {
    let deadline = MonotonicTime.now + .seconds(10)
    collect()
    while try !condition() {
      try #require(MonotonicTime.now < deadline, "nothing happened")
      try loop.runOnce(timeout: .milliseconds(2))
      collect()
    }
  }

  /// Turns the loop for as long as something that is on its way needs.
  func turn() throws {
    for _ in 0..<20 { try loop.runOnce(timeout: .milliseconds(1)) }
    collect()
  }

  // MARK: Memory

  /// A blob of its own pages, for rings; where it is.
  func ring(_ id: UInt32, context: UInt32, byteCount: Int = 4096) throws -> GuestAddress {
    let address = try arena.allocate(byteCount, alignment: 4096)
    let blob = Command.CreateBlob(
      resource: ResourceID(rawValue: id), memory: 1, flags: 1, entryCount: 1, blob: 0, byteCount: UInt64(byteCount))
    let entry = MemoryEntry(address: address, length: UInt32(byteCount))
    #expect(try run(.resourceCreateBlob(blob), tail: entry.encoded, context: context) == .okNoData)
    try attach(id, to: context)
    return address
  }

  /// A blob in the host's memory.
  func hostBlob(_ id: UInt32, _ number: UInt64, _ byteCount: UInt64, context: UInt32) throws -> ResponseCode? {
    let blob = Command.CreateBlob(
      resource: ResourceID(rawValue: id), memory: 2, flags: 3, entryCount: 0, blob: number, byteCount: byteCount)
    let code = try run(.resourceCreateBlob(blob), context: context)
    if code == .okNoData { try attach(id, to: context) }
    return code
  }

  func attach(_ id: UInt32, to context: UInt32) throws {
    #expect(try run(.contextAttachResource(ResourceID(rawValue: id)), context: context) == .okNoData)
  }

  /// Maps a blob; its bytes.
  func map(_ id: UInt32, at offset: UInt64) throws -> UnsafeMutableRawBufferPointer {
    #expect(try run(.resourceMapBlob(ResourceID(rawValue: id), offset: offset)) == .okMapInfo)
    return try #require(window.mapped[offset]).mutableBytes
  }

  /// The VMM tells of what it has mapped at an offset of the window as of the guest's memory, at an address.
  func tellOfWindow(_ offset: UInt64, at address: GuestAddress) throws {
    let mapping = try #require(window.mapped[offset])
    let file = try #require(window.files[offset])
    let named = MemoryRegionFile(identity: MemoryRegionFile.Identity(device: 1, number: 1), descriptor: file)
    let region = MemoryRegion(
      guestAddress: address, count: UInt64(mapping.count), userAddress: address.rawValue, mapping: mapping, file: named)
    try arena.memory.add(region)
    device.memoryChanged(arena.memory)
  }

  /// The VMM has put other memory in the place of the guest's.
  func loseMemory() throws { device.memoryChanged(try GuestArena(count: 4096).memory) }

  func write(_ bytes: [UInt8], at address: GuestAddress) throws { try arena.write(bytes, at: address) }

  func bytes(at address: GuestAddress, count: Int) -> [UInt8] { [UInt8](arena.bytes(at: address, count: count)) }
}
