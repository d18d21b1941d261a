import Platform

/// Puts messages together from whatever pieces a socket gives, without ever waiting.
final class MessageReader {
  /// Which messages may come.
  enum Expectation {
    /// Requests of a vhost-user peer.
    case requests
    /// Answers of a vhost-user peer.
    case replies
    /// Answers on a display socket, whose headers carry no version.
    case displayReplies
  }

  enum Step {
    /// A whole message: see `header`, `payload` and `descriptors`, then call `finish`.
    case message
    /// The rest has not come yet.
    case incomplete
    /// The peer has gone.
    case closed
  }

  private(set) var header: MessageHeader?
  var descriptors = ReceivedDescriptors()
  private let expectation: Expectation
  private let payloadLimit: UInt32
  private let buffer: UnsafeMutableRawBufferPointer
  private var filled = 0

  init(_ expectation: Expectation, payloadLimit: Int = VhostUserLimits.payloadBytes) {
    self.expectation = expectation
    self.payloadLimit = UInt32(clamping: payloadLimit)
    buffer = .allocate(byteCount: MessageHeader.byteCount + payloadLimit, alignment: 8)
  }

  deinit {
    buffer.deallocate()
  }

  /// The payload of the whole message.
  var payload: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: buffer[MessageHeader.byteCount..<filled]) }

  /// Reads on. An error says that the peer's framing cannot be followed any more.
  func read(from socket: Int32) throws(VhostUserError) -> Step {
    while true {
      if header == nil && filled == MessageHeader.byteCount { header = try checkedHeader() }
      let wanted = MessageHeader.byteCount + Int(header?.payloadSize ?? 0)
      if header != nil && filled == wanted { return .message }
      switch try receive(from: socket, upTo: wanted) {
      case .bytes(let count, _): filled += count
      case .wouldBlock: return .incomplete
      case .closed: return .closed
      }
    }
  }

  /// Makes room for the next message; descriptors that nobody took are closed.
  func finish() {
    header = nil
    filled = 0
    descriptors.closeAll()
  }

  private func receive(from socket: Int32, upTo wanted: Int) throws(VhostUserError) -> UnixSocket.Received {
    do {
      return try descriptors.receive(
        from: socket, into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<wanted]))
    } catch {
      throw .system(error)
    }
  }

  private func checkedHeader() throws(VhostUserError) -> MessageHeader? {
    guard let header = MessageHeader(UnsafeRawBufferPointer(rebasing: buffer[..<MessageHeader.byteCount])) else {
      return nil
    }
    let isLegal =
      switch expectation {
      case .requests: header.hasKnownVersion && !header.isReply
      case .replies: header.hasKnownVersion && header.isReply
      case .displayReplies: header.isReply
      }
    guard isLegal else { throw .wrongFlags(request: header.request, flags: header.flags) }
    guard header.payloadSize <= payloadLimit else {
      throw .messageTooLarge(request: header.request, size: header.payloadSize)
    }
    return header
  }
}
