import Buffers
import GPUDevice
import Platform
import Testing
import Virtqueue

/// A guest with a card in this process: memory, both queues, and a display that remembers.
final class Guest {
  let arena: GuestArena
  let sink = FakeSink()
  let window = FakeWindow()
  let device: GPUDevice
  let control: VirtqueueDriver
  let cursor: VirtqueueDriver
  private(set) var queues: [Virtqueue] = []
  var answeredChanges = 0
  private let requestArea: GuestAddress
  private let replyArea: GuestAddress
  private var waiting: [UInt16: (address: GuestAddress, room: Int)] = [:]

  private static let blank = [UInt8](repeating: 0xee, count: replyRoom)
  static let requestRoom = 512 << 10
  static let replyRoom = 8192

  init(
    _ format: VirtqueueConfiguration.Format = .split, scanouts: [Size] = [Size(width: 640, height: 480)],
    limits: LedgerAmounts = .usualLimits, maximumResources: Int = 65_536, memory: Int = 16 << 20, ringSize: UInt32 = 64,
    name: String = "test", contextKinds: [any ContextKind] = [],
    renderer: (any Renderer)? = nil, configure: (inout GPUConfiguration) -> Void = { _ in }
  ) throws {
    arena = try GuestArena(count: memory)
    var configuration = GPUConfiguration(
      scanouts: scanouts, name: name, limits: limits, maximumResources: maximumResources)
    configure(&configuration)
    device = GPUDevice(configuration: configuration, sink: sink, contextKinds: contextKinds, renderer: renderer)
    control = try VirtqueueDriver(arena: arena, size: ringSize, format: format)
    cursor = try VirtqueueDriver(arena: arena, size: 16, format: format)
    requestArea = try arena.allocate(Self.requestRoom, alignment: 4096)
    replyArea = try arena.allocate(Self.replyRoom, alignment: 4096)
    device.featuresAccepted(device.deviceFeatures)
    device.memoryChanged(arena.memory)
    device.sharedMemoryWindowChanged(window)
    try startQueues()
  }

  func startQueues() throws {
    queues = []
    for (index, driver) in [control, cursor].enumerated() {
      let queue = try Virtqueue(index: index, configuration: driver.configuration, memory: arena.memory)
      queue.callDescriptor = driver.callBell.ringing
      queues.append(queue)
      device.start(queue)
    }
  }

  // MARK: One request at a time

