import Buffers
import TestSupport
import Testing
import Virtqueue

@testable import GPUDevice

@Suite("Transfers") struct TransferTests {
  @Test("rows begin at the offset and are as far apart as the picture is wide")
  func offset() throws {
    let guest = try Guest()
    let address = try guest.picture(1, width: 100, height: 60)
    #expect(try guest.show(1, 0, 0, 100, 60) == .okNoData)
    #expect(try guest.transfer(1, 10, 20, 30, 25, offset: 7) == .okNoData)
    let source = try guest.arena.read(at: address, count: 24_000)
    let pixels = try guest.pixels()
    for row in 0..<25 {
      let target = (20 + row) * 400 + 40
      #expect(pixels[target..<target + 120] == source[7 + row * 400..<7 + row * 400 + 120])
    }
    #expect(pixels[..<(20 * 400 + 40)].allSatisfy { $0 == 0 })
  }

  @Test("a rectangle outside the picture is refused and changes nothing")
  func outside() throws {
    let guest = try Guest()
    try guest.picture(1, width: 100, height: 60)
    #expect(try guest.show(1, 0, 0, 100, 60) == .okNoData)
    let cases: [(UInt32, UInt32, UInt32, UInt32)] = [
      (101, 0, 1, 1), (0, 61, 1, 1), (0, 0, 101, 60), (0, 0, 100, 61), (50, 0, 51, 60), (0, 50, 100, 11),
      (1, 0, .max, 1), (0, .max, 1, 1), (.max, .max, .max, .max), (8, 8, 0xffff_fff8, 0xffff_fff8),
    ]
    for (x, y, width, height) in cases {
      #expect(try guest.transfer(1, x, y, width, height) == .invalidParameter)
    }
    #expect(try guest.transfer(1, 0, 0, 0, 0) == .okNoData)
    #expect(try guest.pixels().allSatisfy { $0 == 0 })
  }

  @Test(
    "an offset that leads beyond the backing is refused",
    arguments: [
      4, 16_384, 16_385, 1 << 32, 1 << 32 + 4, 1 << 62, UInt64(Int.max), UInt64(Int.max) + 1, .max - 16_383, .max,
    ] as [UInt64])
  func farOffset(_ offset: UInt64) throws {
    let guest = try Guest()
    try guest.picture(1)
    #expect(try guest.transfer(1, 0, 0, 64, 64, offset: offset) == .invalidParameter)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData)
  }

