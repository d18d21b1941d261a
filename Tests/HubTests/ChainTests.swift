import Buffers
import Platform
import TestSupport
import Testing

@testable import Hub
@testable import HubProtocol

/// Several images in one buffer: a reader keeps one, its owner draws into another (protocol.md section 8, "Several images").
@Suite struct ChainTests {
  private static let layout = PixelLayout(size: Size(width: 64, height: 32), format: .xrgb8888)!
  private let left = Rectangle(x: 0, y: 0, width: 4, height: 4)
  private let right = Rectangle(x: 60, y: 28, width: 4, height: 4)

  /// An owner with a buffer of several images, granted to everybody in `readers`.
  private struct Chain {
    let world: World
    let owner: (client: ApplicationClient, log: ApplicationLog)
    let id = BufferID.random()

    init(images: Int, byteCount: UInt64? = nil) throws {
      world = try World()
      owner = world.application("camera")
      try world.answer { offer(images, byteCount ?? 8192 * UInt64(images), $0) }.get()
    }

    private func offer(
      _ images: Int, _ byteCount: UInt64, _ done: @escaping (Result<Void, ApplicationClient.Failure>) -> Void
    ) {
      let offer = BufferOffer(
        buffer: BufferDescription(id: id, layout: ChainTests.layout),
        memory: MemoryDescription(kind: .file, side: .host, reason: .hostAllocated, byteCount: byteCount),
        name: PeerName("front"), images: images)
      guard let file = try? SharedMemoryFile(name: "chain", count: Int(byteCount)).readOnly() else { return }
      owner.client.offer(offer, descriptor: SharedDescriptor(file), done)
    }

    func reader(
      _ name: String, keeps: Bool = false
    ) throws -> (client: ApplicationClient, log: ApplicationLog, info: BufferInfo) {
      let reader = world.application(name)
      let grant = GrantRequest(to: application(name), object: .id(id))
      _ = try world.answer { owner.client.grant(grant, $0) }.get()
      let acquisition = Acquisition(.id(id), wantsUpdates: true, keeps: keeps)
      let acquired = try world.answer { reader.client.acquire(acquisition, $0) }.get()
      return (reader.client, reader.log, acquired.info)
    }

    func update(_ generation: UInt64, _ damage: Rectangle = Rectangle(ChainTests.layout.size)) throws {
      owner.client.update(BufferUpdate(id: id, damage: damage, generation: generation))
      try world.wait("acknowledged") { owner.log.taken.last?.generation == generation }
    }

    var held: UInt32? { owner.log.taken.last?.held }
  }

  @Test(arguments: 1...3) func `a buffer says how many images it has, to who acquires it and in the list`(
    images: Int
  ) throws {
    let chain = try Chain(images: images)
    #expect(try chain.reader("recorder").info.images == images)
    #expect(chain.world.hub?.registry.all.first?.record.images == images)
  }

  @Test(arguments: [8192, 12_288, 20_480] as [UInt64])
  func `memory that is not equal shares of whole pages for the layout is refused`(byteCount: UInt64) throws {
    let world = try World()
    let owner = try world.raw()
    try owner.hello(.application, "camera")
    let offer = BufferOffer(
      buffer: BufferDescription(id: .random(), layout: Self.layout),
      memory: MemoryDescription(kind: .file, side: .host, reason: .hostAllocated, byteCount: byteCount), images: 2)
    let file = try SharedMemoryFile(name: "chain", count: Int(byteCount)).readOnly()
    guard case .error(let refusal) = try owner.answer(.offer(offer), descriptors: [file.raw]) else {
      Issue.record("taken")
      return
    }
    #expect(refusal.code == .badBuffer)
  }

  @Test func `all images are charged to their owner, and to who acquires them`() throws {
    let chain = try Chain(images: 3)
    _ = try chain.reader("recorder")
    let accounts = try #require(chain.world.hub?.accounts)
    #expect(accounts.totals(of: application("camera")).hostAllocated == 3 * 8192)
    #expect(accounts.totals(of: application("recorder")).imported == 3 * 8192)
  }

