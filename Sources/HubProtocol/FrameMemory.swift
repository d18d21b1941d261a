import Buffers
import Glibc
import Platform
import Synchronization

/// The first page of a display's frame memory (protocol.md section 6).
enum FrameHeader {
  static let byteCount = 4096
  static let magic: UInt32 = 0x4d46_524d
  static let version: UInt32 = 1

  static func generation(_ base: UnsafeRawPointer) -> UnsafePointer<Atomic<UInt64>> {
    (base + 8).assumingMemoryBound(to: Atomic<UInt64>.self)
  }
}

/// A display's composed frame: drawn by its consumer, readable by whoever the hub gives it to.
public final class FrameMemory {
  /// The memory; its pixels begin after a page that counts frames.
  public let buffer: HostBuffer
  private let generation: UnsafePointer<Atomic<UInt64>>

  /// Zeroed memory for frames of that size.
  public init(size: Size, format: PixelFormat = .xrgb8888) throws(SystemError) {
    guard let layout = PixelLayout(size: size, format: format, offset: UInt64(FrameHeader.byteCount)) else {
      throw SystemError(call: "frame of \(size)", code: EINVAL)
    }
    buffer = try HostBuffer(layout: layout, name: "muntin-frame")
    guard let base = buffer.bytes.baseAddress else { throw SystemError(call: "mmap", code: ENOMEM) }
    base.storeBytes(of: FrameHeader.magic.littleEndian, as: UInt32.self)
    base.storeBytes(of: FrameHeader.version.littleEndian, toByteOffset: 4, as: UInt32.self)
    generation = FrameHeader.generation(base)
  }

  /// What the hub is told of it.
  public var description: BufferDescription { BufferDescription(id: buffer.id, layout: buffer.layout) }

  /// The pixels, row after row, `buffer.layout.stride` bytes apart.
  public var pixels: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[FrameHeader.byteCount..<buffer.layout.byteCount])
  }

  /// Call before drawing.
  public func beginFrame() {
    generation.pointee.store(generation.pointee.load(ordering: .relaxed) | 1, ordering: .relaxed)
    atomicMemoryFence(ordering: .releasing)
  }

  /// Call when the frame is whole.
  public func endFrame() {
    let drawing = generation.pointee.load(ordering: .relaxed) | 1
    generation.pointee.store(drawing &+ 1, ordering: .releasing)
  }
}

/// A display's frame as another process sees it.
public final class FrameReader {
  /// The display.
  public let display: PeerName
  /// The mapped frame.
  public let buffer: ReadOnlyBuffer
  private let generationWord: UnsafePointer<Atomic<UInt64>>

  /// Maps the frame that FRAME describes.
  public init(
    _ frame: BufferDescription, display: PeerName, descriptor raw: Int32
  ) throws(ReadOnlyBuffer.Refusal) {
    self.display = display
    buffer = try ReadOnlyBuffer(id: frame.id, layout: frame.layout, descriptor: raw)
    guard frame.layout.offset >= UInt64(FrameHeader.byteCount), let base = buffer.bytes.baseAddress,
      base.loadUnaligned(as: UInt32.self).littleEndian == FrameHeader.magic
    else { throw .tooShort(byteCount: UInt64(buffer.bytes.count), needed: FrameHeader.byteCount) }
    generationWord = FrameHeader.generation(base)
  }

  /// Frames drawn so far, twice; odd while one is being drawn.
  public var generation: UInt64 { generationWord.pointee.load(ordering: .acquiring) }

  /// Copies the rows, without gaps, into memory of at least `rowByteCount` x height bytes.
  ///
  /// - Returns: the frame's generation; nil when the frame changed during each attempt, so that the copy may be torn.
  public func copyPixels(into room: UnsafeMutableRawBufferPointer, attempts: Int = 50) -> UInt64? {
    for _ in 0..<attempts {
      let before = generation
      copyRows(into: room)
      atomicMemoryFence(ordering: .acquiring)
      if before % 2 == 0 && generationWord.pointee.load(ordering: .relaxed) == before { return before }
    }
    return nil
  }

  private func copyRows(into room: UnsafeMutableRawBufferPointer) {
    let row = buffer.layout.rowByteCount
    for y in 0..<Int(buffer.layout.size.height) {
      let start = buffer.layout.byteOffset(x: 0, y: UInt32(y))
      UnsafeMutableRawBufferPointer(rebasing: room[y * row..<(y + 1) * row])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer.bytes[start..<start + row]))
    }
  }
}
