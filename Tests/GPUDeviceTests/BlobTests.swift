import Buffers
import GPUDevice
import Testing
import Virtqueue

@Suite("Blobs in guest memory") struct BlobTests {
  @Test("what the guest draws into its pages is shown without a transfer, at any stride and offset")
  func shown() throws {
    let guest = try Guest()
    let entries = try guest.pages(6)
    #expect(try guest.createBlob(1, 6 * 4096, entries, flags: 2) == .okNoData)
    #expect(try guest.showBlob(1, width: 50, height: 40, stride: 300, offset: 4200) == .okNoData)
    let whole = Rectangle(x: 0, y: 0, width: 50, height: 40)
    #expect(try guest.code(.resourceFlush(ResourceID(rawValue: 1), whole)) == .okNoData)
    #expect(guest.sink.flushes.map(\.damage) == [whole])
    let bytes = try guest.bytes(entries)
    let pixels = try guest.pixels()
    for row in 0..<40 { #expect(pixels[row * 300..<row * 300 + 200] == bytes[4200 + row * 300..<4400 + row * 300]) }
    #expect(guest.device.statistics.bytesTransferred == 0)
  }

  @Test("16,384 entries make a blob, 16,385 do not")
  func mostEntries() throws {
    let guest = try Guest(memory: 80 << 20)
    let area = try guest.arena.allocate(16_384 * 4096, alignment: 4096)
    let entries = (0..<16_385).map {
      MemoryEntry(address: GuestAddress(area.rawValue + UInt64($0) % 16_384 * 4096), length: 4096)
    }
    #expect(try guest.createBlob(1, 4096, entries) == .invalidParameter)
    #expect(try guest.createBlob(1, 16_384 * 4096, Array(entries.dropLast())) == .okNoData)
    #expect(guest.device.memoryUsed > 0)
    #expect(try guest.unref(1) == .okNoData)
    #expect(guest.device.memoryUsed == 0)
  }

  @Test("neighbours are one piece of the memory's file, and pieces say where they are in it")
  func filePieces() throws {
    let arena = try GuestArena(count: 1 << 20)
    let file = MemoryRegionFile(
      identity: MemoryRegionFile.Identity(device: 1, number: 2), descriptor: arena.regions[0].file)
    let region = try #require(arena.memory.regions.first)
    let memory = GuestMemory()
    try memory.add(
      MemoryRegion(
        guestAddress: region.guestAddress, count: region.count, userAddress: 0, mapping: region.mapping, file: file,
        fileOffset: 0x3000))
    var pieces: [MemoryFilePiece] = []
    #expect(memory.appendFilePieces(at: GuestAddress(0x12000), count: 8192, to: &pieces))
    #expect(pieces.map(\.offset) == [0x5000] && pieces.map(\.count) == [8192] && pieces[0].file === file)
    #expect(!memory.appendFilePieces(at: GuestAddress(0x10000 + 1 << 20), count: 1, to: &pieces))
  }

  @Test("the same layout is the same picture, another layout another one, each given up once")
  func layouts() throws {
    let guest = try Guest(scanouts: [Size(width: 64, height: 64), Size(width: 64, height: 64)])
    let entries = try guest.pages(8)
    for id: UInt32 in 1...2 { #expect(try guest.createBlob(id, 8 * 4096, entries) == .okNoData) }
    func shown(_ scanout: UInt32) throws -> BufferID { try #require(guest.sink.contents[scanout]).picture.id }
    #expect(try guest.showBlob(1) == .okNoData)
    let first = try shown(0)
    #expect(try guest.showBlob(2) == .okNoData && guest.showBlob(1) == .okNoData)
    #expect(try shown(0) == first && guest.sink.retired.isEmpty, "a page flip gives nothing up")
    #expect(try guest.showBlob(1, on: 1, stride: 512) == .okNoData)
    #expect(try shown(1) != first && guest.sink.retired.isEmpty)
    #expect(try guest.showBlob(1, stride: 512) == .okNoData)
    #expect(guest.sink.retired == [first])
    for offset: UInt32 in 1...100 { #expect(try guest.showBlob(1, offset: offset * 4) == .okNoData) }
    #expect(guest.sink.retired.count == 98, "scanout 1 still shows one, and two other images are kept for a flip")
    #expect(try guest.unref(1) == .okNoData)
    #expect(guest.sink.retired.count == 102 && Set(guest.sink.retired).count == 102)
    #expect(guest.sink.contents.isEmpty)
  }

  @Test("page flips between three images of a blob give nothing up; when it is not shown any more, one stays")
  func images() throws {
    let guest = try Guest()
    let entries = try guest.pages(12)
    for id: UInt32 in 1...2 { #expect(try guest.createBlob(id, 12 * 4096, entries) == .okNoData) }
    for turn: UInt32 in 0..<9 { #expect(try guest.showBlob(1, offset: turn % 3 * 16_384) == .okNoData) }
    #expect(guest.sink.retired.isEmpty)
    #expect(try guest.showBlob(2) == .okNoData)
    #expect(guest.sink.retired.count == 2)
  }

  @Test("the UUID that the guest is told is its first picture's")
  func uuid() throws {
    let guest = try Guest()
    #expect(try guest.createBlob(1, 4 * 4096, guest.pages(4)) == .okNoData)
    let reply = try guest.run(.resourceAssignUUID(ResourceID(rawValue: 1)))
    #expect(try guest.showBlob(1) == .okNoData)
    let id = try #require(guest.sink.contents[0]).picture.id
    #expect(reply.code == .okResourceUUID && reply.bytes.dropFirst(24).withUnsafeBytes { BufferID(bytes: $0) } == id)
  }

  @Test("detaching the pages turns scanouts off, attaching others makes another picture")
  func backing() throws {
    let guest = try Guest()
    #expect(try guest.createBlob(1, 4 * 4096, guest.pages(4)) == .okNoData)
    #expect(try guest.showBlob(1) == .okNoData)
    let used = guest.device.memoryUsed
    #expect(try guest.attach(1, guest.pages(4)) == .unspecified, "it has pages")
    #expect(try guest.detach(1) == .okNoData)
    #expect(guest.sink.contents.isEmpty && guest.sink.retired.count == 1 && guest.device.memoryUsed < used)
    #expect(try guest.detach(1) == .unspecified && guest.showBlob(1) == .unspecified)
    #expect(try guest.attach(1, guest.pages(3)) == .invalidParameter, "too few")
    let entries = try guest.pages(5, seed: 9)
    #expect(try guest.attach(1, entries) == .okNoData && guest.showBlob(1) == .okNoData)
    #expect(try guest.pixels() == Array(guest.bytes(entries)[..<(4 * 4096)]))
  }

  @Test("a transfer to a blob copies nothing: Linux asks for it all the same, for blobs that it makes shareable")
  func transfer() throws {
    let guest = try Guest()
    #expect(try guest.createBlob(1, 4 * 4096, guest.pages(4), flags: 2) == .okNoData)
    #expect(try guest.createBlob(2, 4 * 4096, guest.pages(4)) == .okNoData)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData && guest.transfer(1, 0, 0, .max, .max) == .okNoData)
    #expect(try guest.transfer(2, 0, 0, 64, 64) == .invalidParameter)
    #expect(guest.device.statistics.bytesTransferred == 0)
  }

  @Test("a cursor can be a blob: its first bytes, row after row")
  func cursor() throws {
    let guest = try Guest()
    let entries = try guest.pages(4)
    #expect(try guest.createBlob(1, 4 * 4096, entries) == .okNoData)
    #expect(try guest.code(.updateCursor(CursorTests.update(resource: 1))) == .okNoData)
    #expect(try guest.sink.cursors[0]?.image.map { Array($0.bytes) } == guest.bytes(entries))
    #expect(try guest.createBlob(2, 4096, guest.pages(1)) == .okNoData)
    #expect(try guest.code(.updateCursor(CursorTests.update(resource: 2))) == .okNoData)
    #expect(guest.sink.cursors[0]?.image?.bytes.allSatisfy { $0 == 0 } == true, "too few bytes: nothing to see")
  }

  @Test("memory that the VMM takes away makes the picture unreadable, and the sink is told")
  func removed() throws {
    let guest = try Guest()
    #expect(try guest.createBlob(1, 4 * 4096, guest.pages(4)) == .okNoData && guest.showBlob(1) == .okNoData)
    let picture = try #require(guest.sink.contents[0]).picture
    let region = try #require(guest.arena.memory.regions.first)
    // The rings are in the same region: only the device looks at memory from now on.
    try guest.arena.memory.remove(at: region.guestAddress, count: region.count)
    guest.device.memoryChanged(guest.arena.memory)
    #expect(guest.sink.moved == [0])
    var row = [UInt8](repeating: 0xee, count: 256)
    let part = Rectangle(x: 0, y: 0, width: 64, height: 1)
    #expect(!row.withUnsafeMutableBytes { picture.copy(part, to: $0.baseAddress.unsafelyUnwrapped, stride: 256) })
    try guest.arena.memory.add(region)
    guest.device.memoryChanged(guest.arena.memory)
    #expect(row.withUnsafeMutableBytes { picture.copy(part, to: $0.baseAddress.unsafelyUnwrapped, stride: 256) })
    #expect(row != [UInt8](repeating: 0xee, count: 256))
  }

  @Test("features: guest allocation without VIRGL, host allocation with it, no blobs where neither is possible")
  func features() throws {
    func features(_ allocation: AllocationSide, _ window: UInt64) throws -> UInt64 {
      try Guest {
        $0.allocation = allocation
        $0.hostVisible = window
      }.device.deviceFeatures
    }
    #expect(try features(.guest, 1 << 20) == 0b101110 && features(.guest, 0) == 0b101110)
    #expect(try features(.host, 1 << 20) == 0b101111 && features(.host, 0) == 0b000110)
  }

  @Test("without the feature no blob command works")
  func notAccepted() throws {
    let guest = try Guest()
    guest.device.featuresAccepted(GPUDevice.edidFeature)
    #expect(try guest.createBlob(1, 4096, guest.pages(1)) == .unspecified)
    #expect(try guest.createHostBlob(2) == .unspecified && guest.showBlob(1) == .unspecified)
    #expect(try guest.now(guest.map(2, at: 0)) == .unspecified && guest.now(guest.unmap(2)) == .unspecified)
  }
}
