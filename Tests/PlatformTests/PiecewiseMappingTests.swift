import Glibc
import Testing

@testable import Platform

@Suite("Pieces of files side by side")
struct PiecewiseMappingTests {
  private let page = SharedMemory.pageSize

  private func file(_ pages: Int, _ mark: UInt8) throws -> FileDescriptor {
    let file = try SharedMemory.create(name: "test", count: pages * page)
    let mapping = try MemoryMapping(descriptor: file.raw, count: pages * page, access: .readWrite)
    for index in 0..<pages {
      mapping.base.storeBytes(of: mark &+ UInt8(index), toByteOffset: index * page, as: UInt8.self)
    }
    return file
  }

  @Test("they are the files' own pages, in the order given")
  func order() throws {
    let first = try file(4, 10)
    let second = try file(2, 50)
    let mapping = try MemoryMapping([
      MappingPiece(descriptor: first.raw, offset: UInt64(2 * page), count: 2 * page),
      MappingPiece(descriptor: second.raw, offset: UInt64(page), count: page),
      MappingPiece(descriptor: first.raw, offset: 0, count: page),
    ])
    #expect(mapping.count == 4 * page)
    #expect((0..<4).map { mapping.bytes[$0 * page] } == [12, 13, 51, 10])
    let writing = try MemoryMapping(descriptor: first.raw, count: page, access: .readWrite)
    writing.base.storeBytes(of: 99, as: UInt8.self)
    #expect(mapping.bytes[3 * page] == 99)
  }

  @Test("none, empty ones, parts of pages and too many bytes are errors")
  func bad() throws {
    let file = try file(1, 0)
    func piece(_ offset: UInt64, _ count: Int) -> MappingPiece {
      MappingPiece(descriptor: file.raw, offset: offset, count: count)
    }
    for pieces in [
      [], [piece(0, 0)], [piece(0, page / 2)], [piece(0, page), piece(0, -page)], [piece(1, page)], [piece(.max, page)],
      [piece(0, page), piece(0, Int.max / page * page)], [piece(0, 1 << 60)],
    ] {
      #expect(throws: SystemError.self) { _ = try MemoryMapping(pieces) }
    }
  }

  @Test("a piece that cannot be mapped leaves nothing mapped")
  func undone() throws {
    let file = try file(1, 0)
    let before = try mappings()
    let pieces = [file.raw, file.raw, -1].map { MappingPiece(descriptor: $0, offset: 0, count: page) }
    #expect(throws: SystemError.self) { _ = try MemoryMapping(pieces) }
    #expect(try mappings() == before)
  }

  /// How many mappings of these files this process has.
  private func mappings() throws -> Int {
    let raw = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)
    guard raw >= 0 else { return 0 }
    let file = FileDescriptor(adopting: raw)
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(file.raw, &chunk, chunk.count)
      guard count > 0 else { break }
      text.append(contentsOf: chunk[..<count])
    }
    return String(decoding: text, as: UTF8.self).split(separator: "\n").count { $0.contains("memfd:test") }
  }

  @Test("pieces whose file is truncated read as zeros together")
  func truncated() throws {
    var path = Array("/tmp/muntin-pieces-XXXXXX".utf8CString)
    let raw = mkstemp(&path)
    try #require(raw >= 0)
    let lost = FileDescriptor(adopting: raw)
    unlink(path)
    try #require(ftruncate(raw, 4 * page) == 0)
    let kept = try file(1, 77)
    let bell = try Doorbell()
    let mapping = try MemoryMapping([
      MappingPiece(descriptor: kept.raw, offset: 0, count: page),
      MappingPiece(descriptor: lost.raw, offset: UInt64(3 * page), count: page),
    ])
    let guardian = try FaultGuard(mapping, bell: bell)
    #expect(mapping.bytes[0] == 77)
    #expect(ftruncate(raw, 0) == 0)
    #expect(mapping.bytes[page] == 0)
    #expect(guardian.hasFaulted)
    #expect(mapping.bytes[0] == 0)
    #expect(bell.drain())
  }
}