  /// An answer: its bytes up to the length that the device claimed.
  struct Reply: Equatable {
    var bytes: [UInt8]
    var type: UInt32 { word(0) }
    var code: ResponseCode? { bytes.count >= 4 ? ResponseCode(rawValue: type) : nil }
    var header: CommandHeader? { bytes.withUnsafeBytes { CommandHeader(decoding: $0) } }
    func word(_ offset: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) } }
  }

  /// Sends bytes, lets the device work, and takes the answer; nil when there was none.
  func send(
    _ bytes: [UInt8], room: Int = replyRoom, toCursorQueue: Bool = false, readPieces: Int = 1, writePieces: Int = 1,
    indirect: Bool = true
  ) throws -> Reply? {
    let driver = toCursorQueue ? cursor : control
    arena.bytes(at: requestArea, count: Self.requestRoom).copyBytes(from: bytes)
    arena.bytes(at: replyArea, count: Self.replyRoom).copyBytes(from: Self.blank)
    let readable = Self.pieces(requestArea, bytes.count, readPieces)
    let writable = Self.pieces(replyArea, room, writePieces)
    let token = try #require(driver.add(readable: readable, writable: writable, indirect: indirect))
    device.kicked(queue: toCursorQueue ? 1 : 0)
    guard let done = driver.poll() else { return nil }
    #expect(done.token == token)
    #expect(driver.violations.isEmpty)
    let reply = [UInt8](arena.bytes(at: replyArea, count: Self.replyRoom))
    let rest = Int(done.written)..<Self.replyRoom
    #expect(reply[rest] == Self.blank[rest], "bytes beyond the claimed length")
    return Reply(bytes: Array(reply[..<Int(done.written)]))
  }

  static func pieces(_ address: GuestAddress, _ count: Int, _ pieces: Int) -> [VirtqueueDriver.Buffer] {
    guard count > 0 else { return [] }
    let size = max(1, (count + pieces - 1) / pieces)
    return stride(from: 0, to: count, by: size).map { start in
      VirtqueueDriver.Buffer(GuestAddress(address.rawValue + UInt64(start)), UInt32(min(size, count - start)))
    }
  }

  /// Sends a command and returns the answer, which there must be.
  @discardableResult
  func run(_ command: Command, flags: CommandFlags = [], fence: UInt64 = 0, context: UInt32 = 0) throws -> Reply {
    let bytes = command.encoded(
      flags: flags, fence: FenceID(rawValue: fence), context: ContextID(rawValue: context))
    return try #require(try send(bytes, toCursorQueue: command.code.isCursorCommand))
  }

  /// Sends a command and returns the code of its answer.
  func code(_ command: Command) throws -> ResponseCode? { try run(command).code }

  // MARK: Many at a time

  /// Offers a command without letting the device work; its token.
  func post(
    _ command: Command, fence: UInt64? = nil, context: UInt32 = 0, ring: UInt8? = nil, room: Int = 24,
    trailing: [UInt8] = []
  ) throws -> UInt16 {
    var flags: CommandFlags = fence == nil ? [] : .fence
    if ring != nil { flags.insert(.ringIndex) }
    let bytes =
      command.encoded(
        flags: flags, fence: FenceID(rawValue: fence ?? 0), context: ContextID(rawValue: context), ring: ring ?? 0)
      + trailing
    let request = try arena.allocate(bytes.count)
    let reply = try arena.allocate(room)
    try arena.write(bytes, at: request)
    let writable = VirtqueueDriver.Buffer(reply, UInt32(room))
    let readable = VirtqueueDriver.Buffer(request, UInt32(bytes.count))
    let token = try #require(control.add(readable: [readable], writable: [writable], indirect: true))
    waiting[token] = (reply, room)
    return token
  }

  func kick() { device.kicked(queue: 0) }

  /// The tokens that the device has given back since the last call, in its order.
  func completed() -> [UInt16] {
    var tokens: [UInt16] = []
    while let done = control.poll() { tokens.append(done.token) }
    return tokens
  }

  /// `map_info` of the stored answer to a posted MAP_BLOB.
  func mapInfo(of token: UInt16) throws -> UInt32 {
    let (address, room) = try #require(waiting[token])
    return try arena.read(at: address, count: room).withUnsafeBytes {
      $0.loadUnaligned(fromByteOffset: 24, as: UInt32.self)
    }
  }

  /// The stored answer to a posted command.
  func answer(to token: UInt16) throws -> CommandHeader? {
    let (address, room) = try #require(waiting[token])
    return try arena.read(at: address, count: room).withUnsafeBytes { CommandHeader(decoding: $0) }
  }

  // MARK: Resources

  func create(
    _ id: UInt32, width: UInt32 = 64, height: UInt32 = 64, format: ResourceFormat = .b8g8r8x8
  ) throws -> ResponseCode? {
    let size = Size(width: width, height: height)
    return try code(.resourceCreate2D(ResourceID(rawValue: id), format: format.rawValue, size: size))
  }

  func attach(_ id: UInt32, _ entries: [MemoryEntry], claiming count: UInt32? = nil) throws -> ResponseCode? {
    let command = Command.resourceAttachBacking(
      ResourceID(rawValue: id), entryCount: count ?? UInt32(entries.count))
    return try send(command.encoded() + entries.flatMap(\.encoded))?.code
  }

  func transfer(
    _ id: UInt32, _ x: UInt32, _ y: UInt32, _ width: UInt32, _ height: UInt32, offset: UInt64 = 0
  ) throws -> ResponseCode? {
    let rectangle = Rectangle(x: x, y: y, width: width, height: height)
    return try code(.transferToHost2D(ResourceID(rawValue: id), rectangle, offset: offset))
  }

  func show(
    _ id: UInt32, on scanout: UInt32 = 0, _ x: UInt32 = 0, _ y: UInt32 = 0, _ width: UInt32 = 64,
    _ height: UInt32 = 64
  ) throws -> ResponseCode? {
    let source = Rectangle(x: x, y: y, width: width, height: height)
    return try code(
      .setScanout(ScanoutID(rawValue: scanout), resource: ResourceID(rawValue: id), source: source))
  }

  func flush(
    _ id: UInt32, _ x: UInt32 = 0, _ y: UInt32 = 0, _ width: UInt32 = 64, _ height: UInt32 = 64
  ) throws -> ResponseCode? {
    try code(.resourceFlush(ResourceID(rawValue: id), Rectangle(x: x, y: y, width: width, height: height)))
  }

  func unref(_ id: UInt32) throws -> ResponseCode? { try code(.resourceUnref(ResourceID(rawValue: id))) }
  func detach(_ id: UInt32) throws -> ResponseCode? { try code(.resourceDetachBacking(ResourceID(rawValue: id))) }

  /// A resource with one piece of backing that is filled with bytes of a pattern; where that is.
  @discardableResult
  func picture(
    _ id: UInt32, width: UInt32 = 64, height: UInt32 = 64, format: ResourceFormat = .b8g8r8x8, seed: UInt8 = 1
  ) throws -> GuestAddress {
    #expect(try create(id, width: width, height: height, format: format) == .okNoData)
    let count = Int(width * height * 4)
    let address = try arena.allocate(count, alignment: 4096)
    try arena.write(Guest.pattern(count, seed: seed), at: address)
    #expect(try attach(id, [MemoryEntry(address: address, length: UInt32(count))]) == .okNoData)
    return address
  }

  static func pattern(_ count: Int, seed: UInt8) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: index &* 31 &+ index >> 8 &* 7) &+ seed }
    return bytes
  }

  /// The host's pixels of what a scanout shows.
  func pixels(on scanout: UInt32 = 0) throws -> [UInt8] {
    let picture = try #require(sink.contents[scanout]).picture
    let stride = Int(picture.layout.stride)
    var bytes = [UInt8](repeating: 0, count: stride * Int(picture.layout.size.height))
    let isThere = bytes.withUnsafeMutableBytes { bytes in
      bytes.baseAddress.map { picture.copy(Rectangle(picture.layout.size), to: $0, stride: stride) } ?? false
    }
    #expect(isThere)
    return bytes
  }
}
