import Buffers
import Glibc
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

/// A VM's memory as its producer has it: one file, here in the hands of the test.
final class VMMemory {
  let file: SharedMemoryFile
  let mapping: MemoryMapping
  let readOnly: SharedDescriptor
  let byteCount: Int

  init(pages: Int) throws {
    byteCount = pages * SharedMemory.pageSize
    file = try SharedMemoryFile(name: "vm-memory", count: byteCount)
    mapping = try MemoryMapping(descriptor: file.writable.raw, count: byteCount, access: .readWrite)
    readOnly = SharedDescriptor(try file.readOnly())
  }

  /// Stores a word at the start of a page.
  func store(_ word: UInt32, page: Int) {
    mapping.base.storeBytes(of: word, toByteOffset: page * SharedMemory.pageSize, as: UInt32.self)
  }
}

/// Pages of a memory file.
func pages(_ memory: UInt32, _ first: Int, count: Int = 1) -> MemoryRange {
  let page = UInt64(SharedMemory.pageSize)
  return MemoryRange(
    memory: MemoryFileID(rawValue: memory), offset: UInt64(first) * page, length: UInt64(count) * page)
}

/// A picture of three pages, one row a page, with a gap behind each row.
func threePageLayout() throws -> PixelLayout {
  try #require(
    PixelLayout(
      size: Size(width: 64, height: 3), format: .xrgb8888, stride: UInt32(SharedMemory.pageSize)))
}

extension RangeTable {
  /// What a producer without a client library says of a buffer in these ranges.
  func description(reason: HandOverReason = .noUDMABuf) -> MemoryDescription {
    MemoryDescription(kind: .ranges, side: .guest, reason: reason, byteCount: byteCount)
  }
}

extension ProducerClient {
  /// Shows a whole picture in ranges of a VM's memory on the first scanout.
  func show(_ ranges: [MemoryRange], layout: PixelLayout, id: BufferID = .random()) throws {
    let picture = SharedPicture(
      id: id, layout: layout, memory: .ranges(try RangeTable(checking: ranges)), side: .guest, reason: .noUDMABuf)
    setMode(layout.size, of: ScanoutIndex(0))
    try show(picture, source: Rectangle(layout.size), on: ScanoutIndex(0))
  }
}

extension ReadOnlyBuffer {
  /// The first pixel of each row.
  var marks: [UInt32] {
    (0..<layout.size.height).map {
      bytes.loadUnaligned(fromByteOffset: layout.byteOffset(x: 0, y: $0), as: UInt32.self)
    }
  }
}

extension World {
  /// A display that can use every kind of memory that can be mapped here.
  func capableDisplay(_ name: String = "main") -> (client: ConsumerClient, log: DisplayLog) {
    var constraints = Constraints.unstated
    constraints.memoryKinds = .mappable
    return display(name, constraints: constraints)
  }
}

/// What a raw producer does with a VM's memory.
extension RawPeer {
  func register(_ memory: VMMemory, as number: UInt32, byteCount: Int? = nil) throws {
    try send(
      .memoryRegister(MemoryFileID(rawValue: number), byteCount: UInt64(byteCount ?? memory.byteCount)),
      descriptors: [memory.readOnly.raw])
  }

  /// Registers a picture of three pages in these ranges.
  @discardableResult
  func register(_ ranges: [MemoryRange]) throws -> BufferID {
    let table = try RangeTable(checking: ranges)
    let file = try table.makeFile()
    let buffer = BufferDescription(id: .random(), layout: try threePageLayout())
    try send(.bufferRegister(buffer, table.description()), descriptors: [file.raw])
    return buffer.id
  }

  func show(_ id: BufferID) throws {
    let size = try threePageLayout().size
    let content = ScanoutState.Content(buffer: id, source: Rectangle(size))
    try send(.scanoutSet(ScanoutState(scanout: ScanoutIndex(0), mode: size, content: content)))
  }

  /// The newest requirements of the first scanout.
  func requirements() throws -> ScanoutRequirements? {
    try all { message, _ in if case .scanoutRequirements(_, let wanted) = message { wanted } else { nil } }.last
  }
}
