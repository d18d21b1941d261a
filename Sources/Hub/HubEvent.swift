import HubProtocol
import Platform

/// What happens in a hub, for its process to log.
public enum HubEvent: Sendable {
  /// A peer said HELLO and was let in.
  case joined(Hello, UnixSocket.PeerCredentials?)
  /// A connection is over; without a hello it was never let in.
  case left(Hello?, UnixSocket.PeerCredentials?, reason: String)
  /// A connection was turned away before it could say anything.
  case turnedAway(UnixSocket.PeerCredentials?, reason: String)
  /// A VM that had left was forgotten.
  case forgotten(PeerName)
}
