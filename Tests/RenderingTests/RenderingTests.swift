import Buffers
import GPUDevice
import Geometry
import Testing
import Virtqueue

@testable import Rendering

/// One after the other, and on one thread: a process has one library, whose contexts belong to the thread that started it.
@Suite("3D by virglrenderer", .serialized, .enabled(Trial.skipped) { await Trial.isThere })
@LibraryThread struct RenderingTests {
  @Test("capability sets are what the library fills, and OpenGL is there")
  func capsets() throws {
    let renderer = try #require(Trial.renderer)
    #expect(Array(renderer.kinds.map(\.capset).prefix(2)) == [1, 2])
    for kind in renderer.kinds { #expect(kind.capsetBytes.contains { $0 != 0 } && kind.capsetBytes.count <= 4096) }
    #expect(!renderer.driver.name.isEmpty)
  }

  @Test("a second one in a process is refused")
  func second() throws {
    #expect(throws: RenderingError.inUse) { _ = try VirglRenderer(VirglOptions()) }
  }

  @Test("what a context draws is shown after a flush, whole at first and then where it is damaged")
  func shown() throws {
    let guest = try RenderedGuest()
    try guest.target()
    #expect(try guest.submit(Drawing.target(1) + Drawing.clear(red: 1, green: 0, blue: 0)) == .okNoData)
    let all = Rectangle(x: 0, y: 0, width: 64, height: 64)
    let id = ResourceID(rawValue: 1)
    #expect(try guest.run(.setScanout(ScanoutID(rawValue: 0), resource: id, source: all)) == .okNoData)
    #expect(try guest.run(.resourceFlush(id, Rectangle(x: 0, y: 0, width: 1, height: 1))) == .okNoData)
    #expect(try guest.pixels() == [UInt32](repeating: 0xffff_0000, count: 4096))
    #expect(try guest.submit(Drawing.clear(red: 0, green: 0, blue: 1)) == .okNoData)
    #expect(try guest.run(.resourceFlush(id, Rectangle(x: 8, y: 60, width: 3, height: 4))) == .okNoData)
    let pixels = try guest.pixels()
    for index in pixels.indices {
      let isDamaged = (8..<11).contains(index % 64) && index / 64 >= 60
      #expect(pixels[index] == (isDamaged ? 0xff00_00ff : 0xffff_0000))
    }
    #expect(try guest.device.statistics.pixelsRead == 4096 + 12)
    try guest.end()
  }

  @Test("transfers go both ways, and rows are where they belong")
  func transfers() throws {
    let guest = try RenderedGuest()
    try guest.target()
    let address = try guest.backing(1, count: 64 * 64 * 4)
    let rows = (0..<64 * 64).map { UInt32($0) | 0xff00_0000 }
    try guest.arena.write(Drawing.bytes(rows), at: address)
    var box = Command.Transfer3D(resource: ResourceID(rawValue: 1))
    (box.width, box.height, box.depth, box.stride) = (64, 64, 1, 256)
    #expect(try guest.run(.transferToHost3D(box), context: 1) == .okNoData)
    try guest.arena.write([UInt8](repeating: 0, count: 64 * 64 * 4), at: address)
    (box.x, box.y, box.width, box.height, box.offset) = (3, 5, 7, 2, 5 * 256 + 12)
    #expect(try guest.run(.transferFromHost3D(box), context: 1) == .okNoData)
    let back = try guest.arena.read(at: address, count: 64 * 64 * 4).withUnsafeBytes {
      Array($0.bindMemory(to: UInt32.self))
    }
    for index in back.indices {
      let isRead = (3..<10).contains(index % 64) && (5..<7).contains(index / 64)
      #expect(back[index] == (isRead ? rows[index] : 0))
    }
    try guest.end()
  }

  @Test("fences of submissions and of a context's ring complete, in order, by an event")
  func fences() throws {
    let guest = try RenderedGuest()
    try guest.target()
    #expect(try guest.submit(Drawing.target(1) + Drawing.clear(red: 1, green: 1, blue: 0), fence: 7) == .okNoData)
    #expect(try guest.submit(Drawing.clear(red: 0, green: 1, blue: 0), fence: 7, ring: 0) == .okNoData)
    #expect(try guest.submit(Drawing.clear(red: 0, green: 1, blue: 1), fence: .max) == .okNoData)
    #expect(try guest.submit(Drawing.clear(red: 0, green: 1, blue: 1), fence: 3, ring: 63) == .okNoData)
    #expect(try guest.device.ledger.totals.commands == 0)
    try guest.end()
  }

  @Test("bad commands are refused, and other contexts go on")
  func refused() throws {
    let guest = try RenderedGuest()
    try guest.target()
    try guest.target(2, context: 2)
    for bad: [UInt32] in [[0xff], [0xffff_0007], [1 | 8 << 8 | 5 << 16, 9, 99, 1, 0, 0], [7 | 8 << 16]] {
      _ = try guest.submit(bad)
    }
    #expect(try guest.run(.submit3D(byteCount: 3, fenceCount: 0), [1, 2, 3], context: 1) == .invalidParameter)
    #expect(try guest.submit(Drawing.target(99), context: 2) != .okNoData, "a resource that is not there")
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 2), context: 3) == .okNoData)
    #expect(try guest.run(.contextAttachResource(ResourceID(rawValue: 2)), context: 3) == .okNoData)
    #expect(
      try guest.submit(Drawing.target(2) + Drawing.clear(red: 0, green: 0, blue: 0), context: 3, fence: 1) == .okNoData)
    try guest.end()
  }

  @Test("sizes, targets and boxes that cannot be are refused, and charge nothing")
  func wrongSizes() throws {
    let guest = try RenderedGuest()
    for (width, height): (UInt32, UInt32) in [(0, 4), (.max, 1), (.max, .max), (1 << 20, 1 << 20), (100_000, 4)] {
      #expect(try guest.run(.createTarget(1, width, height)) != .okNoData)
    }
    #expect(try guest.run(.createTarget(1, 64, 64, format: .max)) != .okNoData)
    #expect(try guest.device.ledger.totals == .nothing)
    try guest.target()
    _ = try guest.backing(1, count: 64 * 64 * 4)
    var box = Command.Transfer3D(resource: ResourceID(rawValue: 1))
    (box.width, box.height, box.depth) = (64, 64, 1)
    for change: (inout Command.Transfer3D) -> Void in [
      { $0.offset = .max }, { $0.offset = 1 << 32 }, { $0.x = .max }, { $0.width = 65 }, { $0.height = .max },
      { $0.level = 5 }, { $0.z = 1 }, { $0.stride = 1 }, { $0.depth = 2 },
    ] {
      var bad = box
      change(&bad)
      #expect(try guest.run(.transferToHost3D(bad)) != .okNoData && guest.run(.transferFromHost3D(bad)) != .okNoData)
    }
    #expect(try guest.run(.transferToHost3D(box)) == .okNoData)
    try guest.end()
  }

  private func blob(
    _ id: UInt32, number: UInt64, _ byteCount: UInt64 = 64 * 64 * 4, memory: UInt32 = 3, flags: UInt32 = 0,
    entryCount: UInt32 = 0
  ) -> Command {
    .resourceCreateBlob(
      Command.CreateBlob(
        resource: ResourceID(rawValue: id), memory: memory, flags: flags, entryCount: entryCount, blob: number,
        byteCount: byteCount))
  }

  @Test("a blob that a context has made is transferred to and from the guest's pages, and drawn into")
  func blobs() throws {
    let guest = try RenderedGuest()
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 0), context: 1) == .okNoData)
    #expect(try guest.submit(Drawing.blob(7, 64, 64)) == .okNoData)
    let address = try guest.arena.allocate(64 * 64 * 4, alignment: 4096)
    let entry = MemoryEntry(address: address, length: 64 * 64 * 4).encoded
    #expect(try guest.run(blob(1, number: 7, entryCount: 1), entry, context: 1) == .okNoData)
    #expect(try guest.device.ledger.totals.hostAllocated == 64 * 64 * 4)
    #expect(try guest.run(blob(2, number: 7, entryCount: 1), entry, context: 1) != .okNoData, "it was given away")
    #expect(try guest.run(.contextAttachResource(ResourceID(rawValue: 1)), context: 1) == .okNoData)
    let rows = (0..<64 * 64).map { UInt32($0) | 0xff00_0000 }
    try guest.arena.write(Drawing.bytes(rows), at: address)
    var box = Command.Transfer3D(resource: ResourceID(rawValue: 1))
    (box.width, box.height, box.depth, box.stride) = (64, 64, 1, 256)
    func back() throws -> [UInt32] {
      #expect(try guest.run(.transferFromHost3D(box), context: 1) == .okNoData)
      let bytes = try guest.arena.read(at: address, count: 64 * 64 * 4)
      return bytes.withUnsafeBytes { Array($0.bindMemory(to: UInt32.self)) }
    }
    #expect(try guest.run(.transferToHost3D(box), context: 1) == .okNoData)
    try guest.arena.write([UInt8](repeating: 0, count: 64 * 64 * 4), at: address)
    #expect(try back() == rows)
    #expect(try guest.submit(Drawing.target(1) + Drawing.clear(red: 0, green: 1, blue: 0)) == .okNoData)
    #expect(try back() == [UInt32](repeating: 0xff00_ff00, count: 64 * 64))
    try guest.device.memoryChanged(GuestMemory())
    try guest.device.memoryChanged(guest.arena.memory)
    #expect(try back() == [UInt32](repeating: 0xff00_ff00, count: 64 * 64), "after its pages have moved")
    (box.offset, box.height) = (.max, 64)
    #expect(try guest.run(.transferToHost3D(box), context: 1) != .okNoData)
    #expect(try guest.run(.resourceUnref(ResourceID(rawValue: 1))) == .okNoData)
    #expect(try guest.device.ledger.totals.hostAllocated == 0)
    try guest.end()
  }

  @Test("a 2D resource that is attached to a context is drawn into, and keeps what was transferred")
  func pictures() throws {
    let guest = try RenderedGuest()
    try guest.target(1)
    let id = ResourceID(rawValue: 2)
    let size = Size(width: 64, height: 64)
    #expect(try guest.run(.resourceCreate2D(id, format: 1, size: size)) == .okNoData)
    let address = try guest.backing(2, count: 64 * 64 * 4)
    let rows = (0..<64 * 64).map { UInt32($0) | 0xff00_0000 }
    try guest.arena.write(Drawing.bytes(rows), at: address)
    let all = Rectangle(size)
    #expect(try guest.run(.transferToHost2D(id, all, offset: 0)) == .okNoData)
    #expect(try guest.run(.setScanout(ScanoutID(rawValue: 0), resource: id, source: all)) == .okNoData)
    #expect(try guest.run(.contextAttachResource(id), context: 1) == .okNoData)
    #expect(try guest.submit(Drawing.target(1) + Drawing.clear(red: 1, green: 1, blue: 0)) == .okNoData)
    #expect(try guest.run(.resourceFlush(id, all)) == .okNoData && guest.pixels() == rows)
    #expect(try guest.run(.transferToHost2D(id, Rectangle(x: 0, y: 0, width: 64, height: 1), offset: 256)) == .okNoData)
    #expect(try guest.run(.resourceFlush(id, all)) == .okNoData)
    #expect(try guest.pixels() == Array(rows[64..<128] + rows[64...]), "what is transferred goes there, too")
    #expect(try guest.submit(Drawing.target(2) + Drawing.clear(red: 0, green: 0, blue: 1)) == .okNoData)
    #expect(try guest.run(.resourceFlush(id, all)) == .okNoData)
    #expect(try guest.pixels() == [UInt32](repeating: 0xff00_00ff, count: 4096))
    try guest.end()
  }

  @Test("blobs that cannot be are refused, and leave nothing behind")
  func wrongBlobs() throws {
    let guest = try RenderedGuest()
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 0), context: 1) == .okNoData)
    #expect(try guest.submit(Drawing.blob(7, 64, 64)) == .okNoData)
    let address = try guest.arena.allocate(4096, alignment: 4096)
    let entry = MemoryEntry(address: address, length: 4096).encoded
    #expect(try guest.run(blob(1, number: 8, memory: 2), context: 1) == .invalidParameter, "an unknown number")
    #expect(try guest.run(blob(1, number: 7, entryCount: 1), entry, context: 1) == .invalidParameter, "few pages")
    #expect(try guest.run(blob(1, number: 7, memory: 2), context: 2) == .invalidContextID)
    let isExporting = try #require(Trial.renderer).driver.exportsDMABufs
    if !isExporting {
      #expect(try guest.run(blob(1, number: 7, memory: 2, flags: 1), context: 1) == .invalidParameter)
    }
    #expect(try guest.device.ledger.totals.hostAllocated == 0 && guest.device.resourceCount == 0)
    #expect(try guest.submit(Drawing.blob(7, 64, 64)) == .okNoData)
    #expect(try guest.run(blob(1, number: 7, memory: 2), context: 1) == .okNoData, "not to be mapped")
    try guest.end()
    #expect(try guest.device.ledger.totals == .nothing)
  }

  @Test("a reset ends contexts and resources, and their ids can be used again")
  func reset() throws {
    let guest = try RenderedGuest()
    for _ in 0..<3 {
      try guest.target()
      _ = try guest.backing(1, count: 64 * 64 * 4)
      #expect(try guest.submit(Drawing.target(1) + Drawing.clear(red: 0, green: 0, blue: 0)) == .okNoData)
      try guest.end()
      #expect(try guest.device.ledger.totals == .nothing && guest.device.contextCount == 0)
    }
  }

  @Test("a memory that goes while resources refer to it is let go of")
  func memoryGoes() throws {
    let guest = try RenderedGuest()
    try guest.target()
    let address = try guest.backing(1, count: 64 * 64 * 4)
    try guest.arena.write([UInt8](repeating: 0x55, count: 64 * 64 * 4), at: address)
    try guest.device.memoryChanged(GuestMemory())
    try guest.device.memoryChanged(guest.arena.memory)
    var box = Command.Transfer3D(resource: ResourceID(rawValue: 1))
    (box.width, box.height, box.depth) = (64, 64, 1)
    #expect(try guest.run(.transferToHost3D(box)) == .okNoData)
    let all = Rectangle(x: 0, y: 0, width: 64, height: 64)
    let id = ResourceID(rawValue: 1)
    #expect(try guest.run(.setScanout(ScanoutID(rawValue: 0), resource: id, source: all)) == .okNoData)
    #expect(try guest.run(.resourceFlush(id, all)) == .okNoData)
    #expect(try guest.pixels() == [UInt32](repeating: 0x5555_5555, count: 4096))
    try guest.end()
  }
}

