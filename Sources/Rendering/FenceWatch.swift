import Platform

/// Finds out that nothing more is done: a fence has been the next one for too long.
///
/// What is drawn does not hold up the thread that asked for it, so that a shader without an end shows here alone. A timer
/// runs while fences wait, one for all of them.
final class FenceWatch {
  private let limit: Duration
  private let loop: EventLoop
  private let hung: () -> Void
  private var isArmed = false
  /// Since when the fence that has been the next one for the longest time has been that; nil: none waits.
  var waitsSince: () -> MonotonicTime? = { nil }

  init(limit: Duration, loop: EventLoop, hung: @escaping () -> Void) {
    self.limit = limit
    self.loop = loop
    self.hung = hung
  }

  /// A fence waits.
  func began() {
    guard !isArmed else { return }
    isArmed = true
    loop.schedule(after: limit) { [weak self] in self?.look() }
  }

  private func look() {
    isArmed = false
    guard let since = waitsSince() else { return }
    let end = since + limit
    guard end > .now else { return hung() }
    isArmed = true
    loop.schedule(at: end) { [weak self] in self?.look() }
  }
}
