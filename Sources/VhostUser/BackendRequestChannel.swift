import Platform
import Virtqueue

/// Requests of ours to the front-end (vhost-user.rst, "Back-end communication"): that configuration space has changed,
/// and what is mapped into the guest's address space.
///
/// One request is under way at a time where answers are settled, and nothing here waits for it: QEMU follows its answer
/// to SHMEM_MAP with requests on the main socket, and waits for those.
final class BackendRequestChannel {
  private let loop: EventLoop
  private var socket: FileDescriptor?
  private var token: EventLoop.Token?
  private var reader = MessageReader(.replies)
  private var output = OutputQueue()
  private var changes = WindowChanges()
  /// Which of the front-end's channels this is.
  private var generation = 0
  /// What the front-end has yet to answer.
  private var awaited = Awaited.nothing
  /// Whether the change at the head of `changes` has been answered, but may not be seen yet.
  private var needsBarrier = false
  /// Whether the front-end has yet to hear of a change of configuration space: however often it changes while the
  /// front-end is busy or suspended, one request is enough.
  private var isChanged = false
  /// A device whose rings are all stopped sends nothing (vhost-user.rst, "Suspended device state").
  private var isSuspended = true
  /// Whether answers are asked for.
  var wantsReplies = false
  /// Whether memory can be mapped.
  var canMap = false
  /// Called when the front-end has refused a request.
  var refused: ((UInt64) -> Void)?
  /// Called once for each change of shared memory that was taken.
  var answered: ((SharedMemoryTicket, Bool) -> Void)?

  private enum Awaited: Equatable {
    case nothing
    case acknowledgement
    /// Of the change at the head of `changes`.
    case change
    /// Of the request behind that change.
    case barrier
  }

  init(loop: EventLoop) {
    self.loop = loop
  }

  deinit { release() }

  /// Takes the channel over, in the place of any earlier one.
  func open(_ descriptor: consuming FileDescriptor) throws(SystemError) {
    close()
    generation += 1
    token = try loop.watch(descriptor.raw, for: .readable) { [unowned self] _ in serve() }
    socket = consume descriptor
    sendPending()
  }

  /// Ends the channel; changes that were not answered have failed.
  func close() {
    release()
    while let change = changes.removeFirst() { answered?(change.ticket, false) }
  }

  private func release() {
    if let token { loop.unwatch(token) }
    token = nil
    socket = nil
    output = OutputQueue()
    reader = MessageReader(.replies)
    awaited = .nothing
    needsBarrier = false
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

  // MARK: Sending

  private func sendPending() {
    guard !isSuspended, awaited == .nothing, output.isEmpty, let raw = socketNumber else { return }
    do throws(VhostUserError) {
      if needsBarrier {
        try sendBarrier(to: raw)
      } else if isChanged {
        try sendConfigurationChange(to: raw)
      } else if let change = changes.first {
        try send(change, to: raw)
      }
      watch()
    } catch {
      // Whoever has asked for something is not told from inside the call.
      let broken = generation
      loop.afterEvents { [weak self] in if self?.generation == broken { self?.close() } }
    }
  }

  private func sendConfigurationChange(to raw: Int32) throws(VhostUserError) {
    try output.send(message(.configChange, needReply: wantsReplies), to: raw)
    isChanged = false
    if wantsReplies { awaited = .acknowledgement }
  }

  private func send(_ change: WindowChanges.Change, to raw: Int32) throws(VhostUserError) {
    let code: BackendRequestCode = change.file == nil ? .shmemUnmap : .shmemMap
    let flags = change.isWritable ? SharedMemoryChange.writable : 0
    let bytes = message(code, needReply: true) { SharedMemoryChange(change.piece, flags: flags).encode(into: &$0) }
    let isSent = try output.send(bytes, descriptor: change.file, to: raw)
    if isSent { awaited = .change } else { waitForRoom() }
  }

  /// The front-end's answer to SHMEM_MAP comes before the guest's view changes. It handles its requests one by one, so
  /// an answer to another one, that means nothing, comes behind the change.
  private func sendBarrier(to raw: Int32) throws(VhostUserError) {
    let unknown = [UInt8](repeating: 0, count: 16)
    try output.send(message(.sharedObjectRemove, needReply: true) { $0 += unknown }, to: raw)
    needsBarrier = false
    awaited = .barrier
  }

  private func message(
    _ code: BackendRequestCode, needReply: Bool, _ encode: (inout [UInt8]) -> Void = { _ in }
  ) -> [UInt8] {
    var payload: [UInt8] = []
    encode(&payload)
    var message: [UInt8] = []
    MessageHeader(
      request: code.rawValue, flags: MessageHeader.Flag.version | (needReply ? MessageHeader.Flag.needReply : 0),
      payloadSize: UInt32(payload.count)
    ).encode(into: &message)
    return message + payload
  }

  // MARK: Receiving

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
    let word: UInt64 = answer.next() ?? 1
    reader.finish()
    let kind = awaited
    awaited = .nothing
    switch kind {
    case .nothing: break
    case .acknowledgement: if word != 0 { refused?(word) }
    case .change:
      changes.note(succeeded: word == 0)
      if word == 0 { needsBarrier = true } else { finishChange() }
    case .barrier: finishChange()
    }
  }

  private func finishChange() {
    guard let change = changes.removeFirst() else { return }
    answered?(change.ticket, change.hasSucceeded)
  }

  private func watch() {
    if let token { loop.change(token, to: output.isEmpty ? .readable : [.readable, .writable]) }
  }

  private func waitForRoom() {
    if let token { loop.change(token, to: [.readable, .writable]) }
  }

  private var socketNumber: Int32? {
    switch socket {
    case .some(let socket): socket.raw
    case .none: nil
    }
  }
}

extension BackendRequestChannel: SharedMemoryWindow {
  func map(
    _ piece: SharedMemoryPiece, of file: SharedDescriptor, isWritable: Bool, _ ticket: SharedMemoryTicket
  ) -> Bool {
    take(WindowChanges.Change(piece: piece, file: file, isWritable: isWritable, ticket: ticket))
  }

  func unmap(_ piece: SharedMemoryPiece, _ ticket: SharedMemoryTicket) -> Bool {
    take(WindowChanges.Change(piece: piece, file: nil, isWritable: false, ticket: ticket))
  }

  private func take(_ change: WindowChanges.Change) -> Bool {
    guard canMap, socketNumber != nil, changes.count < VhostUserLimits.pendingWindowChanges else { return false }
    changes.append(change)
    sendPending()
    return true
  }
}

/// Changes of shared memory in their order; the first one may be under way.
struct WindowChanges {
  struct Change {
    let piece: SharedMemoryPiece
    /// What is mapped; nil for an end of a mapping.
    let file: SharedDescriptor?
    /// Whether the guest may write what is mapped.
    let isWritable: Bool
    let ticket: SharedMemoryTicket
    var hasSucceeded = false
  }

  private var entries: [Change] = []
  /// Entries before this one are done.
  private var head = 0

  var count: Int { entries.count - head }
  var first: Change? { count > 0 ? entries[head] : nil }

  mutating func append(_ change: Change) {
    entries.append(change)
  }

  /// The front-end has answered the first one.
  mutating func note(succeeded: Bool) {
    if count > 0 { entries[head].hasSucceeded = succeeded }
  }

  mutating func removeFirst() -> Change? {
    guard let change = first else { return nil }
    head += 1
    if head > 64 || head == entries.count {
      entries.removeFirst(head)
      head = 0
    }
    return change
  }
}
