import HubProtocol

/// Who is connected. A VM has one end for its graphics card and one for each program in the guest that takes part; any
/// other party has one.
struct PartyEndpoints {
  private var endpoints: [Party: [PartyEndpoint]] = [:]

  /// Those of a party, in the order in which they came.
  subscript(party: Party) -> [PartyEndpoint] { endpoints[party] ?? [] }

  mutating func add(_ endpoint: PartyEndpoint) { endpoints[endpoint.party, default: []].append(endpoint) }

  mutating func remove(_ endpoint: PartyEndpoint) {
    let others = self[endpoint.party].filter { $0 !== endpoint }
    endpoints[endpoint.party] = others.isEmpty ? nil : others
  }
}
