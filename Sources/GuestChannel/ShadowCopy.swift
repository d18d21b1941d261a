import Buffers
import GPUDevice
import Glibc
import HubProtocol
import Platform

/// A guest's own copy of a buffer that it may only read: no VMM that is known maps memory for its guest read-only.
///
/// The copy is a chain of images of its own. An update is copied at once into an image that the guest's program does not
/// hold, and said to be read, so that the buffer's owner never waits for that program; the program is told of one
/// generation at a time, and what it holds does not change under it, whatever the owner does meanwhile.
final class ShadowCopy {
  /// The copy, which the guest pays for.
  let memory: HostMemory
  /// Its images, generations of which the guest is told.
  let chain: ImageChain
  private let layout: PixelLayout
  /// The owner's images.
  private let source: ShadowSource
  /// What of each image is older than the newest update.
  private var stale: [DamagedArea]
  /// The image with the newest pixels.
  private var newest: Int
  /// What the guest has been told of and not read; what it still shows; 0: nothing.
  private var given: UInt64 = 0
  private var kept: UInt64 = 0
  /// The generation that was told last, before that the one that the copy began with.
  private var generation: UInt64
  private var hasTold = false
  /// How the guest wants it.
  private var acquisition: Acquisition
  /// An update that is not copied yet, since the guest holds all images.
  private var waiting: BufferUpdate?
  /// What has changed and the guest was not told of yet.
  private var untold: BufferUpdate?
  /// Called with a generation of the owner's that is read.
  var copied: (UInt64) -> Void = { _ in }
  /// Called with what the guest is to be told.
  var tell: (BufferUpdate) -> Void = { _ in }

  /// Copies the whole picture into an image of memory that `allocate` gives: room for several, if there is.
  init(
    _ info: BufferInfo, of source: ShadowSource, for acquisition: Acquisition,
    allocate: (Int) throws(GPUError) -> HostMemory
  ) throws(GPUError) {
    self.acquisition = acquisition
    self.source = source
    layout = info.buffer.layout
    (chain, memory) = try Self.memory(info.buffer.layout, acquisition, allocate)
    stale = Array(repeating: DamagedArea(Rectangle(info.buffer.layout.size)), count: chain.count)
    generation = info.generation
    newest = chain.image(of: info.generation)
    copy(info.generation, into: newest)
  }

  /// Who follows a picture needs two images, who shows it while it takes in the next one three. Where the VM has no room
  /// for them it gets one, which is not brought up to date while it is read.
  private static func memory(
    _ layout: PixelLayout, _ acquisition: Acquisition, _ allocate: (Int) throws(GPUError) -> HostMemory
  ) throws(GPUError) -> (ImageChain, HostMemory) {
    var count = acquisition.wantsUpdates ? acquisition.keeps ? 3 : 2 : 1
    while true {
      guard let chain = ImageChain(count: count, of: layout) else { throw .invalidSize(layout.size) }
      do throws(GPUError) {
        return (chain, try allocate(Int(clamping: chain.byteCount)))
      } catch {
        guard count > 1 else { throw error }
        count -= 1
      }
    }
  }

  /// What a guest is told of the buffer: that of its own memory.
  func described(_ info: BufferInfo) -> BufferInfo {
    var own = info
    own.images = chain.count
    own.memory.byteCount = UInt64(memory.byteCount)
    own.memory.offset = 0
    own.generation = generation
    return own
  }

  /// It is asked for again, in another way.
  func set(_ acquisition: Acquisition) {
    if acquisition.wantsUpdates != self.acquisition.wantsUpdates {
      (given, kept) = (0, 0)
      untold = nil
      waiting = nil
    }
    if !acquisition.keeps { kept = 0 }
    self.acquisition = acquisition
  }

  /// The guest gets other memory in its place: nothing of the owner's is read here any more.
  func abandon() {
    if let update = waiting { copied(update.generation) }
    waiting = nil
  }