  @Test("pages out of a region that was removed give an error, the others go on")
  func removedRegion() throws {
    let guest = try Guest()
    let region = try guest.arena.addRegion(at: GuestAddress(1 << 32), count: 65_536)
    let far = try guest.arena.allocate(8192, region: region)
    let near = try guest.arena.allocate(8192, alignment: 4096)
    guest.device.memoryChanged(guest.arena.memory)
    #expect(try guest.create(1) == .okNoData)
    let entries = [near, far].map { MemoryEntry(address: $0, length: 8192) }
    #expect(try guest.attach(1, entries) == .okNoData)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData)
    try guest.arena.memory.remove(at: GuestAddress(1 << 32), count: 65_536)
    guest.device.memoryChanged(guest.arena.memory)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .unspecified)
    #expect(try guest.transfer(1, 0, 0, 64, 32) == .okNoData)
    #expect(try guest.transfer(1, 0, 0, 64, 33) == .unspecified)
    #expect(try guest.transfer(1, 0, 32, 1, 1, offset: 8192) == .unspecified)
    let fresh = try guest.arena.addRegion(at: GuestAddress(1 << 32), count: 65_536)
    guest.device.memoryChanged(guest.arena.memory)
    #expect(try guest.arena.allocate(8192, region: fresh) == far)
    try guest.arena.write([UInt8](repeating: 9, count: 8192), at: far)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData)
    #expect(try guest.show(1) == .okNoData)
    #expect(try guest.pixels()[8192...].allSatisfy { $0 == 9 })
  }

  @Test("an entry may pass from one region into the next")
  func acrossRegions() throws {
    let guest = try Guest()
    for index in 0..<2 {
      try guest.arena.addRegion(at: GuestAddress(1 << 32 + UInt64(index) * 8192), count: 8192)
    }
    let address = GuestAddress(1 << 32)
    try guest.arena.write(Guest.pattern(16_384, seed: 3), at: address)
    #expect(try guest.create(1) == .okNoData)
    #expect(try guest.attach(1, [MemoryEntry(address: address, length: 16_384)]) == .okNoData)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData)
    #expect(try guest.show(1) == .okNoData)
    #expect(try guest.pixels() == Guest.pattern(16_384, seed: 3))
  }

  @Test("neighbours are joined, so that a contiguous picture is one run")
  func joined() throws {
    let arena = try GuestArena(count: 1 << 20)
    let pages = (0..<100).map { MemoryEntry(address: GuestAddress(0x10000 + 4096 * $0), length: 4096) }
    #expect(try ScatterList(pages, in: arena.memory).runCount == 1)
    #expect(try ScatterList(pages.reversed(), in: arena.memory).runCount == 100)
    #expect(try ScatterList(pages + pages, in: arena.memory).runCount == 2)
  }

  @Test("16,384 entries of any length are a picture", arguments: [4, 3] as [UInt32])
  func manyEntries(_ length: UInt32) throws {
    let guest = try Guest()
    let count = 16_384
    let start = try guest.arena.allocate(count * 8, alignment: 4096)
    try guest.arena.write(Guest.pattern(count * 8, seed: 5), at: start)
    let entries = (0..<count).map {
      MemoryEntry(address: GuestAddress(start.rawValue + UInt64((count - 1 - $0) * 8)), length: length)
    }
    #expect(try guest.create(1, width: 128, height: 96) == .okNoData)
    #expect(try guest.attach(1, entries) == .okNoData)
    #expect(try guest.transfer(1, 0, 0, 128, 96) == .okNoData)
    #expect(try guest.show(1, 0, 0, 128, 96) == .okNoData)
    let pattern = Guest.pattern(count * 8, seed: 5)
    var whole: [UInt8] = []
    for start in stride(from: (count - 1) * 8, through: 0, by: -8) { whole += pattern[start..<start + Int(length)] }
    #expect(try guest.pixels() == Array(whole[..<(128 * 96 * 4)]))
  }

  @Test("any rectangles over any backing copy what a simple model copies")
  func property() throws {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SplitMix(seed: seed)
    for _ in 0..<40 {
      let guest = try Guest()
      let (width, height) = (UInt32.random(in: 1...90, using: &random), UInt32.random(in: 1...90, using: &random))
      let (entries, source) = try Self.backing(of: Int(width * height * 4), guest, &random)
      #expect(try guest.create(1, width: width, height: height) == .okNoData)
      #expect(try guest.attach(1, entries) == .okNoData)
      #expect(try guest.show(1, 0, 0, width, height) == .okNoData)
      var model = [UInt8](repeating: 0, count: source.count)
      for _ in 0..<30 {
        let rectangle = Self.rectangle(in: Size(width: width, height: height), &random)
        let limit = source.count - (Int(rectangle.height) - 1) * Int(width) * 4 - Int(rectangle.width) * 4
        let offset = Int.random(in: 0...limit, using: &random)
        let command = Command.transferToHost2D(ResourceID(rawValue: 1), rectangle, offset: UInt64(offset))
        #expect(try guest.code(command) == .okNoData)
        for row in 0..<Int(rectangle.height) {
          let from = offset + row * Int(width) * 4
          let to = ((Int(rectangle.y) + row) * Int(width) + Int(rectangle.x)) * 4
          let count = Int(rectangle.width) * 4
          model.replaceSubrange(to..<to + count, with: source[from..<from + count])
        }
        #expect(try guest.pixels() == model, "seed \(seed)")
      }
    }
  }

  private static func rectangle(in size: Size, _ random: inout SplitMix) -> Rectangle {
    let (x, y) = (UInt32.random(in: 0..<size.width, using: &random), UInt32.random(in: 0..<size.height, using: &random))
    let width = Bool.random(using: &random) ? size.width - x : UInt32.random(in: 1...size.width - x, using: &random)
    return Rectangle(x: x, y: y, width: width, height: UInt32.random(in: 1...size.height - y, using: &random))
  }

  /// Shuffled pieces of guest memory that make up `count` bytes, and those bytes.
  private static func backing(
    of count: Int, _ guest: Guest, _ random: inout SplitMix
  ) throws -> (entries: [MemoryEntry], bytes: [UInt8]) {
    let longest = [1, 7, 300, 5000, 100_000].randomElement(using: &random) ?? 300
    var lengths: [Int] = []
    var rest = count
    while rest > 0 {
      let most = lengths.count == 16_383 ? rest : min(rest, longest)
      lengths.append(most == rest && lengths.count == 16_383 ? rest : Int.random(in: 1...most, using: &random))
      rest -= lengths[lengths.count - 1]
    }
    let bytes = Guest.pattern(count, seed: UInt8.random(in: 0...255, using: &random))
    var places = [Int](repeating: 0, count: lengths.count)
    let base = try guest.arena.allocate(count + lengths.count * 3)
    var next = Int(base.rawValue)
    for index in lengths.indices.shuffled(using: &random) {
      next += Int.random(in: 0...3, using: &random) / 2
      places[index] = next
      next += lengths[index]
    }
    var start = 0
    let entries = try lengths.indices.map { index in
      let address = GuestAddress(UInt64(places[index]))
      try guest.arena.write(Array(bytes[start..<start + lengths[index]]), at: address)
      start += lengths[index]
      return MemoryEntry(address: address, length: UInt32(lengths[index]))
    }
    return (entries, bytes)
  }
}
