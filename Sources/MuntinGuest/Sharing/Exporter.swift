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

  /// A buffer that shows something.
  public init(name: PeerName, layout: PixelLayout, source: FrameSource) {
    self.name = name
    self.layout = layout
    self.source = source
  }
}

/// Gives a buffer of this VM to others: memory of the host's, drawn by this program.
///
/// A new frame is drawn when all who are told of updates have read the last one, so that nobody sees half of it, and after
/// `patience` in any case.
public final class Exporter {
  private static let patience = Duration.milliseconds(250)

  private let conversation: Conversation
  private let export: Export
  private let interval: Duration
  private var drawing: FrameDrawing
  private var blob: Blob
  private var id: BufferID
  private var generation: UInt64 = 0
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
    drawing = FrameDrawing(export.source, export.layout)
    blob = try Self.memory(export, conversation)
    try offer()
  }

  /// Its id.
  public var bufferID: BufferID { id }

  private static func memory(_ export: Export, _ conversation: Conversation) throws(GuestError) -> Blob {
    let byteCount = UInt64((export.layout.byteCount + 4095) / 4096 * 4096)
    return switch export.allocation {
    case .host: try .ofHost(conversation.card, byteCount: byteCount)
    case .guest: try .ofGuest(conversation.card, byteCount: byteCount)
    }
  }

  private func offer() throws(GuestError) {
    _ = try drawing.draw(into: blob.bytes)
    let offer = BufferOffer(
      buffer: BufferDescription(id: id, layout: export.layout),
      memory: MemoryDescription(hostFileOf: export.layout, reason: .hostAllocated), name: export.name,
      isWritable: export.isWritable, properties: export.properties)
    _ = try conversation.ask(.offer(offer), blob: blob)
    try update(Rectangle(export.layout.size))
  }

  /// Keeps the buffer up to date until something ends it.
  public func run() throws(GuestError) {
    while true {
      let now = MonotonicTime.now
      if let end = isReadUntil, now >= end { isReadUntil = nil }
      if isReadUntil == nil, now >= nextFrame {
        nextFrame = now + interval
        if let damage = try drawing.draw(into: blob.bytes) { try update(damage) }
      }
      let wake = drawing.isFinished ? now + .seconds(3600) : max(isReadUntil ?? nextFrame, nextFrame)
      if let news = try conversation.next(until: wake) { try take(news) }
    }
  }

  private func update(_ damage: Rectangle) throws(GuestError) {
    generation += 1
    let update = BufferUpdate(id: id, damage: damage, generation: generation)
    try conversation.say(.application(.update(update)))
    isReadUntil = .now + Self.patience
  }

  private func take(_ news: Message) throws(GuestError) {
    switch news {
    case .application(.bufferDone(let done)) where done.id == id && done.generation == generation:
      if done.remaining == 0 { isReadUntil = nil }
    case .application(.bufferWanted(let wanted, let known)) where wanted == id && known >= generation:
      // Nothing is half drawn now: whoever waits may read.
      try update(Rectangle(x: 0, y: 0, width: 0, height: 0))
    case .application(.bufferRevoked(let revoked)) where revoked == id: try replace()
    default: break
    }
  }

  /// Somebody may still read the memory who must not: others get the picture in other memory.
  private func replace() throws(GuestError) {
    _ = try conversation.ask(.withdraw(id))
    id = .random()
    generation = 0
    blob = try Self.memory(export, conversation)
    drawing.startAgain()
    try offer()
  }
}
