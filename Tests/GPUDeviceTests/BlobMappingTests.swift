import Buffers
import Glibc
import GPUDevice
import Platform
import Testing
import Virtqueue

@Suite("Blobs in the host's memory") struct BlobMappingTests {
  @Test("a new one is zero, and the guest's own once it sees it")
  func zeroed() throws {
    let guest = try Guest()
    try guest.mappedBlob(1, at: 4096)
    let change = guest.window.changes[0]
    let file = try #require(change.file)
    #expect(guest.window.texts == ["map 4096+8192"] && change.piece.region == 1 && change.piece.fileOffset == 0)
    let mapping = try MemoryMapping(descriptor: file.raw, count: 8192, access: .readWrite)
    #expect(mapping.bytes.allSatisfy { $0 == 0 })
    #expect(SharedMemory.mayBeShared(file.raw))
    withExtendedLifetime(mapping) { mapping.mutableBytes[0] = 0x11 }
    #expect(try guest.showBlob(1, width: 2, height: 2, stride: 8) == .okNoData)
    #expect(try guest.pixels()[0] == 0x11, "what it draws there is what is shown")
  }

  @Test("it is charged in whole pages when it is made, and no more than the limit")
  func charge() throws {
    let guest = try Guest(limits: .usualLimits(hostAllocated: 1 << 20))
    #expect(try guest.createHostBlob(1, (1 << 20) + 4096) == .outOfMemory)
    #expect(try guest.createHostBlob(1, 1 << 62) == .outOfMemory && guest.device.resourceCount == 0)
    #expect(try guest.createHostBlob(1, 1 << 20) == .okNoData && guest.device.memoryUsed == 1 << 20)
    #expect(try guest.createHostBlob(2, 4096) == .outOfMemory)
    #expect(try guest.unref(1) == .okNoData && guest.device.memoryUsed == 0)
  }

