import Buffers
import Glibc
import HubProtocol
import Platform

/// Which buffer is to be imported.
public enum BufferName: Equatable, Sendable, CustomStringConvertible {
  case id(BufferID)
  case name(PeerName, owner: Party?)
  /// What a screen of another VM shows.
  case screen(ScreenKey)

  /// For people.
  public var description: String {
    switch self {
    case .id(let id): "\(id)"
    case .name(let name, nil): "\"\(name)\""
    case .name(let name, let owner?): "\"\(name)\" of \(owner)"
    case .screen(let screen): "\(screen)"
    }
  }
}

/// A buffer of another VM or program, mapped into this one.
public final class Importer {
  private static let patience = Duration.seconds(3)

  private let conversation: Conversation
  private let name: BufferName
  private let access: BufferAccess
  private let keeps: Bool
  private let blob: Blob
  private let chain: ImageChain
  /// What the hub says of it.
  public let info: BufferInfo
  private var newest: UInt64

  /// Finds the buffer, asks for it, and maps it.
  ///
  /// - Parameter keeps: whether a picture is still used after ``done()``, until that of a newer one.
  public init(
    _ name: BufferName, access: BufferAccess, keeps: Bool = false, _ conversation: Conversation
  ) throws(GuestError) {
    self.conversation = conversation
    self.name = name
    self.access = access
    self.keeps = keeps
    let answer = try Self.acquire(try Self.request(name, access, keeps, conversation), name, conversation)
    guard case .application(.acquired(let info)) = answer.message, let memory = answer.blob else {
      throw .nonsense("\(answer.message.type) as the answer to ACQUIRE")
    }
    guard
      let chain = ImageChain(count: info.images, byteCount: info.memory.byteCount, layout: info.buffer.layout),
      chain.byteCount <= memory.byteCount
    else { throw .nonsense("\(info.images) pictures of \(info.buffer.layout.byteCount) bytes in \(memory.byteCount)") }
    self.info = info
    self.chain = chain
    newest = info.generation
    blob = try .ofHost(conversation.card, byteCount: memory.byteCount, number: memory.number)
  }

  /// The same once more, after an end that need not be one: a screen has another size, or the hub was restarted, which
  /// this waits for, doing `meanwhile` when the file `other` has something to read.
  ///
  /// - Throws: the end, if it is one.
  func again(
    after end: GuestError, or other: Int32? = nil, meanwhile: () throws(GuestError) -> Void = {}
  ) throws(GuestError) -> Importer {
    let find = { [self] () throws(GuestError) in
      try Importer(name, access: access, keeps: keeps, conversation)
    }
    var end = end
    if end == .retired, case .screen = name {
      do throws(GuestError) { return try find() } catch { end = conversation.isOverSoon ? .channelOver : error }
    }
    guard end == .channelOver else { throw end }
    return try conversation.whenHubIsBack(or: other, meanwhile, find)
  }

  private static func request(
    _ name: BufferName, _ access: BufferAccess, _ keeps: Bool, _ conversation: Conversation
  ) throws(GuestError) -> ApplicationMessage {
    if case .screen(let screen) = name { return .view(screen) }
    let key = try find(name, access, conversation)
    return .acquire(Acquisition(key, access: access, wantsUpdates: true, keeps: keeps))
  }

  private static func find(
    _ name: BufferName, _ access: BufferAccess, _ conversation: Conversation
  ) throws(GuestError) -> BufferKey {
    guard case .name(let text, let owner) = name else {
      guard case .id(let id) = name else { throw .noSuchBuffer("\(name)") }
      return .id(id)
    }
    if let owner { return .name(text, owner: owner) }
    var query = BufferQuery()
    query.name = text
    query.access = access
    let found = try conversation.buffers(query)
    guard let first = found.first else { throw .noSuchBuffer("\(name)") }
    guard found.count == 1 else { throw .ambiguous("\(name)", owners: found.map(\.owner)) }
    return .id(first.buffer.id)
  }

  private static func acquire(
    _ request: ApplicationMessage, _ name: BufferName, _ conversation: Conversation
  ) throws(GuestError) -> Conversation.Answer {
    do throws(GuestError) {
      return try conversation.ask(request)
    } catch {
      guard case .refused(let refusal) = error, refusal.code == .notFound else { throw error }
      if case .screen(let screen) = name { throw .noSuchScreen(screen) }
      throw .noSuchBuffer("\(name)")
    }
  }

  // MARK: Reading

  /// Waits for an update; the whole of the picture as damage is the first one's. Nil: none comes in time, or another file
  /// has something to read.
  ///
  /// - Throws: also when the buffer is taken away.
  public func nextUpdate(until end: MonotonicTime, or other: Int32? = nil) throws(GuestError) -> BufferUpdate? {
    while let news = try conversation.next(until: end, or: other) {
      switch news {
      case .application(.updated(let update)) where update.id == info.buffer.id:
        newest = update.generation
        return update
      case .application(.revoked(let id, _)) where id == info.buffer.id: throw .revoked
      case .application(.retired(let id, _)) where id == info.buffer.id: throw .retired
      default: break
      }
    }
    return nil
  }

  /// Waits until the owner says that the picture is whole; false when it does not say so within seconds.
  public func waitForWholePicture() throws(GuestError) -> Bool {
    try nextUpdate(until: .now + Self.patience) != nil
  }

  /// Where the images begin in the memory.
  var images: [Int] { (0..<chain.count).map { Int(clamping: chain.offset(of: $0)) } }
  /// The image that the newest update is in.
  var image: Int { chain.image(of: newest) }

  /// Copies the picture.
  func pixels() -> Pixels { Pixels(copying: bytes, info.buffer.layout) }

  /// Keeps the picture for a time.
  ///
  /// - Throws: also when it changes meanwhile.
  public func hold(for time: Duration) throws(GuestError) {
    let before = pixels()
    usleep(useconds_t(clamping: time.nanoseconds / 1000))
    guard pixels() == before else { throw .drawnOver(generation: newest) }
  }

  /// The picture's memory, which the layout describes: the image of the newest update.
  package var bytes: UnsafeRawBufferPointer {
    let start = Int(clamping: chain.offset(ofGeneration: newest))
    let end = start + Int(clamping: chain.share)
    return UnsafeRawBufferPointer(rebasing: blob.bytes[start..<end])
  }

  /// Writes the picture into a file.
  public func write(_ file: PictureFile) throws(GuestError) { try file.write(pixels()) }

  /// Shows the picture on a screen of the card's.
  func show(on number: Int) throws(GuestError) -> Screen {
    try Screen(number, of: conversation.card, showing: blob, chain, info.buffer.layout, generation: newest)
  }

  /// The memory that holds the picture.
  var memory: Blob { blob }

  /// The owner may draw again.
  public func done() throws(GuestError) {
    try conversation.say(.application(.done(info.buffer.id, generation: newest)))
  }

  /// Gives the buffer back.
  public func release() throws(GuestError) { try conversation.say(.application(.release(info.buffer.id))) }
}
