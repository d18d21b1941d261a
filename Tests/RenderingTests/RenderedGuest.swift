import Buffers
import GPUDevice
import Geometry
import Platform
import Rendering
import Testing
import Virtqueue

/// The library of this machine, started once; nil where it, or a driver for it, is not installed.
@LibraryThread enum Trial {
  static let loop = try? EventLoop()
  static let renderer: VirglRenderer? = {
    guard let loop, let renderer = try? VirglRenderer(VirglOptions()) else { return nil }
    try? renderer.attach(to: loop)
    return renderer
  }()
  static var isThere: Bool { renderer != nil }
  nonisolated static let skipped: Comment = "libvirglrenderer, or an EGL driver, is not installed"
}

/// A guest with a card that draws by the real library.
final class RenderedGuest: DisplaySink {
  let arena: GuestArena
  let driver: VirtqueueDriver
  private(set) var contents: [ScanoutContent?] = []
  private var card: GPUDevice?
  private var queue: Virtqueue?
  private let loop: EventLoop

  var device: GPUDevice { get throws { try #require(card) } }

  @LibraryThread init(limits: LedgerAmounts = .usualLimits) throws {
    loop = try #require(Trial.loop)
    let renderer = try #require(Trial.renderer)
    arena = try GuestArena(count: 16 << 20)
    driver = try VirtqueueDriver(arena: arena, size: 64, format: .split)
    let configuration = GPUConfiguration(scanouts: [Size(width: 64, height: 64)], limits: limits)
    let device = GPUDevice(configuration: configuration, sink: self, contextKinds: renderer.kinds, renderer: renderer)
    device.featuresAccepted(device.deviceFeatures)
    device.memoryChanged(arena.memory)
    let queue = try Virtqueue(index: 0, configuration: driver.configuration, memory: arena.memory)
    device.start(queue)
    (card, self.queue) = (device, queue)
  }

  /// Ends what the guest has: the library is the next test's.
  func end() throws { try device.reset() }

  /// Sends a command; its token, and where the answer will be.
  func post(
    _ command: Command, _ more: [UInt8] = [], context: UInt32 = 0, fence: UInt64? = nil, ring: UInt8? = nil,
    room: Int = 8192
  ) throws -> (token: UInt16, reply: GuestAddress) {
    var flags: CommandFlags = fence == nil ? [] : .fence
    if ring != nil { flags.insert(.ringIndex) }
    let bytes =
      command.encoded(
        flags: flags, fence: FenceID(rawValue: fence ?? 0), context: ContextID(rawValue: context), ring: ring ?? 0)
      + more
    let request = try arena.allocate(bytes.count)
    let reply = try arena.allocate(room)
    try arena.write(bytes, at: request)
    let token = try #require(
      driver.add(
        readable: [VirtqueueDriver.Buffer(request, UInt32(bytes.count))],
        writable: [VirtqueueDriver.Buffer(reply, UInt32(room))], indirect: true))
    try device.kicked(queue: 0)
    return (token, reply)
  }

  /// Sends a command and waits for its answer; the code of it.
  @discardableResult
  func run(
    _ command: Command, _ more: [UInt8] = [], context: UInt32 = 0, fence: UInt64? = nil, ring: UInt8? = nil
  ) throws -> ResponseCode? {
    let (token, reply) = try post(command, more, context: context, fence: fence, ring: ring)
    try wait(for: token)
    let type = try arena.read(at: reply, count: 4).withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
    return ResponseCode(rawValue: type)
  }

  /// Waits, without asking the library, until a request is answered.
  func wait(for token: UInt16) throws {
    let deadline = MonotonicTime.now + .seconds(20)
    while true {
      if let done = driver.poll() {
        #expect(done.token == token)
        return
      }
      try #require(MonotonicTime.now < deadline, "no answer")
      try loop.runOnce(timeout: .seconds(1))
    }
  }

  func submit(
    _ words: [UInt32], context: UInt32 = 1, fence: UInt64? = nil, ring: UInt8? = nil
  ) throws -> ResponseCode? {
    let bytes = Drawing.bytes(words)
    return try run(
      .submit3D(byteCount: UInt32(bytes.count), fenceCount: 0), bytes, context: context, fence: fence, ring: ring)
  }

  /// A context with a resource that can be drawn into.
  func target(_ id: UInt32 = 1, context: UInt32 = 1, size: UInt32 = 64, format: UInt32 = 1) throws {
    #expect(try run(.contextCreate(nameLength: 0, kind: 0), context: context) == .okNoData)
    #expect(try run(.createTarget(id, size, size, format: format)) == .okNoData)
    #expect(try run(.contextAttachResource(ResourceID(rawValue: id)), context: context) == .okNoData)
  }

  /// Pages behind a resource.
  func backing(_ id: UInt32, count: Int) throws -> GuestAddress {
    let address = try arena.allocate(count, alignment: 4096)
    let entry = MemoryEntry(address: address, length: UInt32(count))
    #expect(
      try run(.resourceAttachBacking(ResourceID(rawValue: id), entryCount: 1), entry.encoded) == .okNoData)
    return address
  }

  // MARK: Display

  func scanoutChanged(_ scanout: ScanoutID, to content: ScanoutContent?) { contents.append(content) }
  func flush(_ scanout: ScanoutID, picture: Picture, damage: Rectangle, token: FlushToken) -> FlushResult { .latched }
  func cursorChanged(_ cursor: CursorState) {}
  func cursorMoved(_ scanout: ScanoutID, x: Int32, y: Int32) {}
  func pictureRetired(_ picture: Picture) {}
  func memoryMoved(_ scanout: ScanoutID, _ picture: Picture) {}

  /// The pixels that the scanout shows.
  func pixels() throws -> [UInt32] {
    let picture = try #require(contents.last ?? nil).picture
    let size = picture.layout.size
    var pixels = [UInt32](repeating: 0, count: Int(size.width * size.height))
    let isThere = pixels.withUnsafeMutableBytes { bytes in
      bytes.baseAddress.map { picture.copy(Rectangle(size), to: $0, stride: Int(size.width) * 4) } ?? false
    }
    #expect(isThere)
    return pixels
  }
}
