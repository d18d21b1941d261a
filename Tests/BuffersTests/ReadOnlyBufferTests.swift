import Glibc
import Platform
import Testing

@testable import Buffers

@Suite struct ReadOnlyBufferTests {
  private let page = SharedMemory.pageSize
  private let memory = MemoryFileID(rawValue: 1)

  private func layout(rows: UInt32, offset: UInt64 = 0) throws -> PixelLayout {
    try #require(
      PixelLayout(size: Size(width: 8, height: rows), format: .xrgb8888, stride: UInt32(page), offset: offset))
  }

  private func file(pages: Int) throws -> SharedDescriptor {
    let file = try SharedMemory.create(name: "test", count: pages * page)
    let mapping = try MemoryMapping(descriptor: file.raw, count: pages * page, access: .readWrite)
    for index in 0..<pages { mapping.base.storeBytes(of: UInt8(index), toByteOffset: index * page, as: UInt8.self) }
    return SharedDescriptor(file)
  }

  private func range(_ first: Int, _ count: Int = 1) -> MemoryRange {
    MemoryRange(memory: memory, offset: UInt64(first * page), length: UInt64(count * page))
  }

  private func map(
    _ table: RangeTable, _ layout: PixelLayout, _ file: SharedDescriptor, pages: Int
  ) throws(ReadOnlyBuffer.Refusal) -> ReadOnlyBuffer {
    let bell: Doorbell
    do { bell = try Doorbell() } catch { throw .system(error) }
    return try ReadOnlyBuffer(
      id: .random(), layout: layout, ranges: table,
      of: { $0 == memory ? ReadOnlyBuffer.VMMemory(descriptor: file, byteCount: UInt64(pages * page)) : nil },
      bell: bell)
  }

  @Test func `a file is mapped from where the buffer begins`() throws {
    let file = try file(pages: 4)
    let buffer = try ReadOnlyBuffer(
      id: .random(), layout: layout(rows: 2), descriptor: file.raw, offset: UInt64(2 * page))
    #expect(buffer.bytes[0] == 2)
    #expect(buffer.bytes[page] == 3)
    #expect(throws: ReadOnlyBuffer.Refusal.self) {
      _ = try ReadOnlyBuffer(id: .random(), layout: layout(rows: 2), descriptor: file.raw, offset: UInt64(3 * page))
    }
    #expect(throws: ReadOnlyBuffer.Refusal.self) {
      _ = try ReadOnlyBuffer(id: .random(), layout: layout(rows: 2), descriptor: file.raw, offset: .max)
    }
  }

  @Test func `only the ranges that the picture needs are mapped`() throws {
    let table = try RangeTable(checking: [range(5), range(2, 2), range(0)])
    let buffer = try map(table, layout(rows: 2), file(pages: 6), pages: 6)
    #expect(buffer.pieceCount == 2)
    #expect(buffer.bytes.count == 2 * page)
    #expect(buffer.bytes[0] == 5 && buffer.bytes[page] == 2)
    #expect(!buffer.isLost)
  }

  @Test func `ranges of memory that is not there, outside of it, or of too few bytes are refused`() throws {
    let file = try file(pages: 6)
    let table = try RangeTable(checking: [range(5), range(2)])
    #expect(throws: ReadOnlyBuffer.Refusal.ranges(.outside(range(5)))) {
      _ = try map(table, layout(rows: 2), file, pages: 5)
    }
    let other = MemoryFileID(rawValue: 9)
    let stranger = try RangeTable(
      checking: [MemoryRange(memory: other, offset: 0, length: UInt64(page))])
    #expect(throws: ReadOnlyBuffer.Refusal.ranges(.unknownMemory(other))) {
      _ = try map(stranger, layout(rows: 1), file, pages: 6)
    }
    #expect(throws: ReadOnlyBuffer.Refusal.tooShort(byteCount: UInt64(2 * page), needed: 2 * page + 32)) {
      _ = try map(table, layout(rows: 3), file, pages: 6)
    }
  }

  @Test func `a memory file is no dma-buf`() throws {
    let bell = try Doorbell()
    #expect(throws: ReadOnlyBuffer.Refusal.notDMABuf) {
      _ = try ReadOnlyBuffer(id: .random(), layout: layout(rows: 1), dmaBuf: file(pages: 1), bell: bell)
    }
  }
}
