import Glibc
import Platform
import TestSupport
import Testing

@testable import Buffers

private let page = UInt64(SharedMemory.pageSize)

/// Pages of a memory file.
private func range(_ memory: UInt32, page first: UInt64, count: UInt64 = 1) -> MemoryRange {
  MemoryRange(memory: MemoryFileID(rawValue: memory), offset: first * page, length: count * page)
}

private func refusal(_ body: () throws(RangeTableError) -> RangeTable) -> RangeTableError? {
  do throws(RangeTableError) {
    _ = try body()
    return nil
  } catch {
    return error
  }
}

@Suite struct RangeTableTests {
  @Test func `neighbours become one range, pages apart do not`() throws {
    let table = try RangeTable(joining: [
      range(1, page: 5), range(1, page: 6, count: 2), range(1, page: 9), range(2, page: 10), range(1, page: 0),
    ])
    #expect(
      table.ranges == [range(1, page: 5, count: 3), range(1, page: 9), range(2, page: 10), range(1, page: 0)])
    #expect(table.byteCount == 6 * page)
    #expect(table.memories.map(\.rawValue) == [1, 2])
  }

  @Test func `no range, empty ranges and parts of pages are refused`() {
    #expect(refusal { () throws(RangeTableError) in try RangeTable(joining: [MemoryRange]()) } == .empty)
    let memory = MemoryFileID(rawValue: 0)
    for (offset, length) in [(0, 0), (1, page), (0, page - 1), (page / 2, page), (0, page + 8)] as [(UInt64, UInt64)] {
      let bad = MemoryRange(memory: memory, offset: offset, length: length)
      #expect(refusal { () throws(RangeTableError) in try RangeTable(checking: [bad]) } == .unaligned(bad))
      #expect(
        refusal { () throws(RangeTableError) in try RangeTable(joining: [range(1, page: 7), bad]) } == .unaligned(bad))
    }
  }

  @Test func `an empty range behind its neighbour is refused`() {
    let bad = MemoryRange(memory: MemoryFileID(rawValue: 1), offset: page, length: 0)
    #expect(
      refusal { () throws(RangeTableError) in try RangeTable(joining: [range(1, page: 0), bad]) } == .unaligned(bad))
  }

  @Test func `numbers up to 2^64 do not wrap`() {
    let memory = MemoryFileID(rawValue: 0)
    let last = UInt64.max - page + 1
    for bad in [
      MemoryRange(memory: memory, offset: last, length: page), MemoryRange(memory: memory, offset: page, length: last),
      MemoryRange(memory: memory, offset: 1 << 63, length: page),
    ] {
      #expect(refusal { () throws(RangeTableError) in try RangeTable(checking: [bad]) } == .outside(bad))
    }
    let half = (1 << 62) / page * page
    let halves = (0..<4 as Range<UInt32>).map {
      MemoryRange(memory: MemoryFileID(rawValue: $0), offset: 0, length: half)
    }
    #expect(refusal { () throws(RangeTableError) in try RangeTable(checking: halves) } == .tooLarge)
  }

  @Test func `ranges over each other are refused in any order, of different files they are not`() throws {
    let ranges = [range(1, page: 4, count: 3), range(1, page: 0), range(1, page: 6)]
    for order in [ranges, ranges.reversed()] {
      #expect(
        refusal { () throws(RangeTableError) in try RangeTable(checking: order) } == .overlap(range(1, page: 6)))
    }
    #expect(
      refusal { () throws(RangeTableError) in try RangeTable(joining: [range(1, page: 3), range(1, page: 3)]) }
        == .overlap(range(1, page: 3)))
    _ = try RangeTable(checking: [range(1, page: 3), range(2, page: 3)])
  }

  @Test func `16,384 ranges are taken, one more is not`() throws {
    let apart = (0...UInt64(RangeTable.maximumCount)).map { range(0, page: 2 * $0) }
    #expect(try RangeTable(joining: apart.dropLast()).ranges.count == 16_384)
    #expect(refusal { () throws(RangeTableError) in try RangeTable(joining: apart) } == .tooMany(16_385))
    #expect(refusal { () throws(RangeTableError) in try RangeTable(checking: apart) } == .tooMany(16_385))
    let together = (0..<100_000 as Range<UInt64>).map { range(0, page: $0) }
    #expect(try RangeTable(joining: together).ranges == [range(0, page: 0, count: 100_000)])
  }

  @Test func `ranges must be inside files that are there`() throws {
    let table = try RangeTable(checking: [range(1, page: 0, count: 4), range(2, page: 3)])
    func check(_ first: UInt64?, _ second: UInt64?) -> RangeTableError? {
      refusal { () throws(RangeTableError) in
        try table.check { $0.rawValue == 1 ? first : second }
        return table
      }
    }
    #expect(check(4 * page, 4 * page) == nil)
    #expect(check(4 * page - 1, 4 * page) == .outside(range(1, page: 0, count: 4)))
    #expect(check(4 * page, 3 * page) == .outside(range(2, page: 3)))
    #expect(check(4 * page, nil) == .unknownMemory(MemoryFileID(rawValue: 2)))
  }

  @Test func `the first bytes of a buffer are in its first ranges`() throws {
    let table = try RangeTable(checking: [range(1, page: 9, count: 2), range(1, page: 0), range(1, page: 4, count: 3)])
    #expect(table.prefix(1) == [range(1, page: 9)])
    #expect(table.prefix(2 * page) == [range(1, page: 9, count: 2)])
    #expect(table.prefix(2 * page + 1) == [range(1, page: 9, count: 2), range(1, page: 0)])
    #expect(table.prefix(3 * page + 1) == [range(1, page: 9, count: 2), range(1, page: 0), range(1, page: 4)])
    #expect(table.prefix(.max) == table.ranges)
  }
}

