import Buffers
import GPUDevice
import Testing
import Virtqueue

@Suite("Hostile blobs") struct BlobHostileTests {
  @Test("sizes, kinds, flags and ids that cannot be are refused, and nothing stays")
  func creation() throws {
    let guest = try Guest()
    let entries = try guest.pages(16)
    let total: UInt64 = 16 * 4096
    #expect(try guest.createBlob(0, total, entries) == .invalidResourceID)
    for kind: UInt32 in [0, 4, .max] {
      #expect(try guest.code(Guest.blob(1, total, memory: kind)) == .invalidParameter)
    }
    #expect(try guest.code(Guest.blob(1, total, memory: 3)) == .unspecified, "no HOST3D_GUEST without 3D")
    for size in [0, 1 << 63, UInt64.max, total + 4096] {
      #expect(try guest.createBlob(1, size, entries) == .invalidParameter, "\(size)")
    }
    #expect(try guest.createBlob(1, total, entries, flags: 8) == .invalidParameter)
    #expect(try guest.code(Guest.blob(1, total, blob: 5)) == .invalidParameter)
    for count: UInt32 in [0, 17, 16_385, .max] {
      #expect(try guest.createBlob(1, total, entries, claiming: count) == .invalidParameter)
    }
    #expect(guest.device.resourceCount == 0 && guest.device.memoryUsed == 0)
    #expect(try guest.createBlob(1, total, entries) == .okNoData)
    #expect(try guest.createBlob(1, total, entries) == .invalidResourceID && guest.create(1) == .invalidResourceID)
    #expect(try guest.create(2) == .okNoData && guest.createBlob(2, total, entries) == .invalidResourceID)
  }

  @Test("entries in holes, over the end, and wrapping are refused")
  func addresses() throws {
    let guest = try Guest()
    let end = GuestAddress(0x10000 + 16 << 20)
    for (address, length): (UInt64, UInt32) in [
      (0, 4096), (end.rawValue - 4096, 8192), (end.rawValue, 1), (.max, 4096), (.max - 4095, 4096),
    ] {
      let entry = MemoryEntry(address: GuestAddress(address), length: length)
      #expect(try guest.createBlob(1, 4096, [entry]) == .invalidParameter)
    }
    #expect(try guest.createBlob(1, 1, [MemoryEntry(address: GuestAddress(0x10000), length: 0)]) == .invalidParameter)
    #expect(guest.device.resourceCount == 0)
  }

  @Test("scanouts with strides, offsets, sizes and rectangles outside of the blob are refused")
  func scanouts() throws {
    let guest = try Guest()
    #expect(try guest.createBlob(1, 16 * 4096, guest.pages(16)) == .okNoData)
    #expect(try guest.showBlob(1, on: 1) == .invalidScanoutID && guest.showBlob(1, on: .max) == .invalidScanoutID)
    #expect(try guest.showBlob(9) == .invalidResourceID)
    for format: UInt32 in [0, 5, .max] { #expect(try guest.showBlob(1, format: format) == .invalidParameter) }
    for stride: UInt32 in [0, 255, 0x8000_0000, 0xffff_fff0, .max] {
      #expect(try guest.showBlob(1, stride: stride) == .invalidParameter)
    }
    for offset: UInt32 in [0xc004, 0xffff_fff0, .max] {
      #expect(try guest.showBlob(1, offset: offset) == .invalidParameter)
    }
    for (width, height): (UInt32, UInt32) in [
      (0, 64), (64, 0), (64, 257), (0x4000_0040, 64), (.max, .max), (16_385, 1),
    ] {
      #expect(try guest.showBlob(1, width: width, height: height) == .invalidParameter)
    }
    for (x, width): (UInt32, UInt32) in [(1, 64), (64, 1), (0, 0), (.max, 2), (2, .max)] {
      let source = Rectangle(x: x, y: 0, width: width, height: 64)
      #expect(try guest.showBlob(1, source: source) == .invalidParameter)
    }
    #expect(guest.sink.scanoutChanges == 0)
    #expect(try guest.showBlob(1, offset: 0xc000) == .okNoData, "to the last byte")
  }

  @Test("commands for pictures are refused for blobs, and the reverse")
  func kinds() throws {
    let guest = try Guest()
    #expect(try guest.createBlob(1, 4 * 4096, guest.pages(4)) == .okNoData && guest.create(2) == .okNoData)
    #expect(try guest.transfer(1, 0, 0, 8, 8) == .invalidParameter && guest.show(1) == .invalidParameter)
    #expect(try guest.showBlob(2) == .invalidParameter)
    #expect(try guest.now(guest.map(2, at: 0)) == .invalidParameter)
    #expect(try guest.now(guest.unmap(2)) == .invalidParameter)
    #expect(try guest.createHostBlob(3) == .okNoData)
    #expect(try guest.attach(3, guest.pages(2)) == .invalidParameter && guest.detach(3) == .invalidParameter)
  }

  @Test("damage outside of the picture is refused, a huge one is cut to what is shown")
  func damage() throws {
    let guest = try Guest()
    #expect(try guest.createBlob(1, 16 * 4096, guest.pages(16)) == .okNoData)
    #expect(try guest.flush(1, 0, 0, .max, .max) == .okNoData, "nobody shows it")
    let part = Rectangle(x: 8, y: 8, width: 8, height: 8)
    #expect(try guest.showBlob(1, source: part) == .okNoData && guest.flush(1, 0, 0, 64, 64) == .okNoData)
    #expect(guest.sink.flushes.map(\.damage) == [part])
    for (x, width): (UInt32, UInt32) in [(1, 64), (.max, 2), (0, 40_000)] {
      #expect(try guest.flush(1, x, 0, width, 1) == .invalidParameter)
    }
  }

  @Test("with BLOB_ALIGNMENT misaligned sizes and places are refused", arguments: BlobAlignment.allCases)
  func alignment(_ alignment: BlobAlignment) throws {
    let guest = try Guest { $0.blobAlignment = alignment }
    let granule = UInt64(alignment.rawValue)
    #expect(ScanoutTests.configuration(guest.device)[4] == alignment.rawValue)
    let entries = try guest.pages(32)
    for size in [1, granule - 1, granule + 4, granule / 2, granule + granule / 2] where size % granule != 0 {
      #expect(try guest.createBlob(1, size, entries) == .invalidParameter)
      #expect(try guest.createHostBlob(1, size) == .invalidParameter)
    }
    #expect(try guest.createBlob(1, granule, entries) == .okNoData && guest.createHostBlob(2, granule) == .okNoData)
    #expect(try guest.now(guest.map(2, at: granule / 2)) == .invalidParameter)
    guest.device.featuresAccepted(GPUDevice.resourceBlobFeature)
    #expect(try guest.createBlob(3, 4100, entries) == .okNoData, "a driver that does not know the feature")
  }

  @Test("blobs, contexts and cursors of blobs, again and again, leave nothing behind")
  func again() throws {
    let guest = try Guest { $0.allocation = .host }
    let entries = try guest.pages(4)
    for _ in 0..<500 {
      _ = try guest.createBlob(1, 4 * 4096, entries)
      _ = try guest.showBlob(1)
      _ = try guest.run(.updateCursor(CursorTests.update(resource: 1)))
      _ = try guest.run(.contextCreate(nameLength: 4, kind: 0), context: 7)
      _ = try guest.run(.contextDestroy, context: 7)
      _ = try guest.unref(1)
    }
    #expect(guest.device.resourceCount == 0 && guest.device.memoryUsed == 0 && guest.device.contextCount == 0)
  }
}
