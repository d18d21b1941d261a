import Buffers
import HubProtocol
import Logging
import Platform
import Testing
import Virtqueue

@testable import GPUBackend
@testable import GPUDevice
@testable import HubProtocol

/// A card's way to a hub that is not there, with guest memory in a file, and pictures that a test makes itself.
private final class World {
  static let size = Size(width: 64, height: 64)
  static let whole = Rectangle(size)
  static let page = 4096

  let loop: EventLoop
  let arena: GuestArena
  let memory = GuestMemory()
  let client: ProducerClient
  let sink: HubSink
  let device: GPUDevice
  let region: MemoryRegion
  private var kept: [Picture] = []

  init(limits: LedgerAmounts = .usualLimits) throws {
    loop = try EventLoop()
    arena = try GuestArena(count: 1 << 20)
    client = ProducerClient(hubPath: "/nowhere", vm: try #require(PeerName("vm")), loop: loop)
    sink = HubSink(client: client, modes: [Self.size, Self.size], log: RateLimitedLog(Logger(label: "test")))
    device = GPUDevice(configuration: GPUConfiguration(scanouts: [Self.size, Self.size], limits: limits), sink: sink)
    sink.device = device
    let plain = try #require(arena.memory.regions.first)
    let file = MemoryRegionFile(
      identity: MemoryRegionFile.Identity(device: 1, number: 2), descriptor: arena.regions[0].file)
    region = MemoryRegion(
      guestAddress: plain.guestAddress, count: plain.count, userAddress: plain.userAddress, mapping: plain.mapping,
      file: file)
    try memory.add(region)
    device.memoryChanged(memory)
  }

  /// Pages in the reverse order.
  func entries(_ count: Int) throws -> [MemoryEntry] {
    let area = try arena.allocate(count * Self.page, alignment: Self.page)
    return (0..<count).reversed().map {
      MemoryEntry(address: GuestAddress(area.rawValue + UInt64($0 * Self.page)), length: UInt32(Self.page))
    }
  }

  func picture(
    _ entries: [MemoryEntry], size: Size = size, stride: UInt32? = nil, offset: UInt64 = 0
  ) throws -> Picture {
    let layout = try #require(PixelLayout(size: size, format: .xrgb8888, stride: stride, offset: offset))
    let pages = try GuestPages(entries, in: memory)
    return Picture(id: .random(), layout: layout, memory: .guest(pages))
  }

  func show(_ picture: Picture, on scanout: UInt32 = 0) {
    let content = ScanoutContent(picture: picture, source: Rectangle(picture.layout.size))
    sink.scanoutChanged(ScanoutID(rawValue: scanout), to: content)
  }

  func flush(_ picture: Picture, _ damage: Rectangle) {
    let token = FlushToken(serial: 1, scanout: ScanoutID(rawValue: 0), isFenced: false)
    _ = sink.flush(token.scanout, picture: picture, damage: damage, token: token)
  }

  func require(of scanout: Int = 0, _ change: (inout Constraints) -> Void) {
    var constraints = Constraints.unstated
    constraints.memoryKinds = [.file, .ranges]
    change(&constraints)
    client.receive(ScanoutRequirements(constraints: constraints), of: ScanoutIndex(scanout))
  }

  func require(_ kinds: MemoryKind, isWithheld: Bool = false, of scanout: Int = 0) {
    client.receive(Self.requirements(kinds, isWithheld), of: ScanoutIndex(scanout))
  }

  static func requirements(_ kinds: MemoryKind, _ isWithheld: Bool) -> ScanoutRequirements {
    var constraints = Constraints.unstated
    constraints.memoryKinds = kinds
    return ScanoutRequirements(constraints: constraints, isWithheld: isWithheld)
  }

  /// The hub's id of what a scanout shows; nil for nothing.
  func shown(on scanout: Int = 0) -> BufferID? { client.scanouts[scanout].content?.buffer }

  func handed(_ picture: Picture) throws -> HandedPicture { try #require(sink.sharing?.known(picture)) }
  var copied: UInt64 { device.statistics.pixelsCopied }
}

@Suite("How pictures are handed over") struct SharingTests {
  @Test("pages go as ranges of the VM's memory, nothing is copied, and the guest is charged with what it shares")
  func ranges() throws {
    let world = try World()
    world.require([.file, .ranges])
    let picture = try world.picture(world.entries(4))
    world.show(picture)
    world.flush(picture, World.whole)
    try Self.checkRanges(of: picture, world)
    let totals = world.device.ledger.totals
    #expect(world.copied == 0 && totals.guestMemory == 4 * 4096)
    #expect(totals.bookkeeping == 4 * 24 && totals.descriptors == 2, "a table of four ranges, and the VM's memory file")
    world.sink.scanoutChanged(ScanoutID(rawValue: 0), to: nil)
    world.sink.pictureRetired(picture)
    #expect(world.shown() == nil && world.device.ledger.totals == .nothing)
  }

  private static func checkRanges(of picture: Picture, _ world: World) throws {
    let handed = try world.handed(picture)
    #expect(handed.kind == .ranges && handed.shared.side == .guest && handed.copy == nil)
    #expect(handed.shared.id == picture.id && world.shown() == picture.id)
    #expect(handed.pieces.map(\.offset) == [0x3000, 0x2000, 0x1000, 0])
  }

  @Test("neighbours are one range, and only pages that hold pixels are shared")
  func joined() throws {
    let world = try World()
    world.require([.file, .ranges])
    let picture = try world.picture(world.entries(16).reversed(), offset: 4096)
    world.show(picture)
    guard case .ranges(let table) = try world.handed(picture).shared.memory else {
      Issue.record("no ranges")
      return
    }
    #expect(table.ranges == [MemoryRange(memory: table.memories[0], offset: 0, length: 5 * 4096)])
  }

  @Test("consumers that take only files get a copy: all pixels at first, then what changes, all of it counted")
  func copies() throws {
    let world = try World()
    let picture = try world.picture(world.entries(4))
    try world.arena.write([1, 2, 3, 4], at: GuestAddress(0x10000 + 3 * 4096))
    world.show(picture)
    let handed = try world.handed(picture)
    let copy = try #require(handed.copy)
    #expect(handed.kind == .file && handed.shared.reason == .rangesNotTaken && handed.shared.id != picture.id)
    #expect(world.copied == 64 * 64 && copy.bytes.prefix(4).elementsEqual([1, 2, 3, 4]))
    try world.arena.write([9, 9, 9, 9, 8, 8, 8, 8], at: GuestAddress(0x10000 + 3 * 4096))
    world.flush(picture, Rectangle(x: 0, y: 0, width: 1, height: 1))
    #expect(world.copied == 64 * 64 + 1 && copy.bytes.prefix(8).elementsEqual([9, 9, 9, 9, 0, 0, 0, 0]))
    #expect(world.device.ledger.totals.hostAllocated == copy.byteCount)
    world.sink.pictureRetired(picture)
  }

  @Test("what a consumer may not see is the reason for a copy")
  func withheld() throws {
    let world = try World()
    world.require(.file, isWithheld: true)
    let picture = try world.picture(world.entries(4))
    world.show(picture)
    #expect(try world.handed(picture).shared.reason == .memoryWithheld)
  }

  @Test("rows that begin between words are copied, and get a stride that everybody can use")
  func oddLayout() throws {
    let world = try World()
    world.require([.file, .ranges])
    for (stride, offset): (UInt32, UInt64) in [(258, 0), (256, 2)] {
      let picture = try world.picture(world.entries(5), stride: stride, offset: offset)
      world.show(picture)
      let handed = try world.handed(picture)
      #expect(handed.shared.reason == .layoutNotTaken && handed.shared.layout.stride == 256)
      #expect(handed.shared.layout.offset == 0)
    }
  }

  @Test("where there is no /dev/udmabuf, who takes dma-bufs and ranges gets ranges, and is told why")
  func noUDMABuf() throws {
    let world = try World()
    world.require(.all)
    let picture = try world.picture(world.entries(4))
    world.show(picture)
    let handed = try world.handed(picture)
    let isThere = (try? UDMABuf()) != nil
    #expect(handed.kind == (isThere ? .dmaBuf : .ranges))
    #expect(handed.shared.reason == (isThere ? .udmabuf : .noUDMABuf) && world.copied == 0)
  }

  @Test("rows that a consumer wants aligned are copied to such rows")
  func strideAlignment() throws {
    let world = try World()
    var constraints = Constraints.unstated
    constraints.memoryKinds = [.file, .ranges]
    constraints.strideAlignment = 512
    world.client.receive(ScanoutRequirements(constraints: constraints), of: ScanoutIndex(0))
    let picture = try world.picture(world.entries(4))
    world.show(picture)
    let handed = try world.handed(picture)
    #expect(handed.shared.reason == .layoutNotTaken && handed.shared.layout.stride == 512)
  }

  @Test("when consumers take more, or less, the picture is handed over again, on all scanouts that show it")
  func again() throws {
    let world = try World()
    let picture = try world.picture(world.entries(4))
    for scanout: UInt32 in 0...1 { world.show(picture, on: scanout) }
    #expect(try world.handed(picture).kind == .file)
    world.require([.file, .ranges])
    #expect(try world.handed(picture).kind == .file, "the displays of the other scanout take no ranges")
    world.require([.file, .ranges], of: 1)
    #expect(try world.handed(picture).kind == .ranges)
    #expect(world.shown() == picture.id && world.shown(on: 1) == picture.id)
    world.require([.file, .dmaBuf, .ranges], of: 1)
    #expect(world.shown() == picture.id && world.shown(on: 1) == picture.id, "nothing new")
    world.require(.file)
    #expect(try world.handed(picture).kind == .file && world.shown() != picture.id)
    #expect(world.device.ledger.totals.guestMemory == 0)
  }

  @Test("memory that goes makes the scanout dark, memory that comes back shows it again")
  func vanished() throws {
    let world = try World()
    world.require([.file, .ranges])
    let picture = try world.picture(world.entries(4))
    world.show(picture)
    guard case .guest(let pages) = picture.memory else { return }
    try world.memory.remove(at: world.region.guestAddress, count: world.region.count)
    pages.move(to: world.memory)
    world.sink.memoryMoved(ScanoutID(rawValue: 0), picture)
    #expect(world.shown() == nil)
    world.flush(picture, World.whole)
    try world.memory.add(world.region)
    pages.move(to: world.memory)
    world.sink.memoryMoved(ScanoutID(rawValue: 0), picture)
    #expect(world.shown() == picture.id && world.copied == 0)
  }

  @Test("pages that are elsewhere now are handed over again, those that are not stay")
  func moved() throws {
    let world = try World()
    world.require([.file, .ranges])
    let picture = try world.picture(world.entries(4))
    world.show(picture)
    world.sink.memoryMoved(ScanoutID(rawValue: 0), picture)
    #expect(world.shown() == picture.id)
    let moved = MemoryRegion(
      guestAddress: world.region.guestAddress, count: world.region.count, userAddress: world.region.userAddress,
      mapping: world.region.mapping, file: world.region.file, fileOffset: 0x10000)
    try world.memory.replace(with: [moved])
    guard case .guest(let pages) = picture.memory else { return }
    pages.move(to: world.memory)
    world.sink.memoryMoved(ScanoutID(rawValue: 0), picture)
    let second = try world.handed(picture)
    #expect(second.shared.id != picture.id && second.pieces.first?.offset == 0x13000)
    #expect(world.shown() == second.shared.id && world.device.ledger.totals.guestMemory == 4 * 4096)
  }

  @Test("memory without a file, pages that overlap or are no whole pages are copied", arguments: 0..<3)
  func noRanges(_ which: Int) throws {
    let world = try World()
    world.require([.file, .ranges])
    var entries = try world.entries(5)
    switch which {
    case 0:
      let plain = world.region
      try world.memory.replace(with: [
        MemoryRegion(
          guestAddress: plain.guestAddress, count: plain.count, userAddress: plain.userAddress, mapping: plain.mapping)
      ])
    case 1: entries[1] = entries[0]
    default: entries[0].length = 100
    }
    let picture = try world.picture(entries)
    world.show(picture)
    let reasons: [HandOverReason] = [.noMemoryFile, .overlapping, .unaligned]
    #expect(try world.handed(picture).shared.reason == reasons[which])
    #expect(world.shown() != nil && world.copied == 64 * 64)
  }

  @Test("a copy that the limits forbid is not made: the scanout is dark")
  func overLimit() throws {
    let world = try World(limits: .usualLimits(hostAllocated: 4096))
    let picture = try world.picture(world.entries(4))
    world.show(picture)
    #expect(world.shown() == nil && world.device.ledger.totals == .nothing)
  }

  @Test("a blob in the host's memory is handed over as it is")
  func hostBlob() throws {
    let world = try World()
    let layout = try #require(PixelLayout(size: World.size, format: .xrgb8888, stride: 512, offset: 4096))
    let picture = Picture(id: .random(), layout: layout, memory: .hostBlob(try HostMemory(byteCount: 1 << 16)))
    world.show(picture)
    let handed = try world.handed(picture)
    #expect(handed.kind == .file && handed.shared.reason == .hostAllocated && handed.shared.layout == layout)
    #expect(handed.shared.id == picture.id && world.shown() == picture.id && world.copied == 0)
  }

  @Test(
    "a host blob whose stride or offset a consumer cannot use is copied to where all can, and the reason is named",
    arguments: [(260, 0), (256, 4096)] as [(UInt32, UInt64)])
  func misfittingHostBlob(_ stride: UInt32, _ offset: UInt64) throws {
    let world = try World()
    world.require {
      $0.strideAlignment = 256
      $0.offsetAlignment = 8192
    }
    let layout = try #require(PixelLayout(size: World.size, format: .xrgb8888, stride: stride, offset: offset))
    let picture = Picture(id: .random(), layout: layout, memory: .hostBlob(try HostMemory(byteCount: 1 << 16)))
    world.show(picture)
    let handed = try world.handed(picture)
    #expect(handed.shared.reason == .layoutNotTaken && handed.shared.layout.stride == 256)
    #expect(handed.shared.reason.way(of: handed.kind) == .copy && handed.shared.layout.offset == 0)
    #expect(world.shown() == handed.shared.id && handed.misfit == nil && world.copied == 64 * 64)
  }

  @Test("pages that do not begin where a consumer wants pixels are copied, and the copy follows what the guest draws")
  func misfittingPages() throws {
    let world = try World()
    world.require {
      $0.strideAlignment = 512
      $0.offsetAlignment = 4096
    }
    let picture = try world.picture(world.entries(6).reversed(), stride: 260, offset: 64)
    world.show(picture)
    let copy = try #require(try world.handed(picture).copy)
    #expect(copy.layout.stride == 512 && copy.layout.offset == 0)
    try world.arena.write([5, 6, 7, 8], at: GuestAddress(0x10000 + 64 + 3 * 260 + 2 * 4))
    world.flush(picture, Rectangle(x: 2, y: 3, width: 1, height: 1))
    #expect(copy.bytes[3 * 512 + 8..<3 * 512 + 12].elementsEqual([5, 6, 7, 8]))
  }

  @Test("pages without room for a consumer's multiples are copied; with room, the room is shared too")
  func multiples() throws {
    let world = try World()
    world.require { $0.heightMultiple = 80 }
    let small = try world.picture(world.entries(4))
    world.show(small)
    #expect(try world.handed(small).shared.reason == .layoutNotTaken)
    #expect(try world.handed(small).copy?.byteCount == 80 * 256)
    let large = try world.picture(world.entries(8))
    world.show(large)
    #expect(try world.handed(large).shared.memory.byteCount == 80 * 256)
  }

  /// Each: what a consumer wants, and the words for what it cannot use.
  @Test(
    "where nothing suits all, the picture goes as it lies to those who can use it, and what they cannot use is named",
    arguments: [0, 1, 2, 3, 4])
  func nothingSuits(_ which: Int) throws {
    let world = try World()
    world.require {
      switch which {
      case 0: $0.formats = [.abgr8888]
      case 1: $0.modifiers = [7]
      case 2: $0.maximumWidth = 32
      case 3: $0.isContiguous = true
      default: $0.cacheability = .writeCombined
      }
    }
    let words = [
      "format XR24", "linear pictures", "size 64x64, beyond 32x4294967295", "memory that is not contiguous",
      "cached memory",
    ]
    let picture = try world.picture(world.entries(4))
    world.show(picture)
    let handed = try world.handed(picture)
    #expect(handed.kind == .ranges && world.shown() == picture.id && handed.misfit?.description == words[which])
    #expect(world.copied == 0)
  }

  @Test("a 2D picture that could not be moved is copied for a consumer that wants other rows")
  func unmovedPicture() throws {
    let world = try World()
    world.require { $0.strideAlignment = 512 }
    let layout = try #require(PixelLayout(size: World.size, format: .xrgb8888))
    let picture = Picture(try HostBuffer(layout: layout))
    world.show(picture)
    let handed = try world.handed(picture)
    #expect(handed.copy?.layout.stride == 512 && handed.shared.reason == .layoutNotTaken)
    world.require { $0.strideAlignment = 256 }
    #expect(try world.handed(picture).copy == nil && world.shown() == (try world.handed(picture)).shared.id)
  }

  @Test("when a stricter consumer has come, the other picture of a page flip goes its new way at its next flip")
  func strictFlip() throws {
    let world = try World()
    world.require([.file, .ranges])
    let pictures = try (0..<2).map { _ in try world.picture(world.entries(4)) }
    for picture in pictures { world.show(picture) }
    world.require { $0.strideAlignment = 512 }
    #expect(try world.handed(pictures[1]).copy != nil && world.handed(pictures[0]).copy == nil)
    world.show(pictures[0])
    #expect(try world.handed(pictures[0]).copy?.layout.stride == 512)
    #expect(world.shown() == (try world.handed(pictures[0])).shared.id)
  }

  @Test("a copy stays the same copy while what it is for stays the same")
  func sameCopy() throws {
    let world = try World(limits: .usualLimits(hostAllocated: 64 * 256))
    let picture = try world.picture(world.entries(4))
    world.show(picture)
    let copy = try #require(try world.handed(picture).copy)
    world.require {
      $0.memoryKinds = .file; $0.strideAlignment = 64
    }
    #expect(try world.handed(picture).copy === copy, "within a limit that has no room for two")
  }

  @Test("a mirrored picture is handed over as the displays of all its scanouts can use it, and as the rest can later")
  func mirrored() throws {
    let world = try World()
    world.require([.file, .ranges])
    world.require(of: 1) { $0.strideAlignment = 512 }
    let picture = try world.picture(world.entries(4))
    world.show(picture)
    #expect(try world.handed(picture).kind == .ranges)
    world.show(picture, on: 1)
    #expect(try world.handed(picture).shared.layout.stride == 512)
    #expect(world.shown() == world.shown(on: 1))
    world.sink.scanoutChanged(ScanoutID(rawValue: 1), to: nil)
    #expect(try world.handed(picture).kind == .ranges && world.shown() == (try world.handed(picture)).shared.id)
  }

  @Test("scanouts whose displays cannot agree on a mirrored picture are named, and the first one's displays have it")
  func disagreement() throws {
    let world = try World()
    world.require { $0.formats = [.xrgb8888] }
    world.require(of: 1) { $0.formats = [.abgr8888] }
    var merged = MergedRequirements(client: world.client, scanoutCount: 2)
    let all = merged.requirements(of: [])
    #expect(all.disagreement == "the displays of scanout 0 and the displays of scanout 1 disagree on formats")
    #expect(all.constraints.formats == [.xrgb8888])
    #expect(merged.requirements(of: ScanoutMask(ScanoutID(rawValue: 1))).constraints.formats == [.abgr8888])
  }

  @Test("page flips hand nothing over again")
  func flips() throws {
    let world = try World()
    world.require([.file, .ranges])
    let pictures = try (0..<2).map { _ in try world.picture(world.entries(4)) }
    for picture in pictures { world.show(picture) }
    let handed = try pictures.map { try world.handed($0) }
    for round in 0..<10 { world.show(pictures[round % 2]) }
    #expect(try zip(pictures, handed).allSatisfy { try world.handed($0) === $1 })
  }
}
