import Buffers
import GPUDevice
import Glibc
import Platform
import VhostUser
import Virtqueue

/// A guest and its virtual machine monitor in a few lines: one control queue, one command at a time.
public final class SmallGuest {
  /// What went wrong.
  public struct Failure: Error, CustomStringConvertible {
    /// For people.
    public let description: String
  }

  static let pixels = GuestAddress(0x1_0000_0000)
  private static let pixelCount = 4 << 20
  private static let edid: UInt64 = 1 << 1
  private static let resourceUUID: UInt64 = 1 << 2
  private static let resourceBlob: UInt64 = 1 << 3

  private let arena: GuestArena
  private let control: VirtqueueDriver
  private let cursor: VirtqueueDriver
  private let frontend: VhostUserFrontend
  private let request: GuestAddress
  private let answer: GuestAddress

  /// Connects to a graphics card and starts its queues.
  public init(socket: String) throws {
    arena = try GuestArena([(GuestAddress(0x10_0000), 1 << 20), (Self.pixels, Self.pixelCount)])
    control = try VirtqueueDriver(arena: arena, size: 64, format: .split)
    cursor = try VirtqueueDriver(arena: arena, size: 64, format: .split)
    request = try arena.allocate(64 << 10, alignment: 64)
    answer = try arena.allocate(4096, alignment: 64)
    frontend = try VhostUserFrontend(path: socket)
    try frontend.negotiate(
      features: protocolFeaturesBit | RingFeature.version1 | RingFeature.eventIndex
        | RingFeature.indirectDescriptors | Self.edid | Self.resourceUUID | Self.resourceBlob)
    try frontend.share(arena, asTable: true)
    for (index, ring) in [control, cursor].enumerated() { try frontend.start(ring, index: UInt32(index)) }
  }

  /// Runs one command; the code of its answer.
  public func run(_ command: Command, tail: [UInt8] = [], waits: Bool = true) throws -> UInt32 {
    let bytes = command.encoded() + tail
    arena.bytes(at: request, count: bytes.count).copyBytes(from: bytes)
    let readable = [VirtqueueDriver.Buffer(request, UInt32(bytes.count))]
    let writable = [VirtqueueDriver.Buffer(answer, 24)]
    guard control.add(readable: readable, writable: writable, indirect: true) != nil else {
      throw Failure(description: "the ring is full")
    }
    control.kick()
    guard waits else { return 0 }
    for _ in 0..<5000 {
      if control.poll() != nil { return arena.bytes(at: answer, count: 4).loadUnaligned(as: UInt32.self) }
      usleep(1000)
    }
    throw Failure(description: "no answer to \(command.code)")
  }

  /// The guest's memory from an address on.
  func bytes(at address: GuestAddress, count: Int) -> UnsafeMutableRawBufferPointer {
    arena.bytes(at: address, count: count)
  }

  /// Runs a command that must be answered OK.
  func expect(_ command: Command, tail: [UInt8] = []) throws {
    let code = try run(command, tail: tail)
    guard code == ResponseCode.okNoData.rawValue else {
      throw Failure(description: "\(command.code) was answered 0x\(String(code, radix: 16))")
    }
  }

  /// Makes a picture with backing; nothing of the host's memory is taken yet.
  public func create(_ id: UInt32, _ size: Size) throws {
    try expect(.resourceCreate2D(ResourceID(rawValue: id), format: 2, size: size))
    var entry: [UInt8] = []
    withUnsafeBytes(of: Self.pixels.rawValue.littleEndian) { entry += $0 }
    withUnsafeBytes(of: UInt64(size.width * size.height * 4).littleEndian) { entry += $0 }
    try expect(.resourceAttachBacking(ResourceID(rawValue: id), entryCount: 1), tail: entry)
  }

  /// Copies all of it to the host.
  public func transfer(_ id: UInt32, _ size: Size) throws {
    try expect(.transferToHost2D(ResourceID(rawValue: id), Rectangle(size), offset: 0))
  }

  /// Shows it on the first scanout, or nothing.
  public func show(_ id: UInt32?, _ size: Size) throws {
    try expect(
      .setScanout(ScanoutID(rawValue: 0), resource: ResourceID(rawValue: id ?? 0), source: Rectangle(size)))
  }

  /// Flushes all of it.
  public func flush(_ id: UInt32, _ size: Size) throws {
    try expect(.resourceFlush(ResourceID(rawValue: id), Rectangle(size)))
  }

  /// Gives it up.
  public func unref(_ id: UInt32) throws {
    try expect(.resourceUnref(ResourceID(rawValue: id)))
  }

  /// Stops the queues and starts them again, as a reboot does.
  public func reset() throws {
    for index: UInt32 in 0...1 { _ = try frontend.stop(index: index) }
    for (index, ring) in [control, cursor].enumerated() {
      try ring.reset()
      try frontend.start(ring, index: UInt32(index))
    }
  }

  /// Draws frames until the process ends.
  public func drawForEver(_ size: Size) throws -> Never {
    for id: UInt32 in 1...2 { try create(id, size) }
    var id: UInt32 = 1
    while true {
      try transfer(id, size)
      try show(id, size)
      try flush(id, size)
      id = 3 - id
    }
  }
}
