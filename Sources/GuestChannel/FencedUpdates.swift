import Buffers
import Glibc
import HubProtocol
import Platform

/// Updates whose acquire fence is not ready. No fence of the host's can be given to a guest, so its card waits in the
/// guest's place: one update of each buffer, since a newer one brings a newer fence.
final class FencedUpdates {
  private struct Waiting {
    let update: BufferUpdate
    let fence: SharedDescriptor
    let token: EventLoop.Token
  }

  private let loop: EventLoop
  private var waiting: [BufferID: Waiting] = [:]
  /// Called with an update whose pixels may be read.
  private let ready: (BufferUpdate) -> Void

  init(loop: EventLoop, ready: @escaping (BufferUpdate) -> Void) {
    self.loop = loop
    self.ready = ready
  }

  deinit { dropAll() }

  /// An update has come, with what to wait for; together with one that waits.
  func add(_ update: BufferUpdate, _ fence: SharedDescriptor?) {
    let former = drop(update.id)
    let damage = update.damage.union(former?.damage ?? .empty)
    let update = BufferUpdate(id: update.id, damage: damage, generation: update.generation)
    guard let fence, !Self.isReady(fence.raw), let token = watch(fence, update.id) else { return ready(update) }
    waiting[update.id] = Waiting(update: update, fence: fence, token: token)
  }

  static func isReady(_ raw: Int32) -> Bool {
    var poller = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
    return poll(&poller, 1, 0) != 0
  }

  private func watch(_ fence: SharedDescriptor, _ id: BufferID) -> EventLoop.Token? {
    try? loop.watch(fence.raw, for: .readable) { [weak self] _ in
      guard let self, let update = drop(id) else { return }
      ready(update)
    }
  }

  /// The buffer is not held any more; what waited.
  @discardableResult
  func drop(_ id: BufferID) -> BufferUpdate? {
    guard let former = waiting.removeValue(forKey: id) else { return nil }
    loop.unwatch(former.token)
    return former.update
  }

  func dropAll() {
    for id in Array(waiting.keys) { drop(id) }
  }
}
