import HubProtocol
import Platform

/// An application's connection: a party that is neither a VM nor a display (protocol.md section 8).
final class ApplicationSession: Session {
  let hello: Hello
  let endpoint: PartyEndpoint

  init(_ hello: Hello, endpoint: PartyEndpoint) {
    self.hello = hello
    self.endpoint = endpoint
  }

  func received(
    _ message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) throws(Refusal) {
    guard case .application(let message) = message else {
      throw Refusal(.notPermitted, reason: "not an application's message")
    }
    try endpoint.received(message, serial: serial, descriptor: descriptor)
  }

  func pump() throws(Refusal) { try endpoint.pump() }
  func ended() { endpoint.ended() }
}
