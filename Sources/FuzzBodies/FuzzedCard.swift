import Buffers
import CrossDomain
import GPUDevice
import GuestChannel
import Platform
import Virtqueue

/// A card with channels, and the guest's side of its control queue: what fuzzers of channels have in common.
final class FuzzedCard {
  private static let requestRoom = 8192

  let device: GPUDevice
  let contexts: ChannelContexts
  let window = FuzzWindow()
  private let arena: GuestArena
  private let driver: VirtqueueDriver
  private let display = NoDisplay()
  private let request: GuestAddress
  private let reply: GuestAddress
  private let ring: GuestAddress
  private var lastFence: UInt64 = 0

  init(_ options: ChannelOptions, loop: EventLoop) throws {
    arena = try GuestArena(count: 1 << 20)
    driver = try VirtqueueDriver(arena: arena, size: 16, format: .split)
    request = try arena.allocate(Self.requestRoom, alignment: 4096)
    reply = try arena.allocate(4608, alignment: 4096)
    ring = try arena.allocate(8192, alignment: 4096)
    contexts = ChannelContexts(options, loop: loop)
    var configuration = GPUConfiguration(limits: .usualLimits(hostAllocated: 1 << 20), maximumResources: 20)
    configuration.allocation = .host
    configuration.hostVisible = 1 << 20
    device = GPUDevice(configuration: configuration, sink: display, contextKinds: [contexts])
    device.featuresAccepted(device.deviceFeatures)
    device.memoryChanged(arena.memory)
    device.sharedMemoryWindowChanged(window)
    let queue = try Virtqueue(index: 0, configuration: driver.configuration, memory: arena.memory)
    device.start(queue)
  }

  /// Sends a command, on ring 1 with a fence or on none.
  func send(_ command: Command, tail: [UInt8] = [], context: ContextID, onRing: Bool) {
    lastFence += 1
    let bytes =
      command.encoded(
        flags: onRing ? [.fence, .ringIndex] : [], fence: FenceID(rawValue: lastFence), context: context,
        ring: onRing ? 1 : 0) + tail
    guard bytes.count <= Self.requestRoom else { return }
    arena.bytes(at: request, count: bytes.count).copyBytes(from: bytes)
    let readable = [VirtqueueDriver.Buffer(request, UInt32(bytes.count))]
    let writable = [VirtqueueDriver.Buffer(reply, 4608)]
    guard driver.add(readable: readable, writable: writable, indirect: true) != nil else { return }
    device.kicked(queue: 0)
    while driver.poll() != nil {}
  }

  func submit(_ command: CrossDomainCommand, _ context: ContextID, onRing: Bool) {
    guard let bytes = command.encoded else { return }
    send(.submit3D(byteCount: UInt32(bytes.count), fenceCount: 0), tail: bytes, context: context, onRing: onRing)
  }

  /// A context whose both rings are one resource of so many bytes.
  func open(_ context: ContextID, to type: ChannelType, ring id: ResourceID, byteCount: UInt32) {
    send(.contextCreate(nameLength: 0, kind: CrossDomain.capset), context: context, onRing: false)
    let blob = Command.CreateBlob(
      resource: id, memory: 1, flags: 1, entryCount: 1, blob: 0, byteCount: UInt64(byteCount))
    let entry = MemoryEntry(address: ring, length: byteCount)
    send(.resourceCreateBlob(blob), tail: entry.encoded, context: context, onRing: false)
    send(.contextAttachResource(id), context: context, onRing: false)
    submit(.initialize(queryRing: id.rawValue, channelRing: id.rawValue, type), context, onRing: false)
  }

  /// The end of the VM.
  func end() {
    device.reset()
    window.answerAll(device, succeeded: true)
    window.answerAll(device, succeeded: true)
  }
}
