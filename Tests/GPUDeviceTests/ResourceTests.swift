import Buffers
import GPUDevice
import Testing
import Virtqueue

@Suite("Resources") struct ResourceTests {
  @Test("every format is created, shown and flushed", arguments: ResourceFormat.allCases)
  func formats(_ format: ResourceFormat) throws {
    let guest = try Guest()
    try guest.picture(1, width: 17, height: 3, format: format)
    #expect(try guest.show(1, 0, 0, 17, 3) == .okNoData)
    #expect(try guest.transfer(1, 0, 0, 17, 3) == .okNoData)
    #expect(try guest.flush(1, 0, 0, 17, 3) == .okNoData)
    #expect(guest.sink.contents[0]?.picture.layout.format == format.pixelFormat)
    #expect(try guest.pixels() == Guest.pattern(17 * 3 * 4, seed: 1))
  }

  @Test("creating refuses id 0, an id in use and unknown formats")
  func createErrors() throws {
    let guest = try Guest()
    #expect(try guest.create(0) == .invalidResourceID)
    #expect(try guest.create(5) == .okNoData)
    #expect(try guest.create(5) == .invalidResourceID)
    #expect(try guest.create(.max) == .okNoData)
    for format: UInt32 in [0, 5, 66, 122, 0x10001, .max] {
      let size = Size(width: 64, height: 64)
      let command = Command.resourceCreate2D(ResourceID(rawValue: 9), format: format, size: size)
      #expect(try guest.code(command) == .invalidParameter)
    }
    #expect(guest.device.resourceCount == 2)
  }

  @Test(
    "a size of 0 or beyond the limit is refused and reserves nothing",
    arguments: [
      (0x4000_0001, 1), (0x10001, 0x10001), (0x8000, 0x8000), (0, 5), (5, 0), (0, 0), (0xffff, 0xffff), (.max, .max),
      (1, 16_385),
    ] as [(UInt32, UInt32)])
  func sizes(_ width: UInt32, _ height: UInt32) throws {
    let guest = try Guest()
    #expect(try guest.create(1, width: width, height: height) == .invalidParameter)
    #expect(guest.device.memoryUsed == 0 && guest.device.resourceCount == 0)
  }

  @Test("pictures beyond the memory limit are refused until one is given up")
  func memoryLimit() throws {
    let guest = try Guest(limits: .usualLimits(hostAllocated: 10 << 20))
    #expect(try guest.create(1, width: 1024, height: 1024) == .okNoData)
    #expect(try guest.create(2, width: 1024, height: 1024) == .okNoData)
    #expect(try guest.create(3, width: 1024, height: 1024) == .outOfMemory)
    #expect(try guest.create(3, width: 16_384, height: 16_384) == .outOfMemory)
    #expect(try guest.unref(1) == .okNoData)
    #expect(try guest.create(3, width: 1024, height: 1024) == .okNoData)
  }

  @Test("buffers beyond their number are refused, and nothing changes")
  func bufferLimit() throws {
    var limits = LedgerAmounts.usualLimits
    limits.buffers = 2
    let guest = try Guest(limits: limits)
    #expect(try guest.create(1) == .okNoData && guest.create(2) == .okNoData)
    let totals = guest.device.ledger.totals
    #expect(try guest.create(3) == .outOfMemory)
    #expect(guest.device.ledger.totals == totals && guest.device.resourceCount == 2)
    #expect(try guest.unref(1) == .okNoData && guest.create(3) == .okNoData)
  }

  @Test("a picture's memory is promised at once and there with its first use")
  func promise() throws {
    let guest = try Guest()
    #expect(try guest.create(1) == .okNoData)
    #expect(guest.device.ledger.totals.hostAllocated == 16_384 && guest.device.ledger.promised == 16_384)
    #expect(try guest.show(1) == .okNoData)
    #expect(guest.device.ledger.totals.hostAllocated == 16_384 && guest.device.ledger.promised == 0)
  }

