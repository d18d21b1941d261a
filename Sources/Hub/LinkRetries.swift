import HubProtocol
import Platform

/// Which displays a producer gets no new link to for a while, since the last one broke: a peer that breaks every link
/// costs little.
struct LinkRetries {
  /// A link that lasts this many times the first wait was a good one; no wait is longer.
  private static let longest = 64

  private struct Entry {
    var wait: Duration
    var isWaiting: Bool
  }

  private let shortest: Duration
  private var entries: [PeerName: Entry] = [:]

  init(after shortest: Duration) {
    self.shortest = shortest
  }

  private var longest: Duration { shortest * Self.longest }

  /// A link broke, or could not be made: how long to wait, twice as long each time unless it has lasted.
  mutating func begin(_ display: PeerName, lifetime: Duration) -> Duration {
    let before = lifetime >= longest ? nil : entries[display]?.wait
    let wait = before.map { min($0 * 2, longest) } ?? shortest
    entries[display] = Entry(wait: wait, isWaiting: true)
    return wait
  }

  /// The time is over.
  mutating func end(_ display: PeerName) { entries[display]?.isWaiting = false }

  /// The display has left.
  mutating func forget(_ display: PeerName) { entries[display] = nil }

  /// Whether a new link may be made.
  func mayOpen(_ display: PeerName) -> Bool { entries[display]?.isWaiting != true }
}
