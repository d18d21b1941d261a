import HubProtocol
import Logging
import Platform

/// Writes a hub's events to the log: at most 50 lines at once and 5 a second after that, whatever peers do.
final class HubLog {
  private static let burst = 50.0
  private static let linesPerSecond = 5.0

  private let logger: Logger
  private var allowance = HubLog.burst
  private var last = MonotonicTime.now
  private var suppressed = 0

  init(_ logger: Logger) {
    self.logger = logger
  }

  func note(_ event: HubEvent) {
    let (level, message, metadata) = Self.line(event)
    guard level >= logger.logLevel else { return }
    guard takeAllowance() else {
      suppressed += 1
      return
    }
    if suppressed > 0 { logger.warning("lines left out", metadata: ["count": "\(suppressed)"]) }
    suppressed = 0
    logger.log(level: level, message, metadata: metadata)
  }

  private func takeAllowance() -> Bool {
    let now = MonotonicTime.now
    let seconds = Double((now - last).nanoseconds) / 1e9
    last = now
    allowance = min(Self.burst, allowance + seconds * Self.linesPerSecond)
    guard allowance >= 1 else { return false }
    allowance -= 1
    return true
  }

  private static func line(_ event: HubEvent) -> (Logger.Level, Logger.Message, Logger.Metadata) {
    switch event {
    case .joined(let hello, let peer):
      (hello.role == .control ? .debug : .info, "joined", who(hello, peer))
    case .left(let hello?, let peer, let reason):
      (
        hello.role == .control ? .debug : .info, "left",
        who(hello, peer).merging(["reason": "\(reason)"]) { first, _ in first }
      )
    case .left(nil, let peer, let reason):
      (.warning, "refused", ["pid": "\(peer?.pid ?? 0)", "uid": "\(peer?.uid ?? 0)", "reason": "\(reason)"])
    case .turnedAway(let peer, let reason):
      (.warning, "turned away", ["pid": "\(peer?.pid ?? 0)", "uid": "\(peer?.uid ?? 0)", "reason": "\(reason)"])
    case .forgotten(let name): (.info, "forgotten", ["vm": "\(name)"])
    }
  }

  private static func who(_ hello: Hello, _ peer: UnixSocket.PeerCredentials?) -> Logger.Metadata {
    ["role": "\(hello.role)", "name": "\(hello.name)", "pid": "\(peer?.pid ?? 0)"]
  }
}