  @Test func `a holder is told of one update at a time, and of what it missed with the next`() throws {
    let chain = try Chain(images: 3)
    let reader = try chain.reader("recorder")
    try chain.update(1)
    try chain.world.wait("told") { reader.log.updates.count == 1 }
    try chain.update(2, left)
    try chain.update(3, right)
    try chain.world.turn()
    #expect(reader.log.updates.count == 1)
    reader.client.done(chain.id, generation: 1)
    try chain.world.wait("told") { reader.log.updates.count == 2 }
    #expect(reader.log.updates[1].update == BufferUpdate(id: chain.id, damage: left.union(right), generation: 3))
  }

  @Test func `the owner is told which image is held, until it is read`() throws {
    let chain = try Chain(images: 3)
    let reader = try chain.reader("recorder")
    try chain.update(4)
    try chain.world.wait("told") { reader.log.updates.count == 1 }
    try chain.update(5)
    #expect(chain.held == 0b010, "generation 4 is in image 1")
    reader.client.done(chain.id, generation: 4)
    try chain.world.wait("told") { reader.log.updates.count == 2 }
    try chain.update(6)
    #expect(chain.held == 0b100)
    reader.client.done(chain.id, generation: 5)
    try chain.world.wait("told") { reader.log.updates.count == 3 }
    reader.client.done(chain.id, generation: 6)
    try chain.world.wait("free") { chain.held == 0 }
  }

  @Test func `who shows a picture holds it until the next one has taken its place`() throws {
    let chain = try Chain(images: 3)
    let reader = try chain.reader("screen", keeps: true)
    try chain.update(1)
    try chain.world.wait("told") { reader.log.updates.count == 1 }
    reader.client.done(chain.id, generation: 1)
    try chain.update(2)
    try chain.world.wait("told") { reader.log.updates.count == 2 }
    try chain.update(3)
    #expect(chain.held == 0b110)
    reader.client.done(chain.id, generation: 2)
    try chain.world.wait("told") { reader.log.updates.count == 3 }
    try chain.update(4)
    #expect(chain.held == 0b101, "2 is shown, 3 was given")
  }

  @Test func `a lease that ends, or wants no updates any more, holds nothing`() throws {
    let chain = try Chain(images: 2)
    let first = try chain.reader("recorder")
    let second = try chain.reader("screen", keeps: true)
    try chain.update(1)
    for log in [first.log, second.log] { try chain.world.wait("told") { log.updates.count == 1 } }
    try chain.update(2)
    #expect(chain.held == 0b10)
    first.client.release(chain.id)
    second.client.done(chain.id, generation: 1)
    try chain.world.wait("told") { second.log.updates.count == 2 }
    try chain.update(3)
    #expect(chain.held == 0b11)
    _ = try chain.world.answer { second.client.acquire(Acquisition(.id(chain.id)), $0) }.get()
    try chain.world.wait("free") { chain.held == 0 }
  }

