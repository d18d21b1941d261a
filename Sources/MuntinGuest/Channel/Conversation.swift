import Buffers
import CrossDomain
import HubProtocol
import Platform

/// What a program in a guest and the hub say to each other: questions with their answers, and news.
public final class Conversation {
  /// An answer, and the memory that came with it.
  struct Answer {
    let message: Message
    let blob: (number: UInt64, byteCount: UInt64)?
  }

  private static let patience = Duration.seconds(10)

  private let channel: Channel
  private var lastSerial: UInt64 = 0
  private var news: [Message] = []
  var card: GraphicsCard { channel.card }

  /// Opens a channel and greets the hub.
  public init(_ card: GraphicsCard) throws(GuestError) {
    channel = try Channel(card)
    try greet()
  }

  /// Greets a hub that has come back: it knows of nothing that was said before.
  ///
  /// - Throws: ``GuestError/channelOver`` while there is none.
  func beginAnew() throws(GuestError) {
    news.removeAll()
    try channel.start()
    try greet()
  }

  private func greet() throws(GuestError) {
    guard let name = PeerName("muntin-guest") else { throw .nonsense("a name") }
    try say(.hello(Hello(role: .application, name: name)))
    guard let first = try hear(until: .now + Self.patience) else { throw .noAnswer }
    switch first.message {
    case .welcome: break
    case .error(let refusal): throw .refused(refusal)
    default: throw .nonsense("\(first.message.type) before WELCOME")
    }
  }

  // MARK: Talking

  func say(_ message: Message, serial: UInt64 = 0, blob: Blob? = nil) throws(GuestError) {
    try channel.send(message.encoded(serial: serial, carriesDescriptor: blob != nil), blob: blob)
  }

  private func hear(
    until end: MonotonicTime, or other: Int32? = nil
  ) throws(GuestError) -> (message: Message, serial: UInt64, answer: Answer)? {
    guard let transmission = try channel.receive(until: end, or: other) else { return nil }
    guard !transmission.data.isEmpty else { throw .channelOver }
    do throws(ProtocolError) {
      let read = try PacketParser.parseDetached(transmission.data)
      let blob = transmission.identifiers.first.map { (UInt64($0.number), UInt64($0.byteCount)) }
      return (read.message, read.serial, Answer(message: read.message, blob: blob))
    } catch {
      throw .nonsense("\(error)")
    }
  }

  /// Asks, and waits for each message of the answer until `take` says that it was the last; news are kept.
  private func ask(
    _ message: ApplicationMessage, blob: Blob?, _ take: (Answer) throws(GuestError) -> Bool
  ) throws(GuestError) {
    lastSerial += 1
    try say(.application(message), serial: lastSerial, blob: blob)
    let end = MonotonicTime.now + Self.patience
    while let heard = try hear(until: end) {
      if heard.serial != lastSerial {
        try keep(heard.message)
      } else if case .error(let refusal) = heard.message {
        throw .refused(refusal)
      } else if try take(heard.answer) {
        return
      }
    }
    throw .noAnswer
  }

  /// Asks what has one answer.
  func ask(_ message: ApplicationMessage, blob: Blob? = nil) throws(GuestError) -> Answer {
    var answer: Answer?
    try ask(message, blob: blob) { (heard) throws(GuestError) in
      answer = heard
      return true
    }
    guard let answer else { throw .noAnswer }
    return answer
  }

  private func keep(_ message: Message) throws(GuestError) {
    if case .error(let refusal) = message { throw .refused(refusal) }
    news.append(message)
  }

  /// What is told without being asked for; nil when the time is over, or another file has something to read.
  func next(until end: MonotonicTime, or other: Int32? = nil) throws(GuestError) -> Message? {
    if !news.isEmpty { return news.removeFirst() }
    guard let heard = try hear(until: end, or: other) else { return nil }
    if case .error(let refusal) = heard.message { throw .refused(refusal) }
    return heard.message
  }

  // MARK: Buffers

  /// The buffers that this VM owns or may acquire.
  public func buffers(_ query: BufferQuery = BufferQuery()) throws(GuestError) -> [BufferInfo] {
    var query = query
    var found: [BufferInfo] = []
    repeat {
      try ask(.query(query), blob: nil) { (heard) throws(GuestError) in
        switch heard.message {
        case .application(.bufferInfo(let info)): found.append(info)
        case .application(.queryEnd(_, let next)):
          query.cursor = next
          return true
        default: throw .nonsense("\(heard.message.type) as the answer to QUERY")
        }
        return false
      }
    } while query.cursor != 0
    return found
  }

  /// The screens of other VMs that this one may see.
  public func screens() throws(GuestError) -> [ScreenInfo] {
    var found: [ScreenInfo] = []
    var cursor: UInt64 = 0
    repeat {
      try ask(.screens(cursor: cursor), blob: nil) { (heard) throws(GuestError) in
        switch heard.message {
        case .application(.screenInfo(let info)): found.append(info)
        case .application(.queryEnd(_, let next)):
          cursor = next
          return true
        default: throw .nonsense("\(heard.message.type) as the answer to SCREENS")
        }
        return false
      }
    } while cursor != 0
    return found
  }

  /// The rights that this VM gave or got.
  func grants() throws(GuestError) -> [GrantRecord] {
    var found: [GrantRecord] = []
    var cursor: UInt64 = 0
    repeat {
      try ask(.grants(cursor: cursor), blob: nil) { (heard) throws(GuestError) in
        switch heard.message {
        case .application(.grantRecord(let grant)): found.append(grant)
        case .application(.queryEnd(_, let next)):
          cursor = next
          return true
        default: throw .nonsense("\(heard.message.type) as the answer to GRANTS")
        }
        return false
      }
    } while cursor != 0
    return found
  }
}