@Suite("What 3D takes") struct EstimateTests {
  @Test("bytes go with size, layers, levels and samples; what overflows is nothing")
  func byteCounts() {
    var description = Command.Create3D(resource: ResourceID(rawValue: 1))
    description.size = Size(width: 100, height: 10)
    description.format = 1
    #expect(VirglFormats.byteCount(of: description) == 4000)
    description.format = 31
    #expect(VirglFormats.byteCount(of: description) == 16_000)
    description.format = 64
    (description.sampleCount, description.arraySize, description.lastLevel) = (4, 6, 3)
    #expect(VirglFormats.byteCount(of: description) == 36_000)
    (description.sampleCount, description.arraySize, description.depth) = (.max, .max, .max)
    #expect(VirglFormats.byteCount(of: description) == nil)
    description.target = 0
    #expect(VirglFormats.byteCount(of: description) == 100, "a buffer's width is its length")
  }

  @Test("a software driver is not asked for dma-bufs")
  func drivers() {
    let extensions = "EGL_KHR_image EGL_MESA_image_dma_buf_export"
    #expect(!VirglDriver(name: "llvmpipe (LLVM 15.0.6, 256 bits)", extensions: extensions).exportsDMABufs)
    #expect(!VirglDriver(name: "", extensions: extensions).exportsDMABufs)
    #expect(VirglDriver(name: "AMD Radeon", extensions: extensions).exportsDMABufs)
    #expect(!VirglDriver(name: "AMD Radeon", extensions: "EGL_KHR_image").exportsDMABufs)
  }
}