  @Test func `a new reader is told of the newest picture at once, and its owner is not asked`() throws {
    let chain = try Chain(images: 2)
    try chain.update(7)
    let reader = try chain.reader("recorder")
    try chain.world.wait("told") { reader.log.updates.count == 1 }
    #expect(
      reader.log.updates[0].update
        == BufferUpdate(id: chain.id, damage: Rectangle(Self.layout.size), generation: 7))
    reader.client.done(chain.id, generation: 7)
    try chain.world.wait("read") { chain.owner.log.done.last?.done.remaining == 0 }
    #expect(chain.owner.log.asked.isEmpty && chain.held == 0)
  }

  @Test func `an owner that does not read is told the newest state, whatever the others do meanwhile`() throws {
    let world = try World()
    let owner = try world.raw()
    try owner.hello(.application, "camera")
    let id = BufferID.random()
    let offer = BufferOffer(
      buffer: BufferDescription(id: id, layout: Self.layout),
      memory: MemoryDescription(kind: .file, side: .host, reason: .hostAllocated, byteCount: 8192 * 3), images: 3)
    let file = try SharedMemoryFile(name: "chain", count: 8192 * 3).readOnly()
    _ = try owner.answer(.offer(offer), descriptors: [file.raw])
    let grant = GrantRequest(to: application("recorder"), object: .id(id))
    _ = try owner.answer(.grant(grant))
    let reader = world.application("recorder")
    _ = try world.answer { reader.client.acquire(Acquisition(.id(id), wantsUpdates: true), $0) }.get()
    for generation in 1...5000 as ClosedRange<UInt64> {
      try owner.send(
        .update(BufferUpdate(id: id, damage: left, generation: generation)))
      try world.turn(2)
      if let update = reader.log.updates.popLast() { reader.client.done(id, generation: update.update.generation) }
    }
    let endpoint = try #require(world.hub?.endpoints[application("camera")].first)
    #expect(endpoint.notices.count <= 1)
    let last: BufferTaken = try owner.wait("the last state") {
      if case .application(.bufferTaken(let taken)) = $0, taken.generation == 5000 { taken } else { nil }
    }
    #expect(last.id == id)
  }

  @Test func `nobody draws into what somebody holds, in whatever order things happen`() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    for round in 0..<12 as Range<UInt64> {
      var game = try Game(images: Int(2 + round % 2), readers: Int(1 + round / 2 % 3), seed: seed &+ round)
      try game.play(800)
    }
  }

  /// An owner that follows the rules and readers that do as they like, with the pixels as numbers.
  private struct Game {
    private let chain: Chain
    private let readers: [(client: ApplicationClient, log: ApplicationLog, info: BufferInfo)]
    private let keeps: [Bool]
    private var holds: [[UInt64]]
    private var turns: ImageTurns
    /// The generation that is in each image; nil: it is being drawn.
    private var pixels: [UInt64?]
    private var drawing: UInt64?
    private var frames = 0
    private var random: SplitMix
    private let seed: UInt64

    init(images: Int, readers count: Int, seed: UInt64) throws {
      self.seed = seed
      random = SplitMix(seed: seed)
      let chain = try Chain(images: images)
      keeps = (0..<count).map { $0 % 2 == 1 }
      readers = try keeps.enumerated().map { try chain.reader("reader\($0.offset)", keeps: $0.element) }
      holds = Array(repeating: [], count: count)
      turns = ImageTurns(count: images)
      pixels = Array(repeating: 0, count: images)
      self.chain = chain
    }

    mutating func play(_ steps: Int) throws {
      for _ in 0..<steps {
        switch random.next() % 4 {
        case 0: draw()
        case 1: publish()
        case 2: read(Int(random.next() % UInt64(readers.count)))
        default: try chain.world.turn(Int(random.next() % 4))
        }
        check()
      }
      #expect(frames > 2, "seed \(seed)")
    }

    private mutating func draw() {
      if let taken = chain.owner.log.taken.last { turns.note(acknowledged: taken.generation, held: taken.held) }
      guard drawing == nil, let next = turns.next else { return }
      drawing = next
      pixels[Int(next % UInt64(pixels.count))] = nil
    }

    private mutating func publish() {
      guard let generation = drawing else { return }
      drawing = nil
      frames += 1
      pixels[Int(generation % UInt64(pixels.count))] = generation
      turns.publish(generation)
      let update = BufferUpdate(id: chain.id, damage: .empty, generation: generation)
      chain.owner.client.update(update)
    }

    /// Takes what a reader was told of, or says that it has read it.
    private mutating func read(_ index: Int) {
      let reader = readers[index]
      if let update = reader.log.updates.popLast() {
        holds[index].append(update.update.generation)
      } else if let newest = holds[index].last {
        reader.client.done(chain.id, generation: newest)
        holds[index] = keeps[index] ? [newest] : []
      }
    }

    private func check() {
      for generation in holds.joined() {
        let shown = pixels[Int(generation % UInt64(pixels.count))]
        #expect(shown == generation, "seed \(seed): \(generation) is drawn over")
      }
    }
  }
}
