import Buffers
import Glibc
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

/// Producers that lie about memory. Each of them loses its own connection, and nothing else happens.
@Suite struct HostileMemoryTests {
  private let page = UInt64(SharedMemory.pageSize)

  /// What becomes of a producer that has registered a VM's memory of eight pages as number 1 and then does something.
  private func refusal(
    after act: (RawPeer, VMMemory) throws -> Void
  ) throws -> Refusal? {
    let world = try World { $0.guestMemoryReaders = .all }
    let other = world.producer("other")
    let display = world.capableDisplay()
    try other.client.show(try picture(4))
    try world.wait("the other is shown") { display.log.buffer("other")?.mark == 4 }
    let peer = try world.raw()
    try peer.hello(.producer, "bad")
    let memory = try VMMemory(pages: 8)
    try peer.register(memory, as: 1)
    try act(peer, memory)
    let refusal = try peer.refusal()
    #expect(world.hub?.registry.all.count == 1)
    let serial = try #require(other.client.flush(ScanoutIndex(0), damage: .empty))
    try world.wait("the other's flush is latched") { other.log.latched.last?.serial == serial }
    return refusal
  }

  private func describe(
    _ kind: MemoryKind, byteCount: UInt64, offset: UInt64 = 0
  ) throws -> Message {
    .bufferRegister(
      BufferDescription(id: .random(), layout: try threePageLayout()),
      MemoryDescription(kind: kind, side: .guest, reason: .noUDMABuf, byteCount: byteCount, offset: offset))
  }

