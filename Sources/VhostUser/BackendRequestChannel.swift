import Platform

/// Requests of ours to the front-end (vhost-user.rst, "Back-end communication").
///
/// The only one so far says that configuration space has changed. It carries nothing, so however often it changes while
/// the front-end is busy or suspended, one request is enough.
final class BackendRequestChannel {
  private let loop: EventLoop
  private var socket: FileDescriptor?
  private var token: EventLoop.Token?
  private var reader = MessageReader(.replies)
  private var output = OutputQueue()
  /// Whether an answer is awaited.
  private var isWaiting = false
  /// Whether the front-end has yet to hear of a change.
  private var isChanged = false
  /// A device whose rings are all stopped sends nothing (vhost-user.rst, "Suspended device state").
  private var isSuspended = true
  /// Whether answers are asked for.
  var wantsReplies = false
  /// Called when the front-end has refused a request.
  var refused: ((UInt64) -> Void)?

  init(loop: EventLoop) {
    self.loop = loop
  }

  deinit { close() }

  /// Takes the channel over, in the place of any earlier one.
  func open(_ descriptor: consuming FileDescriptor) throws(SystemError) {
    close()
    token = try loop.watch(descriptor.raw, for: .readable) { [unowned self] _ in serve() }
    socket = consume descriptor
    sendPending()
  }

  func close() {
    if let token { loop.unwatch(token) }
    token = nil
    socket = nil
    output = OutputQueue()
    reader = MessageReader(.replies)
    isWaiting = false
  }

  /// CONFIG_CHANGE, now or as soon as the front-end can take it.
  func configurationChanged() {
    isChanged = true
    sendPending()
  }

  func suspend() {
    isSuspended = true
  }

  func resume() {
    isSuspended = false
    sendPending()
  }

  private func sendPending() {
    guard isChanged, !isSuspended, !isWaiting, output.isEmpty, let raw = socketNumber else { return }
    var flags = MessageHeader.Flag.version
    if wantsReplies { flags |= MessageHeader.Flag.needReply }
    var message: [UInt8] = []
    MessageHeader(request: BackendRequestCode.configChange.rawValue, flags: flags, payloadSize: 0)
      .encode(into: &message)
    isChanged = false
    isWaiting = wantsReplies
    do {
      try output.send(message, to: raw)
      watch()
    } catch {
      close()
    }
  }

  private func serve() {
    guard let raw = socketNumber else { return }
    do throws(VhostUserError) {
      try output.flush(to: raw)
      switch try reader.read(from: raw) {
      case .message: takeReply()
      case .incomplete: break
      case .closed: return close()
      }
      watch()
      sendPending()
    } catch {
      close()
    }
  }

  private func takeReply() {
    var answer = ByteReader(reader.payload)
    if let word: UInt64 = answer.next(), word != 0 { refused?(word) }
    reader.finish()
    isWaiting = false
  }

  private func watch() {
    if let token { loop.change(token, to: output.isEmpty ? .readable : [.readable, .writable]) }
  }

  private var socketNumber: Int32? {
    switch socket {
    case .some(let socket): socket.raw
    case .none: nil
    }
  }
}
