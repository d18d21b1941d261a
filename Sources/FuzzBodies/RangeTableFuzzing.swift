import Buffers
import Platform

/// Reads a range table, as hub and consumer do. What is a table reads the same from its file, and its pages, where they
/// are inside a memory of 16 pages, can be mapped and read.
@Sendable public func fuzzRangeTable(_ input: UnsafeRawBufferPointer) {
  guard let table = try? RangeTable(bytes: input) else { return }
  precondition(table.byteCount == table.ranges.reduce(0) { $0 + $1.length }, "the bytes are those of the ranges")
  guard let file = try? table.makeFile() else { return }
  precondition((try? RangeTable(file: file.raw)) == table, "a table changes in its file")
  map(table)
}

private func map(_ table: RangeTable) {
  let pages = 16
  let byteCount = pages * SharedMemory.pageSize
  guard let file = try? SharedMemory.create(name: "fuzz", count: byteCount), let bell = try? Doorbell(),
    let rows = UInt32(exactly: min(table.byteCount / UInt64(SharedMemory.pageSize), 64)),
    let layout = PixelLayout(
      size: Size(width: 1, height: rows), format: .xrgb8888, stride: UInt32(SharedMemory.pageSize))
  else { return }
  let memory = ReadOnlyBuffer.VMMemory(descriptor: SharedDescriptor(file), byteCount: UInt64(byteCount))
  let buffer = try? ReadOnlyBuffer(
    id: .random(), layout: layout, ranges: table, of: { $0.rawValue < 4 ? memory : nil }, bell: bell)
  let isInside = (try? table.check { $0.rawValue < 4 ? UInt64(byteCount) : nil }) != nil
  precondition((buffer != nil) == isInside, "what is inside can be mapped, and only that")
  guard let buffer else { return }
  for row in 0..<rows { precondition(buffer.bytes[layout.byteOffset(x: 0, y: row)] == 0) }
}