  @Test("a picture that somebody still reads is charged until nobody does")
  func chargeOfTheRead() throws {
    let guest = try Guest()
    #expect(try guest.create(1) == .okNoData && guest.show(1) == .okNoData)
    var reader = guest.sink.contents[0]?.picture
    #expect(try guest.unref(1) == .okNoData)
    #expect(reader != nil && guest.device.ledger.totals.hostAllocated == 16_384)
    reader = nil
    #expect(guest.device.ledger.totals == .nothing)
  }

  @Test("lists of pages have a limit of their own")
  func pageListLimit() throws {
    var limits = LedgerAmounts.usualLimits
    limits.bookkeeping = 1_000_000
    let guest = try Guest(limits: limits)
    let entries = [MemoryEntry](repeating: MemoryEntry(address: GuestAddress(0x10000), length: 4), count: 16_384)
    #expect(try guest.create(1) == .okNoData)
    #expect(try guest.create(2) == .okNoData)
    #expect(try guest.attach(1, entries) == .okNoData)
    let used = guest.device.memoryUsed
    #expect(try guest.attach(2, entries) == .outOfMemory)
    #expect(guest.device.memoryUsed == used)
    #expect(try guest.detach(1) == .okNoData)
    #expect(try guest.attach(2, entries) == .okNoData)
    #expect(try guest.unref(2) == .okNoData && guest.unref(1) == .okNoData)
    #expect(guest.device.memoryUsed == 0)
  }

  @Test("more resources than the limit are refused")
  func countLimit() throws {
    let guest = try Guest(maximumResources: 3)
    for id: UInt32 in 1...3 { #expect(try guest.create(id) == .okNoData) }
    #expect(try guest.create(4) == .outOfMemory)
    #expect(try guest.unref(2) == .okNoData)
    #expect(try guest.create(4) == .okNoData)
  }

  #if DEBUG
    private static let manyTimes = 50_000
  #else
    private static let manyTimes = 1_000_000
  #endif

  @Test("a million creations leave memory as it was")
  func million() throws {
    let guest = try Guest(ringSize: 256)
    let create = Command.resourceCreate2D(ResourceID(rawValue: 1), format: 1, size: Size(width: 64, height: 64))
    let requests = [create.encoded(), Command.resourceUnref(ResourceID(rawValue: 1)).encoded()]
    let address = try guest.arena.allocate(256)
    for (index, bytes) in requests.enumerated() {
      try guest.arena.write(bytes, at: GuestAddress(address.rawValue + UInt64(64 * index)))
    }
    let reply = VirtqueueDriver.Buffer(GuestAddress(address.rawValue + 128), 24)
    for _ in 0..<Self.manyTimes / 64 {
      for _ in 0..<64 {
        for (index, bytes) in requests.enumerated() {
          let start = GuestAddress(address.rawValue + UInt64(64 * index))
          let request = VirtqueueDriver.Buffer(start, UInt32(bytes.count))
          _ = guest.control.add(readable: [request], writable: [reply], indirect: true)
        }
      }
      guest.kick()
      guard guest.completed().count == 128 else { throw Lost() }
    }
    #expect(
      guest.device.statistics.commands == UInt64(Self.manyTimes / 64 * 128) && guest.device.statistics.errors == 0)
    #expect(guest.device.resourceCount == 0 && guest.device.memoryUsed == 0)
  }

  struct Lost: Error {}

