import Buffers
import HubProtocol
import Platform

/// What the owner of a buffer is told of its readers (BUFFER_DONE, BUFFER_TAKEN), behind release fences that are not ready:
/// no fence of the host's can be given to a guest, so its card waits in the guest's place. What is said later of the same
/// buffer waits as well, and replaces what it supersedes, so that each reader has one place here.
final class FencedAnswers {
  private struct Entry {
    let message: ApplicationMessage
    let fence: SharedDescriptor?
  }

  private let loop: EventLoop
  private var queues: [BufferID: [Entry]] = [:]
  /// Of each buffer's first entry.
  private var tokens: [BufferID: EventLoop.Token] = [:]
  /// Called with what the owner is to be told now.
  private let tell: (ApplicationMessage) -> Void

  init(loop: EventLoop, tell: @escaping (ApplicationMessage) -> Void) {
    self.loop = loop
    self.tell = tell
  }

  deinit { dropAll() }

  /// The hub has said something of a buffer, with a fence to wait for, or none.
  func add(_ message: ApplicationMessage, of id: BufferID, _ fence: SharedDescriptor?) {
    var queue = queues[id] ?? []
    // The first one is being waited for: it stays until that is over.
    if let former = queue.dropFirst().firstIndex(where: { message.supersedes($0.message) }) { queue.remove(at: former) }
    queue.append(Entry(message: message, fence: fence))
    queues[id] = queue
    advance(id)
  }

  /// Tells what need not wait.
  private func advance(_ id: BufferID) {
    guard tokens[id] == nil else { return }
    while let first = queues[id]?.first {
      if let fence = first.fence, !FencedUpdates.isReady(fence.raw), let token = watch(fence, id) {
        tokens[id] = token
        return
      }
      queues[id]?.removeFirst()
      tell(first.message)
    }
    queues[id] = nil
  }

  private func watch(_ fence: SharedDescriptor, _ id: BufferID) -> EventLoop.Token? {
    try? loop.watch(fence.raw, for: .readable) { [weak self] _ in
      guard let self else { return }
      stopWatching(id)
      advance(id)
    }
  }

  private func stopWatching(_ id: BufferID) {
    if let token = tokens.removeValue(forKey: id) { loop.unwatch(token) }
  }

  /// Nobody uses the buffer any more.
  func drop(_ id: BufferID) {
    stopWatching(id)
    queues[id] = nil
  }

  func dropAll() {
    for id in Array(queues.keys) { drop(id) }
  }
}

extension ApplicationMessage {
  /// Whether an earlier message about the same buffer says nothing any more.
  fileprivate func supersedes(_ former: ApplicationMessage) -> Bool {
    switch (self, former) {
    case (.bufferDone(let new), .bufferDone(let old)): new.holder == old.holder
    case (.bufferTaken, .bufferTaken): true
    default: false
    }
  }
}
