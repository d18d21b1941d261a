import HubProtocol
import Platform

/// The connection of a program: an application (protocol.md section 8), or a program in a guest, which speaks in the name of
/// its VM (section 13).
final class ApplicationSession: Session {
  let hello: Hello
  let endpoint: PartyEndpoint
  private let whenEnded: (ApplicationSession) -> Void

  init(_ hello: Hello, endpoint: PartyEndpoint, whenEnded: @escaping (ApplicationSession) -> Void = { _ in }) {
    self.hello = hello
    self.endpoint = endpoint
    self.whenEnded = whenEnded
  }

  func received(
    _ message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) throws(Refusal) {
    switch message {
    case .application(let message): try endpoint.received(message, serial: serial, descriptor: descriptor)
    case .memoryRegister(let memory, let byteCount) where hello.role == .guest:
      try endpoint.registerMemory(memory, byteCount: byteCount, descriptor)
    default: throw Refusal(.notPermitted, reason: "not a program's message")
    }
  }

  func pump() throws(Refusal) { try endpoint.pump() }

  func ended() {
    endpoint.ended()
    whenEnded(self)
  }
}
