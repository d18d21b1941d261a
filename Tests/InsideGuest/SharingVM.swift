import Buffers
import CrossDomain
import GPUDevice
import Glibc
import HubProtocol
import LifeSupport
import Platform
import Virtqueue

/// A virtual machine without a VMM or an operating system, with one program in it that gives a picture in its own pages to
/// others, or has another machine's.
///
/// Obeys `export NAME ACCESS`: offers a picture whose pages are scattered; `fill SEED`: draws what `paint` draws and tells of
/// it; `import NAME OWNER ACCESS`; `check SEED`: waits until all that it sees is that; `set X Y RRGGBB` and `pixel X Y`: one
/// pixel of what it sees; `unref`: takes the pages back and says nothing; `gone`: waits until it was told that there is no
/// buffer any more.
final class SharingVM {
  private static let size = Size(width: 320, height: 256)
  private static let resource: UInt32 = 7

  private let vm: ChannelVM
  private let layout: PixelLayout
  /// Its own picture, or another machine's.
  private var pages: ScatteredPages?
  private var place: UInt64?
  private var id = BufferID.random()
  private var generation: UInt64 = 0

  init(socket: String) throws {
    guard let layout = PixelLayout(size: Self.size, format: .xrgb8888) else { throw Failure("no layout") }
    self.layout = layout
    vm = try ChannelVM(socket: socket)
  }

  func obey() throws {
    say("ok ready")
    while let line = try vm.readLine() {
      do {
        try obey(line.split(separator: " ").map(String.init))
        say("ok \(line)")
      } catch {
        say("failed \(line): \(error)")
      }
    }
  }

  private func obey(_ words: [String]) throws {
    let numbers = words.dropFirst().compactMap { UInt32($0) }
    switch words.first {
    case "export" where words.count == 3: try export(words[1], isWritable: words[2] == "read-write")
    case "import" where words.count == 4: try acquire(words[1], of: words[2], words[3])
    case "fill" where numbers.count == 1: try fill(numbers[0])
    case "check" where numbers.count == 1: try check(numbers[0])
    case "set" where words.count == 4 && numbers.count >= 2:
      guard let colour = UInt32(words[3], radix: 16) else { throw Failure("no colour") }
      try store(colour, numbers[0], numbers[1])
    case "pixel" where numbers.count == 2:
      let colour = try load(numbers[0], numbers[1]) & 0xff_ffff
      say("pixel is \(String(colour | 1 << 24, radix: 16).dropFirst())")
    case "unref":
      try vm.expect(.resourceUnref(ResourceID(rawValue: Self.resource)))
      pages = nil
    case "gone": try awaitEnd()
    default: throw Failure("unknown command")
    }
  }

  // MARK: Its own picture

  private func export(_ name: String, isWritable: Bool) throws {
    let pages = try ScatteredPages(of: vm, count: (layout.byteCount + 4095) / 4096)
    let blob = Command.CreateBlob(
      resource: ResourceID(rawValue: Self.resource), memory: 1, flags: 0, entryCount: UInt32(pages.entries.count),
      blob: 0, byteCount: UInt64(pages.entries.count) << 12)
    try vm.expect(.resourceCreateBlob(blob), tail: pages.entries.flatMap(\.encoded))
    try vm.expect(.contextAttachResource(ResourceID(rawValue: Self.resource)))
    self.pages = pages
    (id, generation) = (.random(), 0)
    let offer = BufferOffer(
      buffer: BufferDescription(id: id, layout: layout), memory: MemoryDescription(hostFileOf: layout),
      name: PeerName(name), isWritable: isWritable)
    _ = try vm.ask(.offer(offer), resource: Self.resource)
  }

  private func fill(_ seed: UInt32) throws {
    for y in 0..<Self.size.height {
      for x in 0..<Self.size.width { try store(ScatteredPicture.colour(x: x, y: y, seed), x, y) }
    }
    generation += 1
    try vm.tell(.update(BufferUpdate(id: id, damage: Rectangle(Self.size), generation: generation)))
  }

  // MARK: Another machine's

  private func acquire(_ name: String, of owner: String, _ access: String) throws {
    guard let name = PeerName(name), let owner = PeerName(owner), let access = BufferAccess(access) else {
      throw Failure("no buffer")
    }
    let key = BufferKey.name(name, owner: Party(.vm, owner))
    let answer = try vm.ask(.acquire(Acquisition(key, access: access)))
    guard case .acquired(let info) = answer.message, let blob = answer.blob else { throw Failure("not acquired") }
    id = info.buffer.id
    place = try vm.map(blob, as: Self.resource)
    say("has \(info.form.map { "\($0)" } ?? "all")")
  }

  private func awaitEnd() throws {
    while true {
      switch try vm.hear() {
      case .application(.retired(id, _)), .application(.revoked(id, _)), .bufferFreed(id): return
      default: break
      }
    }
  }

  // MARK: Pixels

  private func check(_ seed: UInt32) throws {
    let end = MonotonicTime.now + .seconds(10)
    while let wrong = try difference(seed) {
      guard MonotonicTime.now < end else { throw Failure(wrong) }
      try vm.serve()
    }
  }

  private func difference(_ seed: UInt32) throws -> String? {
    for y in 0..<Self.size.height {
      for x in 0..<Self.size.width
      where try load(x, y) & 0xff_ffff != ScatteredPicture.colour(x: x, y: y, seed) {
        return "pixel \(x) \(y) is not of picture \(seed)"
      }
    }
    return nil
  }

  private func load(_ x: UInt32, _ y: UInt32) throws -> UInt32 { try word(x, y).load(as: UInt32.self) }

  private func store(_ colour: UInt32, _ x: UInt32, _ y: UInt32) throws {
    try word(x, y).storeBytes(of: colour, as: UInt32.self)
  }

  private func word(_ x: UInt32, _ y: UInt32) throws -> UnsafeMutableRawPointer {
    let offset = layout.byteOffset(x: x, y: y)
    if let pages { return try pages.byte(at: offset) }
    guard let place, let byte = vm.windowBytes(at: place + UInt64(offset), count: 4)?.baseAddress else {
      throw Failure("no picture is there")
    }
    return byte
  }
}

/// Pages of a machine's, of which no two that follow each other are neighbours in its memory.
struct ScatteredPages {
  let entries: [MemoryEntry]
  private let vm: ChannelVM

  init(of vm: ChannelVM, count: Int) throws {
    self.vm = vm
    let first = ChannelVM.pixels.rawValue
    entries = (0..<count).reversed().map { MemoryEntry(address: GuestAddress(first + UInt64($0) << 12), length: 4096) }
  }

  func byte(at offset: Int) throws -> UnsafeMutableRawPointer {
    let address = entries[offset >> 12].address.rawValue + UInt64(offset & 4095)
    guard let byte = vm.bytes(at: GuestAddress(address), count: 4).baseAddress else { throw Failure("no page") }
    return byte
  }
}
