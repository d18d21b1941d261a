import Buffers
import Glibc
import Hub
import HubProtocol
import Logging
import Platform
import TestSupport
import Testing

@testable import Compositor

/// Pictures in the memory of a VM, shown by a real hub and a compositor without a copy.
@Suite("Pictures in a VM's memory", .serialized)
final class GuestMemoryTests: ProducerClientDelegate {
  private let loop: EventLoop
  private let path: String
  private let hub: Hub
  private var latched: UInt64 = 0

  init() throws {
    loop = try EventLoop()
    path = "/tmp/compositor-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
    var configuration = Hub.Configuration()
    configuration.grace = .zero
    configuration.guestMemoryReaders = .all
    hub = Hub(loop: loop, configuration: configuration)
    try hub.listen(path: path)
  }

  deinit { unlink(path) }

  func producer(_ client: ProducerClient, latched scanout: ScanoutIndex, through serial: UInt64) { latched = serial }
  func producer(_ client: ProducerClient, wants mode: Size, of scanout: ScanoutIndex) {}
  func producer(_ client: ProducerClient, link: HubLinkState) {}

  private func compositor(_ size: Size) throws -> Compositor {
    let compositor = try Compositor(
      options: CompositorOptions(hubPath: path, display: try #require(PeerName("main")), size: size), loop: loop,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    try compositor.start()
    return compositor
  }

  private func producer(of memory: ScatteredPicture) throws -> ProducerClient {
    let client = ProducerClient(hubPath: path, vm: try #require(PeerName("a")), loop: loop)
    client.delegate = self
    client.setVMConnected(true)
    client.setMode(memory.layout.size, of: ScanoutIndex(0))
    let number = client.registerMemory(memory.readOnly, byteCount: UInt64(memory.byteCount))
    try client.show(
      try memory.picture(in: number), source: Rectangle(memory.layout.size), on: ScanoutIndex(0))
    client.start()
    return client
  }

  private func run(
    atMost limit: Duration = .seconds(30), line: Int = #line, until condition: () -> Bool
  ) throws {
    let end = MonotonicTime.now + limit
    while !condition() {
      try #require(MonotonicTime.now < end, "timed out at line \(line)")
      try loop.runOnce(timeout: .milliseconds(20))
    }
  }

  /// The first pixel of the composed frame that is not the VM's.
  private func firstDifference(_ compositor: Compositor, _ memory: ScatteredPicture) -> String? {
    let frame = compositor.output.frame
    for y in 0..<memory.layout.size.height {
      for x in 0..<memory.layout.size.width {
        let offset = Int(y) * Int(frame.buffer.layout.stride) + Int(x) * 4
        let shown = frame.pixels.load(fromByteOffset: offset, as: UInt32.self) & 0xff_ffff
        let drawn = memory.pixel(x, y) & 0xff_ffff
        if shown != drawn { return "\(x),\(y): \(String(shown, radix: 16)) instead of \(String(drawn, radix: 16))" }
      }
    }
    return nil
  }

  private static let sizes = [
    (Size(width: 1920, height: 1080), 2025, UInt64(0)), (Size(width: 3840, height: 2160), 8100, 0),
    (Size(width: 1920, height: 1080), 2026, 16),
  ]

  @Test(
    "a frame in pages that are scattered all over the VM's memory is shown pixel by pixel as it is", arguments: sizes)
  func scattered(size: Size, pageCount: Int, offset: UInt64) throws {
    let memory = try ScatteredPicture(
      try #require(PixelLayout(size: size, format: .xrgb8888, offset: offset)), seed: UInt64(pageCount))
    #expect(memory.pages.count == pageCount)
    let compositor = try compositor(size)
    let client = try producer(of: memory)
    var shown = 0
    try run {
      shown = memory.mappedPieces
      return shown == pageCount && compositor.composer.counters.frames > 1
    }
    #expect(firstDifference(compositor, memory) == nil)
    // What the guest draws next is in its own pages only, and that is where the frame comes from.
    memory.draw(Rectangle(x: 100, y: 200, width: 64, height: 64), seed: 99)
    let serial = try #require(
      client.flush(ScanoutIndex(0), damage: Rectangle(x: 100, y: 200, width: 64, height: 64)))
    try run { latched == serial }
    #expect(firstDifference(compositor, memory) == nil)
    compositor.stop()
  }

  @Test("the guest's stride, offset and format are taken as they are", arguments: PixelFormat.known)
  func layouts(format: PixelFormat) throws {
    let size = Size(width: 333, height: 77)
    let layout = try #require(PixelLayout(size: size, format: format, stride: 1340, offset: 4100))
    let memory = try ScatteredPicture(layout, seed: UInt64(format.rawValue))
    let compositor = try compositor(size)
    let client = try producer(of: memory)
    try run { memory.mappedPieces > 0 && compositor.composer.counters.frames > 1 }
    #expect(firstDifference(compositor, memory) == nil)
    client.stop()
    compositor.stop()
  }

  @Test("memory that its VMM truncates becomes black, the display goes on, and nothing of it stays mapped")
  func truncated() throws {
    let size = Size(width: 640, height: 480)
    let memory = try ScatteredPicture(
      try #require(PixelLayout(size: size, format: .xrgb8888)), seed: 7, isSealed: false)
    let compositor = try compositor(size)
    let client = try producer(of: memory)
    try run { memory.mappedPieces > 0 && compositor.composer.counters.frames > 1 }
    #expect(firstDifference(compositor, memory) == nil)
    let frames = compositor.composer.counters.frames
    memory.truncate()
    _ = try #require(client.flush(ScanoutIndex(0), damage: Rectangle(size)))
    try run { compositor.composer.counters.frames > frames && memory.mappedPieces == 0 }
    try run {
      let frame = compositor.output.frame
      return frame.pixels.withMemoryRebound(to: UInt32.self) { $0.allSatisfy { $0 & 0xff_ffff == 0 } }
    }
    let next = try TestBuffer(size.width, size.height) { _, _ in 0x12_3456 }
    try client.show(next.host, source: Rectangle(size), on: ScanoutIndex(0))
    try run {
      compositor.output.frame.pixels.load(fromByteOffset: 0, as: UInt32.self) & 0xff_ffff == 0x12_3456
    }
    client.stop()
    compositor.stop()
  }

  @Test("a picture that is replaced is unmapped")
  func replaced() throws {
    let size = Size(width: 640, height: 480)
    let layout = try #require(PixelLayout(size: size, format: .xrgb8888))
    let memory = try ScatteredPicture(layout, seed: 7)
    let compositor = try compositor(size)
    let client = try producer(of: memory)
    try run { memory.mappedPieces == memory.pages.count && compositor.composer.counters.frames > 1 }
    let next = try TestBuffer(size.width, size.height) { _, _ in 0x12_3456 }
    try client.show(next.host, source: Rectangle(size), on: ScanoutIndex(0))
    client.retire(memory.id)
    try run { memory.mappedPieces == 0 }
    client.stop()
    compositor.stop()
  }
}

/// A picture whose pages are strewn over a VM's memory: no page beside the one before it, in any order.
private final class ScatteredPicture {
  let id = BufferID.random()
  let layout: PixelLayout
  let byteCount: Int
  /// Where the buffer's pages are in the memory.
  let pages: [Int]
  let readOnly: SharedDescriptor
  private let name = "vm-\(UInt32.random(in: 0...UInt32.max))"
  private let file: FileDescriptor
  private let mapping: MemoryMapping

  init(_ layout: PixelLayout, seed: UInt64, isSealed: Bool = true) throws {
    self.layout = layout
    let page = SharedMemory.pageSize
    var generator = SplitMix(seed: seed)
    pages = (0..<(layout.byteCount + page - 1) / page).map { 2 * $0 + 1 }.shuffled(using: &generator)
    byteCount = (2 * pages.count + 1) * page
    file = isSealed ? try SharedMemory.create(name: name, count: byteCount) : try Self.unsealed(name, byteCount)
    readOnly = SharedDescriptor(FileDescriptor(adopting: open("/proc/self/fd/\(file.raw)", O_RDONLY | O_CLOEXEC)))
    mapping = try MemoryMapping(descriptor: file.raw, count: byteCount, access: .readWrite)
    draw(Rectangle(layout.size), seed: seed)
  }

  private static func unsealed(_ name: String, _ byteCount: Int) throws -> FileDescriptor {
    let path = "/tmp/\(name)"
    let file = FileDescriptor(adopting: open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600))
    unlink(path)
    try #require(ftruncate(file.raw, byteCount) == 0)
    return file
  }

  func truncate() { _ = ftruncate(file.raw, 0) }

  func picture(in memory: MemoryFileID) throws -> SharedPicture {
    let page = UInt64(SharedMemory.pageSize)
    let table = try RangeTable(
      joining: pages.map { MemoryRange(memory: memory, offset: UInt64($0) * page, length: page) })
    return SharedPicture(id: id, layout: layout, memory: .ranges(table), side: .guest, reason: .noUDMABuf)
  }

  /// How many pieces of the memory are mapped read-only in this process, by the kernel's word: the test's own mapping
  /// can be written.
  var mappedPieces: Int {
    let maps = FileDescriptor(adopting: open("/proc/self/maps", O_RDONLY | O_CLOEXEC))
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(maps.raw, &chunk, chunk.count)
      guard count > 0 else { break }
      text.append(contentsOf: chunk[..<count])
    }
    return String(decoding: text, as: UTF8.self).split(separator: "\n")
      .count { $0.contains(" r--s ") && $0.contains(name) }
  }

  // MARK: Pixels

  private func place(_ x: UInt32, _ y: UInt32) -> Int {
    let offset = layout.byteOffset(x: x, y: y)
    return pages[offset / SharedMemory.pageSize] * SharedMemory.pageSize + offset % SharedMemory.pageSize
  }

  /// Draws noise.
  func draw(_ rectangle: Rectangle, seed: UInt64) {
    var generator = SplitMix(seed: seed)
    for y in rectangle.y..<rectangle.y + rectangle.height {
      for x in rectangle.x..<rectangle.x + rectangle.width {
        mapping.base.storeBytes(
          of: UInt32(truncatingIfNeeded: generator.next()), toByteOffset: place(x, y), as: UInt32.self)
      }
    }
  }

  /// The colour of a pixel as XRGB.
  func pixel(_ x: UInt32, _ y: UInt32) -> UInt32 {
    let word = mapping.base.load(fromByteOffset: place(x, y), as: UInt32.self)
    let (b0, b1, b2, b3) = (word & 0xff, word >> 8 & 0xff, word >> 16 & 0xff, word >> 24)
    switch layout.format {
    case .xrgb8888, .argb8888: return b2 << 16 | b1 << 8 | b0
    case .bgrx8888, .bgra8888: return b1 << 16 | b2 << 8 | b3
    case .xbgr8888, .abgr8888: return b0 << 16 | b1 << 8 | b2
    default: return b3 << 16 | b2 << 8 | b1
    }
  }
}
