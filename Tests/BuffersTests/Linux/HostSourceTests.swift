import Glibc
import Platform
import Testing

@testable import Buffers

/// Pictures from a dma-buf heap. A machine without one skips what needs it; inside a guest `muntin gpu --heap` has a real
/// one (Tests/Guests/test_inside.py).
@Suite struct HostSourceTests {
  static let heap = DMAHeap.names.first { (try? DMAHeap.allocate(from: $0, byteCount: 4096)) != nil }

  private func layout() throws -> PixelLayout {
    try #require(PixelLayout(size: Size(width: 33, height: 17), format: .xrgb8888))
  }

  @Test(.enabled(if: heap != nil, "no usable heap in /dev/dma_heap"))
  func `a picture from a heap is a zeroed dma-buf of whole pages that its readers can map`() throws {
    let heap = try #require(Self.heap)
    let buffer = try HostBuffer(HostPlan(layout(), source: .heap(heap)))
    #expect(buffer.traits.kind == .dmaBuf && buffer.byteCount == 4096 && buffer.bytes.allSatisfy { $0 == 0 })
    buffer.beginWriting()
    buffer.bytes[7] = 9
    buffer.endWriting()
    guard case .dmaBuf(let descriptor, let byteCount) = try buffer.memory() else {
      Issue.record("no dma-buf")
      return
    }
    #expect(DMABuf.isDMABuf(descriptor.raw) && byteCount == 4096)
    let seen = try ReadOnlyBuffer(id: buffer.id, layout: buffer.layout, dmaBuf: descriptor, bell: Doorbell())
    #expect(seen.bytes[7] == 9)
    #expect(throws: SystemError.self) { try buffer.punch() }
  }

  static let node = ["renderD128", "card0"].map { "/dev/dri/\($0)" }.first { (try? HostSource.tried($0)) != nil }

  @Test(.enabled(if: node != nil, "no node in /dev/dri whose driver makes pictures by libgbm"))
  func `a picture by a graphics driver has rows as the driver and the plan want them`() throws {
    let source = try HostSource.tried(try #require(Self.node))
    let size = Size(width: 33, height: 17)
    var constraints = Constraints()
    constraints.strideAlignment = 96
    let plan = try constraints.plan(size: size, format: .argb8888, from: [source])
    let buffer = try HostBuffer(plan)
    #expect(buffer.layout.stride % 96 == 0 && buffer.traits.kind == .dmaBuf)
    guard case .dmaBuf(let descriptor, _) = try buffer.memory() else { return }
    #expect(try DMABuf.size(of: descriptor.raw) >= UInt64(buffer.byteCount))
  }

  @Test func `a driver's own rows and those of consumers are multiples of both`() throws {
    let source = HostSource.driver("/dev/dri/card0", strideAlignment: 64)
    var constraints = Constraints()
    constraints.strideAlignment = 48
    let plan = try constraints.plan(size: Size(width: 40, height: 4), format: .argb8888, from: [source])
    #expect(plan.layout.stride == 192)
    constraints.maximumStride = 180
    #expect(throws: Constraints.Unfit.self) {
      _ = try constraints.plan(size: Size(width: 40, height: 4), format: .argb8888, from: [source])
    }
  }

  @Test func `a heap or node that is not there, and a name that leaves its folder, are errors`() throws {
    for name in ["no-such-heap", "/dev/dri/no-such-node", "/dev/dri/../null"] {
      #expect(throws: SystemError.self) { try HostSource.tried(name) }
    }
    let layout = try layout()
    for name in ["no-such-heap", "../null", "", "."] {
      #expect(throws: SystemError.self) { try HostBuffer(HostPlan(layout, source: .heap(name))) }
    }
  }

  @Test func `a plan takes the first source that all can use, and says why none is`() throws {
    let size = Size(width: 64, height: 64)
    let sources = [HostSource.heap("system"), .memoryFile]
    var constraints = Constraints.unstated
    #expect(try constraints.plan(size: size, format: .xrgb8888, from: sources).source == .memoryFile)
    constraints.memoryKinds = [.file, .dmaBuf]
    #expect(try constraints.plan(size: size, format: .xrgb8888, from: sources).source == .heap("system"))
    constraints.isContiguous = true
    #expect(throws: Constraints.Unfit.contiguity) {
      _ = try constraints.plan(size: size, format: .xrgb8888, from: sources)
    }
    let contiguous = sources + [.heap("linux,cma")]
    #expect(try constraints.plan(size: size, format: .xrgb8888, from: contiguous).source == .heap("linux,cma"))
    constraints.cacheability = .uncached
    #expect(throws: Constraints.Unfit.cacheability) {
      _ = try constraints.plan(size: size, format: .xrgb8888, from: contiguous)
    }
  }
}