  @Test("entries and blob ids have no place there, nor have contexts that do not exist")
  func creation() throws {
    let guest = try Guest { $0.allocation = .host }
    let entries = try guest.pages(1)
    let command = Guest.blob(1, 4096, memory: 2, flags: 1, entryCount: 1)
    #expect(try guest.send(command.encoded() + entries[0].encoded)?.code == .invalidParameter)
    #expect(try guest.code(Guest.blob(1, 4096, memory: 2, flags: 1, blob: 1)) == .invalidParameter)
    #expect(try guest.run(Guest.blob(1, 4096, memory: 2), context: 3).code == .invalidContextID)
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 0), context: 3).code == .okNoData)
    #expect(try guest.run(Guest.blob(1, 4096, memory: 2), context: 3).code == .okNoData)
    #expect(try Guest { $0.hostVisible = 0 }.createHostBlob(1) == .unspecified)
  }

  @Test("MAP_BLOB is answered when the guest sees it, UNMAP_BLOB when it does not")
  func answers() throws {
    let guest = try Guest()
    #expect(try guest.createHostBlob(1) == .okNoData)
    let map = try guest.map(1, at: 0)
    guest.kick()
    #expect(guest.completed().isEmpty && guest.device.heldAnswerCount == 1)
    guest.answerWindow()
    #expect(guest.completed() == [map] && guest.device.mappedBlobCount == 1)
    #expect(try guest.answer(to: map)?.type.code == .okMapInfo)
    #expect(try guest.mapInfo(of: map) == 1, "cached")
    let unmap = try guest.unmap(1)
    guest.kick()
    #expect(guest.completed().isEmpty && guest.device.mappedBlobCount == 0)
    guest.answerWindow()
    #expect(guest.completed() == [unmap])
    #expect(try guest.answer(to: unmap)?.type.code == .okNoData)
  }

  @Test("fenced commands behind it wait, others overtake it")
  func order() throws {
    let guest = try Guest()
    #expect(try guest.createHostBlob(1) == .okNoData)
    let map = try guest.map(1, at: 0)
    let fenced = try guest.post(.getDisplayInfo, fence: 4, room: 500)
    let other = try guest.post(.getDisplayInfo, room: 500)
    guest.kick()
    #expect(guest.completed() == [other])
    guest.answerWindow()
    #expect(guest.completed() == [map, fenced])
  }

  @Test("a place outside of the region, unaligned, or taken is refused")
  func places() throws {
    let guest = try Guest { $0.hostVisible = 1 << 20 }
    let size: UInt64 = 1 << 20
    try guest.mappedBlob(1, at: 8192)
    #expect(try guest.createHostBlob(2) == .okNoData)
    for offset in [size, size - 4096, 0 &- 4096, 0 &- 8192, 1 << 63, 1, 4095, 4096, 8192, 12_288] {
      #expect(try guest.now(guest.map(2, at: offset)) == .invalidParameter, "\(offset)")
    }
    #expect(guest.window.changes.count == 1)
    for offset in [0, 16_384, size - 8192] as [UInt64] {
      let map = try guest.map(2, at: offset)
      guest.kick()
      guest.answerWindow()
      #expect(guest.completed() == [map])
      let unmap = try guest.unmap(2)
      guest.kick()
      guest.answerWindow()
      #expect(guest.completed() == [unmap])
    }
  }

  @Test("what is not mappable, mapped already, or not mapped is refused")
  func states() throws {
    let guest = try Guest()
    #expect(try guest.createHostBlob(1, flags: 2) == .okNoData)
    #expect(try guest.now(guest.map(1, at: 0)) == .invalidParameter)
    #expect(try guest.createBlob(2, 4096, guest.pages(1), flags: 1) == .okNoData)
    #expect(try guest.now(guest.map(2, at: 0)) == .invalidParameter)
    try guest.mappedBlob(3)
    #expect(try guest.now(guest.map(3, at: 65_536)) == .unspecified)
    #expect(try guest.now(guest.unmap(1)) == .unspecified && guest.now(guest.unmap(9)) == .invalidResourceID)
    #expect(try guest.now(guest.map(9, at: 0)) == .invalidResourceID)
    #expect(guest.window.changes.count == 1)
  }

  @Test("giving up a mapped blob ends the mapping; the memory stays charged until the guest sees it no more")
  func unrefMapped() throws {
    let guest = try Guest()
    try guest.mappedBlob(1)
    #expect(try guest.unref(1) == .okNoData)
    #expect(guest.window.texts == ["map 0+8192", "unmap 0+8192"])
    #expect(guest.device.memoryUsed == 8192 && guest.device.resourceCount == 0)
    guest.answerWindow()
    #expect(guest.device.memoryUsed == 0)
  }

  @Test("the id and the place are used again at once, behind the end of the old mapping")
  func reuse() throws {
    let guest = try Guest()
    try guest.mappedBlob(1)
    #expect(try guest.unref(1) == .okNoData && guest.createHostBlob(1) == .okNoData)
    let map = try guest.map(1, at: 0)
    guest.kick()
    #expect(guest.window.texts == ["map 0+8192", "unmap 0+8192", "map 0+8192"])
    let numbers = try [0, 2].map { try fileNumber(of: try #require(guest.window.changes[$0].file)) }
    #expect(numbers[0] != numbers[1], "never the old memory")
    guest.answerWindow()
    #expect(guest.completed() == [map] && guest.device.memoryUsed == 8192 && guest.device.mappedBlobCount == 1)
  }

  @Test("unmapping and giving up while the mapping is on its way")
  func crossing() throws {
    let guest = try Guest()
    #expect(try guest.createHostBlob(1) == .okNoData)
    let posted = [try guest.map(1, at: 0), try guest.unmap(1), try guest.map(1, at: 0)]
    guest.kick()
    #expect(try guest.unref(1) == nil || guest.completed().isEmpty)
    #expect(guest.window.texts == ["map 0+8192", "unmap 0+8192", "map 0+8192", "unmap 0+8192"])
    guest.answerWindow()
    #expect(Set(guest.completed()).isSuperset(of: posted))
    #expect(guest.device.memoryUsed == 0 && guest.device.mappedBlobCount == 0)
  }

  @Test("a mapping that the VMM refuses is an error for the guest, and its place is free")
  func refused() throws {
    let guest = try Guest()
    #expect(try guest.createHostBlob(1) == .okNoData)
    let map = try guest.map(1, at: 0)
    guest.kick()
    guest.answerWindow(false)
    #expect(guest.completed() == [map] && guest.device.mappedBlobCount == 0)
    #expect(try guest.answer(to: map)?.type.code == .unspecified)
    #expect(try guest.now(guest.unmap(1)) == .unspecified)
    guest.window.isOpen = false
    #expect(try guest.now(guest.map(1, at: 0)) == .unspecified)
    guest.window.isOpen = true
    let again = try guest.map(1, at: 0)
    guest.kick()
    guest.answerWindow()
    #expect(guest.completed() == [again] && guest.device.mappedBlobCount == 1)
  }

  @Test("a reset ends all mappings, those on their way too, each once")
  func reset() throws {
    let guest = try Guest()
    for id: UInt32 in 1...3 { try guest.mappedBlob(id, at: UInt64(id) * 65_536) }
    #expect(try guest.createHostBlob(4) == .okNoData)
    let map = try guest.map(4, at: 0)
    guest.kick()
    guest.device.reset()
    #expect(guest.completed() == [map] && guest.device.heldAnswerCount == 0)
    #expect(try guest.answer(to: map)?.type.code == .unspecified, "it was given up")
    let ends = guest.window.texts.filter { $0.hasPrefix("unmap") }
    #expect(Set(ends).count == 4 && ends.count == 4)
    #expect(guest.device.memoryUsed == 4 * 8192 && guest.device.mappedBlobCount == 0)
    guest.answerWindow()
    #expect(guest.device.memoryUsed == 0)
    guest.device.reset()
    #expect(guest.window.changes.count == 8)
  }

  @Test("a mapping whose command is gone when it comes is ended")
  func lateMapping() throws {
    let guest = try Guest()
    #expect(try guest.createHostBlob(1) == .okNoData)
    let map = try guest.map(1, at: 0)
    guest.kick()
    guest.device.stop(queue: 0)
    #expect(guest.completed() == [map])
    guest.answerWindow()
    #expect(guest.window.texts == ["map 0+8192", "unmap 0+8192"] && guest.device.mappedBlobCount == 0)
    guest.answerWindow()
    guest.device.reset()
    #expect(guest.window.changes.count == 2 && guest.device.memoryUsed == 0)
  }

  @Test("when the VMM goes all mappings have gone, and nothing is asked for")
  func disconnect() throws {
    let guest = try Guest()
    try guest.mappedBlob(1)
    #expect(try guest.createHostBlob(2) == .okNoData)
    let map = try guest.map(2, at: 65_536)
    guest.kick()
    let asked = guest.window.changes.count
    // As a session ends: what is under way has failed, the queues stop, the window goes, the device is reset.
    guest.answerWindow(false)
    #expect(guest.completed() == [map])
    for queue in 0..<2 { guest.device.stop(queue: queue) }
    guest.device.sharedMemoryWindowChanged(nil)
    guest.device.reset()
    #expect(guest.window.changes.count == asked && guest.device.memoryUsed == 0 && guest.device.mappedBlobCount == 0)
  }

  @Test("answers that nobody asked for, and repeated ones, mean nothing")
  func unasked() throws {
    let guest = try Guest()
    try guest.mappedBlob(1)
    for number: UInt64 in [0, 1, 2, .max] {
      guest.device.sharedMemoryChanged(SharedMemoryTicket(number: number), succeeded: false)
    }
    #expect(guest.device.mappedBlobCount == 1)
  }

  @Test("no more mappings at a time than the configuration allows")
  func limit() throws {
    let guest = try Guest { $0.maximumMappings = 2 }
    for id: UInt32 in 1...2 { try guest.mappedBlob(id, at: UInt64(id) * 65_536) }
    #expect(try guest.createHostBlob(3) == .okNoData && guest.now(guest.map(3, at: 0)) == .outOfMemory)
    #expect(try guest.unref(1) == .okNoData)
    let map = try guest.map(3, at: 65_536)
    guest.kick()
    guest.answerWindow()
    #expect(guest.completed() == [map])
  }

  @Test("a picture that somebody still reads stays charged until it is released, over a reset too")
  func heldPicture() throws {
    let guest = try Guest()
    #expect(try guest.createHostBlob(1, 4 * 4096) == .okNoData && guest.showBlob(1) == .okNoData)
    let id = try #require(guest.sink.contents[0]).picture.id
    guest.sink.isReading = true
    #expect(try guest.unref(1) == .okNoData && guest.device.memoryUsed == 4 * 4096)
    guest.device.reset()
    #expect(guest.device.memoryUsed == 4 * 4096 && guest.sink.retired == [id])
    guest.sink.read = []
    #expect(guest.device.memoryUsed == 0)
  }
}

/// Which file it is.
private func fileNumber(of descriptor: SharedDescriptor) throws -> UInt64 {
  var status = stat()
  try #require(fstat(descriptor.raw, &status) == 0)
  return UInt64(status.st_ino)
}