  /// A range table of any words, sealed.
  private func table(_ entries: [[UInt64]]) throws -> FileDescriptor {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: entries.count * 24, alignment: 8)
    defer { bytes.deallocate() }
    for (index, words) in entries.enumerated() {
      for (position, word) in words.enumerated() {
        bytes.storeBytes(of: word.littleEndian, toByteOffset: index * 24 + position * 8, as: UInt64.self)
      }
    }
    return try SharedMemory.createUnchangeable(name: "table", contents: UnsafeRawBufferPointer(bytes))
  }

  private func doorbell() throws -> FileDescriptor {
    let bell = try Doorbell()
    return try withExtendedLifetime(bell) { try FileDescriptor(duplicating: bell.waiting.raw) }
  }

  // MARK: Range tables

  @Test(
    arguments: [
      ("behind the memory", [[1, 6, 3]]),
      ("at its end", [[1, 8, 3]]),
      ("no page", [[1, 0, 0], [1, 0, 3]]),
      ("over each other", [[1, 0, 2], [1, 1, 1]]),
      ("the same page thrice", [[1, 4, 1], [1, 4, 1], [1, 4, 1]]),
      ("an unknown memory", [[2, 0, 3]]),
      ("a reserved field", [[1 << 32 | 1, 0, 3]]),
      ("memory 2^64 - 1", [[UInt64.max, 0, 3]]),
    ] as [(String, [[UInt64]])])
  func `ranges that are none are refused`(what: String, entries: [[UInt64]]) throws {
    let refusal = try refusal { peer, _ in
      let file = try table(entries.map { [$0[0], $0[1] * page, $0[2] * page] })
      try peer.send(try describe(.ranges, byteCount: 3 * page), descriptors: [file.raw])
    }
    #expect(refusal?.code == .badBuffer, "\(what)")
  }

  @Test(
    arguments: [
      [1, 1, 0], [0, 8, 0], [0xffff_ffff_ffff_f000, 0, 0], [0, 0xffff_ffff_ffff_f000, 0],
      [0xffff_ffff_ffff_f000, 0xffff_ffff_ffff_f000, 0], [0x7fff_ffff_ffff_f000, 4096, 0], [.max, .max, 0],
    ] as [[UInt64]])
  func `offsets and lengths that are unaligned or pass 2^63 are refused`(words: [UInt64]) throws {
    let refusal = try refusal { peer, _ in
      let file = try table([[1, words[0], words[1] &+ (words[2] == 0 ? 0 : page)], [1, 0, 3 * page]])
      try peer.send(try describe(.ranges, byteCount: 3 * page), descriptors: [file.raw])
    }
    #expect(refusal?.code == .badBuffer)
  }

  @Test func `a table that is shorter or longer than the buffer says is refused`() throws {
    for count in [2, 4] as [UInt64] {
      let refusal = try refusal { peer, _ in
        let file = try table([[1, 0, count * page]])
        try peer.send(try describe(.ranges, byteCount: 3 * page), descriptors: [file.raw])
      }
      #expect(refusal?.code == .badBuffer)
    }
  }

  @Test func `a table that somebody can still change is refused`() throws {
    let refusal = try refusal { peer, _ in
      let file = try SharedMemory.create(name: "table", count: 24)
      try peer.send(try describe(.ranges, byteCount: 3 * page), descriptors: [file.raw])
    }
    #expect(refusal?.code == .badBuffer)
    #expect(refusal?.reason.contains("can still be changed") == true)
  }

  @Test func `a buffer of no bytes, or fewer than its picture has, is refused`() throws {
    #expect(
      try refusal { peer, _ in
        let file = try table([[1, 0, 2 * page]])
        try peer.send(try describe(.ranges, byteCount: 2 * page), descriptors: [file.raw])
      }?.code == .badBuffer)
    #expect(
      try refusal { peer, memory in
        try peer.send(try describe(.file, byteCount: 0), descriptors: [memory.readOnly.raw])
      }?.code == .malformed)
  }

  // MARK: Descriptors of another kind

  @Test(arguments: [MemoryKind.file, .dmaBuf, .ranges], ["memory", "table", "doorbell", "socket", "directory"])
  func `a descriptor of another kind is refused`(kind: MemoryKind, what: String) throws {
    // A sealed memory file that is read-only is right for one of them, a table for another.
    guard (kind, what) != (.file, "memory"), (kind, what) != (.ranges, "table") else { return }
    let refusal = try refusal { peer, memory in
      let descriptor =
        switch what {
        case "memory": try FileDescriptor(duplicating: memory.readOnly.raw)
        case "table": try table([[1, 0, 3 * page]])
        case "doorbell": try doorbell()
        case "socket": FileDescriptor(adopting: socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
        default: FileDescriptor(adopting: open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC))
        }
      try peer.send(try describe(kind, byteCount: 3 * page), descriptors: [descriptor.raw])
    }
    #expect(refusal?.code == .badBuffer)
  }

  @Test func `a file that can be written is refused, and a buffer that does not begin at one of its pages`() throws {
    #expect(
      try refusal { peer, memory in
        try peer.send(try describe(.file, byteCount: 3 * page), descriptors: [memory.file.writable.raw])
      }?.code == .badBuffer)
    for offset in [8, page - 1, 6 * page, .max - 3 * page] {
      #expect(
        try refusal { peer, memory in
          try peer.send(
            try describe(.file, byteCount: 3 * page, offset: offset), descriptors: [memory.readOnly.raw])
        }?.code == .badBuffer)
    }
  }

  // MARK: A VM's memory

  @Test func `memory that is no file, can be written or is shorter than it says is refused`() throws {
    let number = MemoryFileID(rawValue: 2)
    #expect(
      try refusal { peer, _ in
        let bell = try doorbell()
        try peer.send(.memoryRegister(number, byteCount: page), descriptors: [bell.raw])
      }?.code == .badBuffer)
    #expect(
      try refusal { peer, memory in
        try peer.send(.memoryRegister(number, byteCount: page), descriptors: [memory.file.writable.raw])
      }?.code == .badBuffer)
    #expect(
      try refusal { peer, memory in try peer.register(memory, as: 2, byteCount: memory.byteCount + 1) }?.code
        == .badBuffer)
    #expect(try refusal { peer, memory in try peer.register(memory, as: 2, byteCount: 0) }?.code == .malformed)
  }

  @Test func `a memory's number comes once`() throws {
    #expect(try refusal { peer, memory in try peer.register(memory, as: 1) }?.code == .badBuffer)
    #expect(try refusal { peer, memory in try peer.register(memory, as: 0) }?.code == .badBuffer)
    #expect(
      try refusal { peer, memory in
        try peer.send(.memoryUnregister(MemoryFileID(rawValue: 1)))
        try peer.register(memory, as: 1)
      }?.code == .badBuffer)
  }

  @Test func `the 65th memory is refused`() throws {
    let refusal = try refusal { peer, memory in
      for number in 2...65 as ClosedRange<UInt32> { try peer.register(memory, as: number) }
    }
    #expect(refusal?.code == .limit)
  }

  @Test func `memory that a buffer is in is not given up, nor memory that was never there`() throws {
    #expect(
      try refusal { peer, _ in
        try peer.register([pages(1, 0, count: 3)])
        try peer.send(.memoryUnregister(MemoryFileID(rawValue: 1)))
      }?.code == .badBuffer)
    #expect(
      try refusal { peer, _ in try peer.send(.memoryUnregister(MemoryFileID(rawValue: 9))) }?.code == .unknownObject)
  }

  @Test func `memory that is given up can no longer be named`() throws {
    let refusal = try refusal { peer, _ in
      let id = try peer.register([pages(1, 0, count: 3)])
      try peer.send(.bufferUnregister(id))
      try peer.send(.memoryUnregister(MemoryFileID(rawValue: 1)))
      try peer.register([pages(1, 0, count: 3)])
    }
    #expect(refusal?.code == .badBuffer)
    #expect(refusal?.reason == "memory 1 is not registered")
  }

  @Test func `one VM's numbers mean nothing in another VM's tables`() throws {
    let world = try World { $0.guestMemoryReaders = .all }
    let rich = try world.raw()
    try rich.hello(.producer, "rich")
    try rich.register(try VMMemory(pages: 8), as: 7)
    let poor = try world.raw()
    try poor.hello(.producer, "poor")
    try poor.register([pages(7, 0, count: 3)])
    #expect(try poor.refusal()?.reason == "memory 7 is not registered")
  }

  @Test func `a consumer's or a control program's word about memory is not taken`() throws {
    for role in [Role.consumer, .control] {
      let world = try World()
      let peer = try world.raw()
      try peer.hello(role, "x")
      try peer.register(try VMMemory(pages: 1), as: 1)
      #expect(try peer.refusal()?.code == .notPermitted)
    }
  }
}
