import HubProtocol
import Platform

// Programs in guests (protocol.md section 13): they reach the hub through their VM's graphics card.
extension Hub {
  /// The most programs of one VM at a time.
  static let maximumGuestPrograms = 32

  /// Lets a guest's program in: nobody but the process that is the VM's producer speaks for the VM.
  func guest(_ hello: Hello, _ peer: Peer) throws(Refusal) -> GuestSession {
    guard let producer = machines[hello.name]?.producer, producer.peer.isSameProcess(as: peer) else {
      throw Refusal(.notPermitted, reason: "only the graphics card of VM \(hello.name) speaks for its guest")
    }
    guard producer.guests.count < Self.maximumGuestPrograms else {
      throw Refusal(.limit, reason: "more than \(Self.maximumGuestPrograms) programs of VM \(hello.name)")
    }
    let endpoint = PartyEndpoint(producer.endpoint.party, peer: peer, hub: self)
    endpoints.add(endpoint)
    let session = GuestSession(hello, endpoint: endpoint, producer: producer)
    producer.guests.append(session)
    return session
  }
}

/// A guest program's connection: it offers and acquires in the name of its VM, and ends with its graphics card.
final class GuestSession: Session {
  let hello: Hello
  let endpoint: PartyEndpoint
  private weak var producer: ProducerSession?

  init(_ hello: Hello, endpoint: PartyEndpoint, producer: ProducerSession) {
    self.hello = hello
    self.endpoint = endpoint
    self.producer = producer
  }

  func received(
    _ message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) throws(Refusal) {
    guard case .application(let message) = message else {
      throw Refusal(.notPermitted, reason: "not a guest program's message")
    }
    try endpoint.received(message, serial: serial, descriptor: descriptor)
  }

  func pump() throws(Refusal) { try endpoint.pump() }

  func ended() {
    endpoint.ended()
    producer?.guests.removeAll { $0 === self }
  }
}
