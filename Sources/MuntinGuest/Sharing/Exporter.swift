import Buffers
import Glibc
import HubProtocol
import Platform

/// What is to be exported.
public struct Export: Sendable {
  /// Its name among this VM's buffers.
  public var name: PeerName
  /// Its pixels.
  public var layout: PixelLayout
  /// Free properties.
  public var properties: [BufferProperty] = []
  /// Whose memory it is in.
  public var allocation = AllocationSide.host
  /// Whether others may be granted write access.
  public var isWritable = false
  /// What it shows.
  public var source: FrameSource
  /// Frames a second at most.
  public var rate: Double = 30
  /// How many images it has, 1 to 3: with several a reader keeps one while the next is drawn.
  public var images = 2

  /// A buffer that shows something.
  public init(name: PeerName, layout: PixelLayout, source: FrameSource) {
    self.name = name
    self.layout = layout
    self.source = source
  }
}

/// Gives a buffer of this VM to others: memory of the host's, drawn by this program.
///
/// With one image a new frame is drawn when all who are told of updates have read the last one, so that nobody sees half of
/// it, and after a quarter of a second in any case. With several it is drawn into one that nobody holds; when all are held,
/// frames are left out, for ten seconds at most.
public final class Exporter {
  private static let patience = Duration.milliseconds(250)
  private static let patienceWithImages = Duration.seconds(10)

  private let conversation: Conversation
  private let export: Export
  private let interval: Duration
  private var drawing: FrameDrawing
  private var blob: Blob
  private var id: BufferID
  private let chain: ImageChain
  private var turns: ImageTurns
  /// Since when all images are held.
  private var isHeldSince: MonotonicTime?
  /// Until when the newest frame is left as it is, while it is read.
  private var isReadUntil: MonotonicTime?
  private var nextFrame = MonotonicTime.now

  /// Makes the buffer, draws the first frame, and offers it.
  public init(
    _ export: Export, id: BufferID = .random(), _ conversation: Conversation
  ) throws(GuestError) {
    self.export = export
    self.conversation = conversation
    self.id = id
    interval = .nanoseconds(Int64(1e9 / min(max(export.rate, 0.001), 10_000)))
    guard let chain = ImageChain(count: export.images, of: export.layout) else {
      throw .noMemory(byteCount: .max)
    }
    self.chain = chain
    turns = ImageTurns(count: chain.count)
    drawing = FrameDrawing(export.source, export.layout, images: chain.count)
    blob = try Self.memory(export, chain, conversation)
    try offer()
  }

  /// Its id.
  public var bufferID: BufferID { id }

  private static func memory(
    _ export: Export, _ chain: ImageChain, _ conversation: Conversation
  ) throws(GuestError) -> Blob {
    switch export.allocation {
    case .host: try .ofHost(conversation.card, byteCount: chain.byteCount)
    case .guest: try .ofGuest(conversation.card, byteCount: chain.byteCount)
    }
  }

  private func offer() throws(GuestError) {
    _ = try draw(1)
    let offer = BufferOffer(
      buffer: BufferDescription(id: id, layout: export.layout),
      memory: MemoryDescription(kind: .file, side: .host, reason: .hostAllocated, byteCount: chain.byteCount),
      name: export.name, isWritable: export.isWritable, properties: export.properties, images: chain.count)
    _ = try conversation.ask(.offer(offer), blob: blob)
    try publish(1, Rectangle(export.layout.size))
  }

  /// Draws what is new as a generation; where. Nil: nothing is new.
  private func draw(_ generation: UInt64) throws(GuestError) -> Rectangle? {
    let start = Int(clamping: chain.offset(ofGeneration: generation))
    let bytes = UnsafeMutableRawBufferPointer(rebasing: blob.bytes[start..<start + Int(clamping: chain.share)])
    return try drawing.draw(into: bytes, image: chain.image(of: generation))
  }

  /// Keeps the buffer up to date until something ends it.
  public func run() throws(GuestError) {
    while true {
      let now = MonotonicTime.now
      if now >= nextFrame, let generation = drawable(now) {
        nextFrame = max(nextFrame + interval, now)
        if let damage = try draw(generation) { try publish(generation, damage) }
      }
      if let news = try conversation.next(until: wake(now)) { try take(news) }
    }
  }

  /// When to go on although nobody says anything.
  private func wake(_ now: MonotonicTime) -> MonotonicTime {
    if drawing.isFinished { return now + .seconds(3600) }
    guard now >= nextFrame else { return nextFrame }
    return isHeldSince.map { $0 + Self.patienceWithImages } ?? isReadUntil ?? now
  }

  /// The generation to draw now; nil: its image is read.
  private func drawable(_ now: MonotonicTime) -> UInt64? {
    guard chain.count > 1 else { return isReadUntil.map { now >= $0 } ?? true ? turns.newest + 1 : nil }
    if let next = turns.next {
      isHeldSince = nil
      return next
    }
    let since = isHeldSince ?? now
    isHeldSince = since
    return now >= since + Self.patienceWithImages ? turns.newest + 1 : nil
  }

  private func publish(_ generation: UInt64, _ damage: Rectangle) throws(GuestError) {
    let update = BufferUpdate(id: id, damage: damage, generation: generation)
    try conversation.say(.application(.update(update)))
    turns.publish(generation)
    isReadUntil = .now + Self.patience
  }

  private func take(_ news: Message) throws(GuestError) {
    switch news {
    case .application(.bufferDone(let done)) where done.id == id && done.generation == turns.newest:
      if done.remaining == 0 { isReadUntil = nil }
    case .application(.bufferTaken(let taken)) where taken.id == id:
      turns.note(acknowledged: taken.generation, held: taken.held)
    case .application(.bufferWanted(let wanted, let known)) where wanted == id && known >= turns.newest:
      // Nothing is half drawn now: whoever waits may read.
      if chain.count == 1 { try publish(turns.newest + 1, .empty) }
    case .application(.bufferRevoked(let revoked)) where revoked == id: try replace()
    default: break
    }
  }

  /// Somebody may still read the memory who must not: others get the picture in other memory.
  private func replace() throws(GuestError) {
    _ = try conversation.ask(.withdraw(id))
    id = .random()
    turns = ImageTurns(count: chain.count)
    blob = try Self.memory(export, chain, conversation)
    drawing.startAgain()
    try offer()
  }
}