  // MARK: Updates

  /// The owner's pixels have changed.
  func update(_ update: BufferUpdate) {
    let damage = update.damage.intersection(Rectangle(layout.size))
    for image in stale.indices { stale[image].add(damage) }
    let before = waiting?.damage ?? .empty
    waiting = BufferUpdate(id: update.id, damage: before.union(damage), generation: update.generation)
    advance()
  }

  /// The guest has read a generation of the chain.
  func done(_ generation: UInt64) {
    guard given > 0, generation >= given else { return }
    kept = acquisition.keeps && chain.count > 1 ? given : 0
    given = 0
    advance()
  }

  /// Goes on with what waits, as far as the guest lets it.
  func advance() {
    takeIn()
    guard given == 0, let update = untold else { return }
    untold = nil
    putInItsPlace(update.generation)
    generation = nextGeneration(from: update.generation)
    hasTold = true
    given = generation
    tell(BufferUpdate(id: update.id, damage: update.damage, generation: generation))
  }

  private func takeIn() {
    guard let update = waiting, let target = target(for: update.generation) else { return }
    copy(update.generation, into: target)
    waiting = nil
    newest = target
    let damage = update.damage.union(untold?.damage ?? .empty)
    untold = BufferUpdate(id: update.id, damage: damage, generation: update.generation)
    copied(update.generation)
  }

  /// The image that a generation belongs into; while the guest holds that, the other one with the least to copy. Nil: it
  /// holds all.
  private func target(for generation: UInt64) -> Int? {
    let held = [given, kept].filter { $0 > 0 }.map(chain.image)
    let free = stale.indices.filter { !held.contains($0) }
    let wanted = chain.image(of: generation)
    return free.contains(wanted) ? wanted : free.min { stale[$0].pixelCount < stale[$1].pixelCount }
  }

  /// A picture that had to go into another image, since the guest held its own, goes there now: so a generation is called
  /// as its owner calls it. Who shows the image is told another number instead.
  private func putInItsPlace(_ generation: UInt64) {
    let wanted = chain.image(of: generation)
    guard wanted != newest, !acquisition.keeps, let pixels = try? memory.mutableBytes() else { return }
    let start = Int(clamping: chain.offset(of: newest))
    guard start < pixels.count else { return }
    bringUpToDate(wanted, from: UnsafeRawBufferPointer(UnsafeMutableRawBufferPointer(rebasing: pixels[start...])))
    newest = wanted
  }

  /// The owner's number, or the lowest above it and the last one that stands for the newest image.
  private func nextGeneration(from source: UInt64) -> UInt64 {
    let lowest = hasTold ? max(source, generation &+ 1) : source
    let count = UInt64(chain.count)
    return lowest &+ (UInt64(newest) &+ count &- lowest % count) % count
  }

  // MARK: Pixels

  private func copy(_ generation: UInt64, into image: Int) {
    source.read(generation) { bringUpToDate(image, from: $0) }
  }

  private func bringUpToDate(_ image: Int, from source: UnsafeRawBufferPointer) {
    for rectangle in stale[image].rectangles { copy(rectangle, of: source, into: image) }
    stale[image] = DamagedArea()
  }

  private func copy(_ area: Rectangle, of source: UnsafeRawBufferPointer, into image: Int) {
    let start = Int(clamping: chain.offset(of: image))
    guard let target = try? memory.mutableBytes(), start + layout.byteCount <= target.count,
      layout.byteCount <= source.count, let to = target.baseAddress, let from = source.baseAddress
    else { return }
    let width = Int(area.width) * Int(layout.format.bytesPerPixel)
    for row in 0..<area.height {
      let place = layout.byteOffset(x: area.x, y: area.y + row)
      memcpy(to + start + place, from + place, width)
    }
  }

  /// The guest reads zeros from now on.
  func empty() { try? memory.punch() }
}