@Suite struct RangeTableFileTests {
  private func file(_ bytes: [UInt8]) throws -> FileDescriptor {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
    defer { copy.deallocate() }
    copy.copyBytes(from: bytes)
    return try SharedMemory.createUnchangeable(name: "test", contents: UnsafeRawBufferPointer(copy))
  }

  private func entry(_ words: UInt32...) -> [UInt8] {
    words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
  }

  private func refusal(of bytes: [UInt8]) throws -> RangeTableError? {
    let file = try file(bytes)
    do throws(RangeTableError) {
      _ = try RangeTable(file: file.raw)
      return nil
    } catch {
      return error
    }
  }

  @Test func `a table comes back out of its file`() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var generator = SplitMix(seed: seed)
    for _ in 0..<50 {
      let ranges = (0..<Int.random(in: 1...300, using: &generator)).map { index in
        range(
          UInt32.random(in: 0...3, using: &generator), page: UInt64(index) * 10,
          count: UInt64.random(in: 1...9, using: &generator))
      }
      let table = try RangeTable(joining: ranges.shuffled(using: &generator))
      let file = try table.makeFile()
      #expect(try RangeTable(file: file.raw) == table, "seed \(seed)")
    }
  }

  @Test func `an entry has its fields where the documentation says`() throws {
    let size = UInt32(page)
    let file = try file(entry(7, 0, 2 * size, 1, 3 * size, 0))
    let wanted = MemoryRange(memory: MemoryFileID(rawValue: 7), offset: 1 << 32 + 2 * page, length: 3 * page)
    #expect(try RangeTable(file: file.raw).ranges == [wanted])
  }

  @Test func `nobody can change a table's file, its maker included`() throws {
    let file = try RangeTable(checking: [range(1, page: 0)]).makeFile()
    var byte: UInt8 = 9
    #expect(pwrite(file.raw, &byte, 1, 0) == -1)
    #expect(ftruncate(file.raw, 0) == -1)
    #expect(ftruncate(file.raw, 48) == -1)
    #expect(throws: SystemError.self) { _ = try MemoryMapping(descriptor: file.raw, count: 24, access: .readWrite) }
  }

  @Test func `a file that can still be written is refused`() throws {
    let file = try SharedMemory.create(name: "test", count: 24)
    #expect(throws: RangeTableError.notSealed) { try RangeTable(file: file.raw) }
  }

  @Test func `a length that is no number of entries is refused`() throws {
    for count in [1, 23, 25, 47] {
      #expect(try refusal(of: [UInt8](repeating: 0, count: count)) == .badLength(UInt64(count)))
    }
    #expect(try refusal(of: []) == .badLength(0))
    let many = (RangeTable.maximumCount + 1) * 24
    #expect(try refusal(of: [UInt8](repeating: 0, count: many)) == .badLength(UInt64(many)))
  }

  @Test func `a reserved field that is not zero is refused`() throws {
    let good = entry(0, 0, 0, 0, UInt32(page), 0)
    #expect(try refusal(of: good) == nil)
    #expect(try refusal(of: good + entry(0, 1, 0, 1, UInt32(page), 0)) == .badEntry(1))
  }

  @Test func `any bytes are a table or an error`() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var generator = SplitMix(seed: seed)
    for _ in 0..<2000 {
      let words = (0..<6 * Int.random(in: 1...4, using: &generator)).map { _ in
        [0, 1, UInt32(page), .max, UInt32.random(in: 0...UInt32.max, using: &generator)].randomElement(
          using: &generator)
          ?? 0
      }
      let bytes = words.flatMap { entry($0) }
      try bytes.withUnsafeBytes { bytes in
        guard let table = try? RangeTable(bytes: bytes) else { return }
        let file = try table.makeFile()
        #expect(try RangeTable(file: file.raw) == table, "seed \(seed)")
      }
    }
  }
}

@Suite struct HandOverTests {
  @Test func `what was sent is what is read, and says why to people`() {
    for reason in HandOverReason.allCases {
      #expect(HandOverReason(rawValue: reason.rawValue) == reason)
      #expect(!reason.description.isEmpty)
    }
    #expect(Set(HandOverReason.allCases.map(\.description)).count == HandOverReason.allCases.count)
  }

  @Test func `only memory that nobody copies into is no copy`() {
    #expect(HandOverReason.transferred.way(of: .file) == .copy)
    #expect(HandOverReason.memoryWithheld.way(of: .file) == .copy)
    #expect(HandOverReason.hostAllocated.way(of: .file) == .hostMemory)
    #expect(HandOverReason.udmabuf.way(of: .dmaBuf) == .dmaBuf)
    #expect(HandOverReason.noUDMABuf.way(of: .ranges) == .ranges)
  }

  @Test func `a buffer is of one kind`() {
    #expect(MemoryKind.ranges.isOne)
    #expect(!MemoryKind.all.isOne && !MemoryKind(rawValue: 0).isOne && !MemoryKind(rawValue: 8).isOne)
    #expect(MemoryKind.all.description == "file, dma-buf, ranges")
  }
}