  @Test("an id can be used again at once, and finds zeroed memory")
  func reuse() throws {
    let guest = try Guest()
    try guest.picture(1)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData)
    #expect(try guest.unref(1) == .okNoData)
    #expect(try guest.unref(1) == .invalidResourceID)
    #expect(try guest.unref(0) == .invalidResourceID)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .invalidResourceID)
    #expect(try guest.create(1) == .okNoData)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .unspecified)
    #expect(try guest.show(1) == .okNoData)
    #expect(try guest.pixels().allSatisfy { $0 == 0 })
  }

  @Test("a picture that is never used takes no memory file")
  func lazy() throws {
    let guest = try Guest()
    #expect(try guest.create(1) == .okNoData && guest.unref(1) == .okNoData)
    #expect(guest.sink.retired.isEmpty)
    #expect(try guest.create(1) == .okNoData && guest.show(1) == .okNoData && guest.unref(1) == .okNoData)
    #expect(guest.sink.retired.count == 1)
  }

  @Test("attaching checks id, count, payload and every entry")
  func attachErrors() throws {
    let guest = try Guest()
    let page = MemoryEntry(address: GuestAddress(0x10000), length: 4096)
    #expect(try guest.attach(9, [page]) == .invalidResourceID)
    #expect(try guest.detach(9) == .invalidResourceID)
    #expect(try guest.create(1) == .okNoData)
    #expect(try guest.detach(1) == .unspecified)
    #expect(try guest.attach(1, [page], claiming: 0) == .invalidParameter)
    #expect(try guest.attach(1, [page], claiming: 2) == .invalidParameter)
    #expect(try guest.attach(1, [page], claiming: 16_385) == .invalidParameter)
    #expect(try guest.attach(1, [page], claiming: .max) == .invalidParameter)
    #expect(try guest.attach(1, [], claiming: 1) == .invalidParameter)
    #expect(try guest.attach(1, [MemoryEntry](repeating: page, count: 16_385)) == .invalidParameter)
    #expect(guest.device.memoryUsed == 16_384)
    #expect(try guest.attach(1, [page, page, page, page]) == .okNoData)
    #expect(try guest.attach(1, [page]) == .unspecified)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData)
    #expect(try guest.detach(1) == .okNoData)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .unspecified)
    #expect(try guest.attach(1, [page]) == .okNoData)
  }

  @Test(
    "an entry that is not guest memory is refused",
    arguments: [
      (0, 4096), (0xffff, 2), (0x10000 + (16 << 20), 1), (0x10000 + (16 << 20) - 1, 2), (.max, 1), (.max - 4095, 4096),
      (.max, 2), (0x10000, .max),
    ] as [(UInt64, UInt32)])
  func unmapped(_ address: UInt64, _ length: UInt32) throws {
    let guest = try Guest()
    #expect(try guest.create(1) == .okNoData)
    let good = MemoryEntry(address: GuestAddress(0x10000), length: 16_384)
    let bad = MemoryEntry(address: GuestAddress(address), length: length)
    #expect(try guest.attach(1, [good, bad]) == .invalidParameter)
    #expect(try guest.attach(1, [good]) == .okNoData)
  }

  @Test("an entry up to the last byte of memory is taken, one of no bytes adds nothing")
  func edges() throws {
    let guest = try Guest()
    #expect(try guest.create(1, width: 1, height: 1) == .okNoData)
    let last = MemoryEntry(address: GuestAddress(0x10000 + (16 << 20) - 4), length: 4)
    #expect(try guest.attach(1, [MemoryEntry(address: GuestAddress(0), length: 0), last]) == .okNoData)
    #expect(try guest.transfer(1, 0, 0, 1, 1) == .okNoData)
  }

  @Test("the host's picture outlives the backing")
  func detached() throws {
    let guest = try Guest()
    try guest.picture(1)
    #expect(try guest.transfer(1, 0, 0, 64, 64) == .okNoData)
    #expect(try guest.detach(1) == .okNoData)
    #expect(try guest.show(1) == .okNoData)
    #expect(try guest.pixels() == Guest.pattern(16_384, seed: 1))
  }

  @Test("a UUID is the buffer's, lasts, and is another for another resource")
  func uuid() throws {
    let guest = try Guest()
    for id: UInt32 in 1...2 { #expect(try guest.create(id) == .okNoData) }
    let replies = try [1, 1, 2].map { (id: UInt32) in
      try guest.run(.resourceAssignUUID(ResourceID(rawValue: id)))
    }
    #expect(replies.allSatisfy { $0.code == .okResourceUUID && $0.bytes.count == 40 })
    #expect(replies[0] == replies[1] && replies[0] != replies[2])
    #expect(try guest.show(1) == .okNoData)
    let id = replies[0].bytes[24...].withUnsafeBytes { BufferID(bytes: $0) }
    #expect(guest.sink.contents[0]?.picture.id == id)
    #expect(try guest.code(.resourceAssignUUID(ResourceID(rawValue: 99))) == .invalidResourceID)
    guest.device.featuresAccepted(0)
    #expect(try guest.code(.resourceAssignUUID(ResourceID(rawValue: 1))) == .unspecified)
  }
}
