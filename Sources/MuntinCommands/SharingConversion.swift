import Buffers
import Hub
import HubProtocol
import Supervisor

extension Hub.Configuration {
  /// What a configuration says about the hub.
  init(_ configuration: Configuration) {
    self.init(layout: Layout(configuration))
    if let limit = configuration.leaseLimit { leaseLimit = .milliseconds(Int64((limit * 1000).rounded())) }
    for program in configuration.applications {
      guard let name = PeerName(program.name) else { continue }
      var limits = LedgerAmounts.usualApplicationLimits
      if let limit = program.memoryLimit { limits.hostAllocated = limit }
      applications[name] = .init(user: program.user, limits: limits)
    }
    for machine in configuration.machines where !machine.seesMemoryOf.isEmpty {
      guard let name = PeerName(machine.name) else { continue }
      memoryReaders[name] = Set(machine.seesMemoryOf.compactMap { PeerName($0) })
    }
    grants = configuration.grants.compactMap { GrantRequest($0) }
  }
}

extension GrantRequest {
  fileprivate init?(_ grant: Configuration.Grant) {
    guard let owner = HubProtocol.Party(grant.owner), let grantee = HubProtocol.Party(grant.grantee) else { return nil }
    let named = grant.buffer.flatMap { PeerName($0) }.map { GrantObject.name($0) }
    let screen = grant.display.map { GrantObject.scanout(ScanoutIndex($0)) }
    self.init(
      owner: owner, to: grantee, object: screen ?? named ?? .everything,
      access: grant.access == .readWrite ? .readWrite : .read,
      form: grant.form.map { $0 == .shared ? .shared : .shadow })
  }
}

extension HubProtocol.Party {
  fileprivate init?(_ party: Configuration.Party) {
    guard let name = PeerName(party.name) else { return nil }
    switch party.kind {
    case .vm: self.init(.vm, name)
    case .application: self.init(.application, name)
    case .display: self.init(.display, name)
    }
  }
}
