import HubProtocol
import Platform

// Programs in guests (protocol.md section 13): they reach the hub through their VM's graphics card.
extension Hub {
  /// The most programs of one VM at a time.
  static let maximumGuestPrograms = 32

  /// Lets a guest's program in: nobody but the process that is the VM's producer speaks for the VM.
  func guest(_ hello: Hello, _ peer: Peer) throws(Refusal) -> ApplicationSession {
    guard let producer = machines[hello.name]?.producer, producer.peer.isSameProcess(as: peer) else {
      throw Refusal(.notPermitted, reason: "only the graphics card of VM \(hello.name) speaks for its guest")
    }
    guard producer.guests.count < Self.maximumGuestPrograms else {
      throw Refusal(.limit, reason: "more than \(Self.maximumGuestPrograms) programs of VM \(hello.name)")
    }
    let endpoint = PartyEndpoint(producer.endpoint.party, peer: peer, hub: self)
    endpoints.add(endpoint)
    let session = ApplicationSession(hello, endpoint: endpoint) { [weak producer] session in
      producer?.guests.removeAll { $0 === session }
    }
    producer.guests.append(session)
    return session
  }
}
