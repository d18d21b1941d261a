import Logging
import Platform

/// A log that neither a guest nor a front-end can flood: each kind of message at most ten times in ten seconds, then once with the count of
/// those left out.
final class RateLimitedLog {
  private struct Window {
    var start: MonotonicTime
    var count = 0
  }

  private static let span = Duration.seconds(10)
  private static let most = 10

  private let logger: Logger
  private var windows: [String: Window] = [:]

  init(_ logger: Logger) {
    self.logger = logger
  }

  /// What an operator wants to know of. `message` is a fixed text, what varies is in the metadata.
  func info(_ message: String, _ metadata: @autoclosure () -> Logger.Metadata = [:]) {
    note(.info, message, metadata)
  }

  /// What went wrong; see ``info(_:_:)``.
  func warning(_ message: String, _ metadata: @autoclosure () -> Logger.Metadata = [:]) {
    note(.warning, message, metadata)
  }

  private func note(_ level: Logger.Level, _ message: String, _ metadata: () -> Logger.Metadata) {
    guard let omitted = admit(message) else { return }
    var metadata = metadata()
    if omitted > 0 { metadata["omitted"] = "\(omitted)" }
    logger.log(level: level, "\(message)", metadata: metadata)
  }

  /// How many of the kind were left out before this one; nil when this one is left out as well.
  private func admit(_ message: String) -> Int? {
    let now = MonotonicTime.now
    var window = windows[message] ?? Window(start: now)
    var omitted = 0
    if now - window.start >= Self.span {
      omitted = max(0, window.count - Self.most)
      window = Window(start: now)
    }
    window.count += 1
    windows[message] = window
    return window.count <= Self.most ? omitted : nil
  }
}
