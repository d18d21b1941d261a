import Buffers
import Glibc
import Platform

/// A picture whose changes are copied into memory that the compositor reads (wl_shm).
///
/// Of three copies one is shown, one waits for its turn and one can be written, so that the picture's owner never waits for
/// the compositor.
public final class SharedMemoryContent: WindowContent {
  private static let copyCount = 3

  private struct Copy {
    let buffer: UInt32
    let layout: PixelLayout
    /// Whether the compositor reads it.
    var isBusy = false
    /// Where it differs from the picture.
    var stale: Rectangle
  }

  private let window: WaylandWindow
  private let pixels: UnsafeRawBufferPointer
  private let layout: PixelLayout
  /// Where the picture's images begin, and which of them is shown.
  private let images: [Int]
  private var image = 0
  private let memory: MemoryMapping
  private var copies: [Copy] = []
  /// The copy that waits for its turn.
  private var next: Int?
  /// What the window has not shown yet.
  private var damage = Rectangle.empty
  private var mustCopy = false
  /// Whether the picture has been copied.
  public var isRead: Bool { !mustCopy }

  /// A window of a picture in memory, which must outlive this.
  public init(
    _ window: WaylandWindow, pixels: UnsafeRawBufferPointer, _ layout: PixelLayout, images: [Int] = [0]
  ) throws(WaylandError) {
    guard let own = PixelLayout(size: layout.size, format: layout.format), let last = images.max(),
      layout.byteCount <= pixels.count - last
    else {
      throw .malformed("a picture without memory")
    }
    self.window = window
    self.pixels = pixels
    self.layout = layout
    self.images = images
    let manager = try Self.bind(window.connection, layout.format)
    let file = try Self.makeFile(own.byteCount * Self.copyCount)
    memory = try Self.map(file.raw, own.byteCount * Self.copyCount)
    try makeCopies(manager, file.raw, own)
    window.frameIsDue = { [weak self] () throws(WaylandError) in try self?.show() }
  }

  private static func bind(_ connection: WaylandConnection, _ format: PixelFormat) throws(WaylandError) -> UInt32 {
    let wanted = WaylandFormat.sharedMemory(format)
    var isKnown = false
    let bound = try connection.bind(.sharedMemory, version: 1) { (event) in
      if event == .sharedMemoryFormat(wanted) { isKnown = true }
    }
    guard let bound else { throw .missing("wl_shm") }
    try connection.roundTrip()
    guard isKnown else { throw .unshowable(format) }
    return bound.object
  }

  private static func makeFile(_ byteCount: Int) throws(WaylandError) -> FileDescriptor {
    do throws(SystemError) {
      guard byteCount <= Int(Int32.max) else { throw SystemError(call: "wl_shm", code: EFBIG) }
      return try SharedMemory.create(name: "muntin window", count: byteCount)
    } catch {
      throw .system(error)
    }
  }

  private static func map(_ file: Int32, _ byteCount: Int) throws(WaylandError) -> MemoryMapping {
    do throws(SystemError) {
      return try MemoryMapping(descriptor: file, count: byteCount, access: .readWrite)
    } catch {
      throw .system(error)
    }
  }

  private func makeCopies(_ manager: UInt32, _ file: Int32, _ own: PixelLayout) throws(WaylandError) {
    let connection = window.connection
    let byteCount = Int32(clamping: memory.count)
    let pool = try connection.create(.sharedMemoryPool, from: manager, opcode: 0, descriptor: file) {
      $0.integer(byteCount)
    }
    for index in 0..<Self.copyCount {
      let offset = own.byteCount * index
      let buffer = try connection.create(.buffer, from: pool, opcode: 0) {
        for number in [offset, Int(own.size.width), Int(own.size.height), Int(own.stride)] {
          $0.integer(Int32(clamping: number))
        }
        $0.word(WaylandFormat.sharedMemory(own.format))
      } handler: { [weak self] (event) throws(WaylandError) in
        if event == .released { try self?.released(index) }
      }
      guard
        let place = PixelLayout(size: own.size, format: own.format, stride: own.stride, offset: UInt64(offset))
      else { throw .malformed("a picture without memory") }
      copies.append(Copy(buffer: buffer, layout: place, stale: Rectangle(own.size)))
    }
    try connection.destroy(pool, opcode: 1)
  }

  /// The window gets other content, or goes.
  public func close() {
    for copy in copies { try? window.connection.destroy(copy.buffer, opcode: 0) }
    copies.removeAll()
    next = nil
    mustCopy = false
  }

  // MARK: Frames

  /// Copies what has changed as soon as there is a copy that the compositor does not read.
  public func update(_ damage: Rectangle, image: Int) throws(WaylandError) {
    if images.indices.contains(image) { self.image = image }
    let damage = damage.intersection(Rectangle(layout.size))
    for index in copies.indices { copies[index].stale = copies[index].stale.union(damage) }
    self.damage = self.damage.union(damage)
    mustCopy = true
    try copy()
  }

  private func copy() throws(WaylandError) {
    guard mustCopy, let index = next ?? copies.firstIndex(where: { !$0.isBusy }) else { return }
    let target = copies[index]
    let width = Int(target.stale.width) * Int(layout.format.bytesPerPixel)
    if let from = pixels.baseAddress, width > 0 {
      for y in target.stale.y..<target.stale.y + target.stale.height {
        let x = target.stale.x
        let place = images[image] + layout.byteOffset(x: x, y: y)
        memcpy(memory.base + target.layout.byteOffset(x: x, y: y), from + place, width)
      }
    }
    copies[index].stale = .empty
    mustCopy = false
    next = index
    try show()
  }

  private func show() throws(WaylandError) {
    guard let index = next, window.takesFrames else { return }
    copies[index].isBusy = true
    next = nil
    try window.show(copies[index].buffer, damage: damage)
    damage = .empty
  }

  private func released(_ index: Int) throws(WaylandError) {
    copies[index].isBusy = false
    try copy()
  }
}
