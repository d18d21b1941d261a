import Platform
import Testing

@testable import Virtqueue

@Suite struct GuestMemoryTests {
  static let page = 0x1000

  /// Two regions side by side, a hole, a third one.
  func arena() throws -> GuestArena {
    try GuestArena([
      (GuestAddress(0x20000), Self.page), (GuestAddress(0x10000), 0x10000), (GuestAddress(0x40000), Self.page),
    ])
  }

  func mapping(_ count: Int) throws -> MemoryMapping {
    let file = try SharedMemory.create(name: "test", count: count)
    return try MemoryMapping(descriptor: file.raw, count: count, access: .readWrite)
  }

  @Test func `a slice lies wholly in one region or is nil`() throws {
    let memory = try arena().memory
    #expect(memory.slice(at: GuestAddress(0x10000), count: 0x10000)?.count == 0x10000)
    #expect(memory.slice(at: GuestAddress(0x20fff), count: 1) != nil)
    for (address, count): (UInt64, UInt64) in [
      (0x1ffff, 2), (0x20fff, 2), (0x21000, 1), (0xffff, 1), (0x10000, 0), (0x10000, .max), (.max, 1), (.max, .max),
      (0x10001, .max - 0x10000), (0, 1),
    ] {
      #expect(memory.slice(at: GuestAddress(address), count: count) == nil, "\(address) \(count)")
    }
  }

  @Test func `a range over adjacent regions comes in pieces`() throws {
    let arena = try arena()
    try arena.write(Array(1...20), at: GuestAddress(0x1fff6))
    var pieces: [[UInt8]] = []
    try arena.memory.forEachSlice(at: GuestAddress(0x1fff6), count: 20) { pieces.append(Array($0)) }
    #expect(pieces == [Array(1...10), Array(11...20)])
  }

  @Test func `a range that ends in a hole is refused before any of it is touched`() throws {
    let memory = try arena().memory
    var calls = 0
    #expect(throws: GuestMemoryError.notMapped(at: GuestAddress(0x1f000), count: 0x2001)) {
      try memory.forEachSlice(at: GuestAddress(0x1f000), count: 0x2001) { _ in calls += 1 }
    }
    #expect(calls == 0)
    #expect(throws: GuestMemoryError.self) {
      try memory.forEachSlice(at: GuestAddress(0x10000), count: .max) { _ in calls += 1 }
    }
  }

  @Test func `regions that overlap are refused and nothing changes`() throws {
    let arena = try arena()
    let before = arena.memory.generation
    for (address, count): (UInt64, Int) in [
      (0x1ffff, 2), (0x10000, 1), (0xffff, 2), (0x40fff, 4096), (0x8000, 0x20000),
    ] {
      #expect(throws: VirtqueueDriverError.self) { try arena.addRegion(at: GuestAddress(address), count: count) }
    }
    #expect(arena.memory.generation == before)
    #expect(arena.memory.regions.count == 3)
  }

  @Test func `regions that claim what they do not have are refused`() throws {
    let memory = GuestMemory()
    let mapping = try mapping(4096)
    func region(_ address: UInt64, _ count: UInt64, user: UInt64 = 0, offset: UInt64 = 0) -> MemoryRegion {
      MemoryRegion(
        guestAddress: GuestAddress(address), count: count, userAddress: user, mapping: mapping, mappingOffset: offset)
    }
    for bad in [
      region(0, 0), region(0, 4097), region(0, 4096, offset: 1), region(0, 1, offset: .max), region(.max - 4094, 4096),
      region(0, .max), region(0, 4096, user: .max - 4000), region(0, 1, offset: 4096),
    ] {
      #expect(throws: GuestMemoryError.self) { try memory.add(bad) }
    }
    #expect(memory.regions.isEmpty)
    try memory.add(region(.max - 4096, 4096))
    #expect(memory.slice(at: GuestAddress(.max - 4096), count: 4096) != nil)
    #expect(memory.slice(at: GuestAddress(.max - 4096), count: 4097) == nil)
  }

  @Test func `more regions than the limit are refused`() throws {
    let mapping = try mapping(4096)
    let regions = (0...GuestMemory.maximumRegions).map {
      MemoryRegion(guestAddress: GuestAddress(UInt64($0) * 4096), count: 4096, userAddress: 0, mapping: mapping)
    }
    let memory = GuestMemory()
    #expect(throws: GuestMemoryError.tooManyRegions(513)) { try memory.replace(with: regions) }
    try memory.replace(with: regions.dropLast())
    #expect(memory.slice(at: GuestAddress(511 * 4096), count: 4096) != nil)
    #expect(memory.slice(at: GuestAddress(512 * 4096), count: 1) == nil)
  }

  @Test func `each change makes a new generation and a removed region is a hole`() throws {
    let arena = try arena()
    let before = arena.memory.generation
    #expect(arena.memory.slice(at: GuestAddress(0x20000), count: 1) != nil)
    try arena.memory.remove(at: GuestAddress(0x20000), count: 4096)
    #expect(arena.memory.generation > before)
    #expect(arena.memory.slice(at: GuestAddress(0x20000), count: 1) == nil)
    #expect(throws: GuestMemoryError.unknownRegion(at: GuestAddress(0x40000), count: 1)) {
      try arena.memory.remove(at: GuestAddress(0x40000), count: 1)
    }
  }

  @Test func `the mapping of a removed region is let go`() throws {
    let memory = GuestMemory()
    weak var watched: MemoryMapping?
    do {
      let mapping = try mapping(4096)
      watched = mapping
      try memory.add(MemoryRegion(guestAddress: GuestAddress(0), count: 4096, userAddress: 0, mapping: mapping))
    }
    #expect(watched != nil)
    try memory.remove(at: GuestAddress(0), count: 4096)
    #expect(watched == nil)
  }

  @Test func `addresses of the front-end lead to the same bytes`() throws {
    let arena = try arena()
    let address = GuestAddress(0x10234)
    let user = arena.userAddress(of: address)
    let slice = arena.memory.slice(at: address, count: 4)
    #expect(arena.memory.pointer(forUserAddress: user, count: 4) == slice?.baseAddress)
    #expect(arena.memory.pointer(forUserAddress: user, count: .max) == nil)
    #expect(arena.memory.pointer(forUserAddress: user, count: 0x10000) == nil)
    #expect(arena.memory.pointer(forUserAddress: .max, count: 1) == nil)
  }
}
