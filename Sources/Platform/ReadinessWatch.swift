/// Waits for a descriptor, for each thing once: who was told that it is ready asks again when it is not any more. For
/// those who take what there is when they can use it, not when it comes.
public final class ReadinessWatch {
  /// How long until it is tried again where the system refused to wait.
  private static let pause = Duration.milliseconds(100)

  private let loop: EventLoop
  private let descriptor: SharedDescriptor
  private let handler: (EventLoop.Readiness) -> Void
  private var token: EventLoop.Token?
  private var interest: EventLoop.Readiness = []
  private var isOver = false

  /// Waits for nothing yet. The descriptor is kept open as long as this lives.
  public init(_ descriptor: SharedDescriptor, loop: EventLoop, _ handler: @escaping (EventLoop.Readiness) -> Void) {
    self.descriptor = descriptor
    self.loop = loop
    self.handler = handler
  }

  deinit { end() }

  /// Calls the handler once, when one of these can be done, or the other end has gone.
  public func wait(for more: EventLoop.Readiness) {
    guard !isOver, !interest.isSuperset(of: more) else { return }
    interest.formUnion(more)
    update()
  }

  /// Waits for nothing any more.
  public func end() {
    isOver = true
    interest = []
    update()
  }

  private func update() {
    if interest.isEmpty {
      if let token { loop.unwatch(token) }
      token = nil
    } else if let token {
      loop.change(token, to: interest)
    } else {
      begin()
    }
  }

  private func begin() {
    do throws(SystemError) {
      token = try loop.watch(descriptor.raw, for: interest) { [weak self] in self?.fired($0) }
    } catch {
      loop.schedule(after: Self.pause) { [weak self] in
        guard let self, token == nil else { return }
        update()
      }
    }
  }

  private func fired(_ readiness: EventLoop.Readiness) {
    let ready = readiness.contains(.hangup) ? interest : readiness.intersection(interest)
    interest.subtract(ready)
    update()
    handler(ready)
  }
}
