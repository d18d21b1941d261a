import Buffers
import GPUDevice
import Platform
import VhostUser
import Virtqueue

/// A guest with its virtual machine monitor: memory, both queues, a connection to a back-end.
final class Guest {
  /// Entries of each queue.
  private static let ringSize: UInt32 = 256
  private static let requestMemory = 16 << 20
  private static let pixelMemory = 64 << 20
  private static let longestRequest = 1 << 20
  private static let slotMemorySize = 8 << 20

  let arena: GuestArena
  let control: GuestQueue
  let cursor: GuestQueue
  private let frontend: VhostUserFrontend
  private var lastResource: UInt32 = 0
  private let single: (request: GuestAddress, answer: GuestAddress)
  /// Where the requests of one measurement lie, and how much of it they take.
  private let slotMemory: GuestAddress
  private var slotBytes = 0

  /// Where pictures lie.
  let pictureMemory: (address: GuestAddress, count: Int)

  /// Connects to a back-end and starts both queues; with a display, hands it a display socket, whose pictures go
  /// there. With `renders` its driver knows 3D.
  init(connectingTo path: String, display: DisplayReader?, renders: Bool = false) throws(BenchError) {
    let pictures = GuestAddress(0x1_0000_0000)
    pictureMemory = (pictures, Self.pixelMemory)
    do {
      let arena = try GuestArena([(GuestAddress(0x10_0000), Self.requestMemory), (pictures, Self.pixelMemory)])
      control = GuestQueue(try VirtqueueDriver(arena: arena, size: Self.ringSize, format: .split))
      cursor = GuestQueue(try VirtqueueDriver(arena: arena, size: Self.ringSize, format: .split))
      single = (try arena.allocate(Self.longestRequest), try arena.allocate(2048))
      slotMemory = try arena.allocate(Self.slotMemorySize, alignment: 64)
      self.arena = arena
    } catch {
      throw .noRoom("guest memory (\(error))")
    }
    do {
      frontend = try VhostUserFrontend(path: path)
      try Self.start(frontend, arena, [control.ring, cursor.ring], display, renders: renders)
    } catch {
      throw .frontend("\(error)")
    }
  }

  private static func start(
    _ frontend: VhostUserFrontend, _ arena: GuestArena, _ rings: [VirtqueueDriver], _ display: DisplayReader?,
    renders: Bool
  ) throws(VhostUserError) {
    let (virgl, edid, resourceBlob) = (UInt64(renders ? 1 << 0 : 0), UInt64(1 << 1), UInt64(1 << 3))
    try frontend.negotiate(
      features: protocolFeaturesBit | RingFeature.version1 | RingFeature.eventIndex
        | RingFeature.indirectDescriptors | virgl | edid | resourceBlob)
    try frontend.share(arena, asTable: true)
    if let display { display.start(try frontend.openDisplaySocket()) }
    for (index, ring) in rings.enumerated() { try frontend.start(ring, index: UInt32(index)) }
  }

  /// A resource id never used before.
  func newResource() -> ResourceID {
    lastResource += 1
    return ResourceID(rawValue: lastResource)
  }

  /// Runs one command of the control queue, with what follows it, and expects OK.
  func perform(_ command: Command, tail: [UInt8] = [], context: ContextID = .none) throws(BenchError) {
    let request = command.encoded(context: context) + tail
    guard request.count <= Self.longestRequest else { throw .noRoom("a request of \(request.count) bytes") }
    arena.bytes(at: single.request, count: request.count).copyBytes(from: request)
    let slot = CommandSlots.Slot(
      readable: [VirtqueueDriver.Buffer(single.request, UInt32(request.count))],
      writable: [VirtqueueDriver.Buffer(single.answer, UInt32(CommandHeader.byteCount))], answer: single.answer,
      name: "\(command.code)")
    try control.add(slot)
    try control.complete(1)
    let response = word(at: single.answer)
    guard response == ResponseCode.okNoData.rawValue else { throw .refused(command: slot.name, response: response) }
  }

  /// Makes a resource of XRGB pixels.
  func create(_ size: Size) throws(BenchError) -> ResourceID {
    let resource = newResource()
    try perform(.resourceCreate2D(resource, format: Self.pixelFormat, size: size))
    return resource
  }

  /// Makes a resource with backing.
  func create(_ size: Size, _ backing: Backing) throws(BenchError) -> ResourceID {
    let resource = try create(size)
    let count = UInt32(backing.entries.count)
    try perform(.resourceAttachBacking(resource, entryCount: count), tail: backing.encoded)
    return resource
  }

  /// Makes a blob of the guest's own pages.
  func createBlob(_ backing: Backing) throws(BenchError) -> ResourceID {
    let resource = newResource()
    let byteCount = backing.entries.reduce(0) { $0 + UInt64($1.count) }
    try perform(
      .resourceCreateBlob(
        Command.CreateBlob(
          resource: resource, memory: Self.blobMemoryGuest, flags: 0, entryCount: UInt32(backing.entries.count),
          blob: 0, byteCount: byteCount)), tail: backing.encoded)
    return resource
  }

  /// VIRTIO_GPU_BLOB_MEM_GUEST.
  private static let blobMemoryGuest: UInt32 = 1

  /// VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, what Linux guests use for screens.
  static let pixelFormat: UInt32 = 2

  // MARK: Memory

  /// Copies bytes into memory of their own.
  func write(_ bytes: [UInt8]) throws(BenchError) -> GuestAddress {
    let place = try allocate(bytes.count)
    arena.bytes(at: place, count: bytes.count).copyBytes(from: bytes)
    return place
  }

  /// Takes memory for a request or an answer, until `forgetRequests`.
  func allocate(_ count: Int) throws(BenchError) -> GuestAddress {
    let size = (count + 63) / 64 * 64
    guard size <= Self.slotMemorySize - slotBytes else { throw .noRoom("\(count) bytes of a request") }
    defer { slotBytes += size }
    return GuestAddress(slotMemory.rawValue + UInt64(slotBytes))
  }

  /// Gives the memory of all requests back: a measurement is over.
  func forgetRequests() { slotBytes = 0 }

  /// The word at an address of the request memory.
  func word(at address: GuestAddress) -> UInt32 {
    UInt32(littleEndian: arena.bytes(at: address, count: 4).loadUnaligned(as: UInt32.self))
  }
}
