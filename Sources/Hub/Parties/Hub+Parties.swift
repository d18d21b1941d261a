import Buffers
import Glibc
import HubProtocol
import Platform

// What parties may do with each other's buffers (protocol.md section 8).
extension Hub {
  /// Who may connect under which name.
  func identityRefusal(of hello: Hello, _ credentials: UnixSocket.PeerCredentials?) -> Refusal? {
    let user = credentials.map { "user \($0.uid)" } ?? "an unknown user"
    if hello.role == .application, let owner = configuration.applications[hello.name]?.user {
      return owner == credentials?.uid
        ? nil : Refusal(.notPermitted, reason: "application \(hello.name) is another user's, not of \(user)")
    }
    return configuration.admits(credentials)
      ? nil : Refusal(.notPermitted, reason: "\(user) may not be \(hello.role) \(hello.name)")
  }

  /// What `party` may do with a buffer; nil: it must not know of it.
  func access(of party: Party, to entry: BufferEntry) -> BufferAccess? {
    guard !entry.isRetired, let most = entry.offeredAccess, sees(party, entry) else { return nil }
    let granted =
      entry.owner == party
      ? .readWrite : grants.access(of: party, to: entry.id, named: entry.sharing.name, of: entry.owner)
    guard let access = granted.map({ min($0, most) }) else { return nil }
    return entry.canBeAcquired(for: access, by: party) ? access : nil
  }

  /// How a VM that may read a buffer gets its pixels into its guest; nil for other parties, whose descriptors say it all.
  func form(of party: Party, reading entry: BufferEntry) -> ReadForm? {
    guard party.kind == .vm, entry.owner != party else { return nil }
    guard entry.memory.kind != .ranges else { return .shadow }
    let form = grants.form(for: party, reading: entry.id, named: entry.sharing.name, of: entry.owner)
    let isPossible = form != .shared || entry.memory.kind == .dmaBuf || entry.sharing.writable != nil
    return self.form(of: party, asked: isPossible ? form : nil)
  }

  private func form(of party: Party, asked form: ReadForm?) -> ReadForm? {
    guard party.kind == .vm else { return nil }
    return form ?? (machines[party.name]?.mapsReadOnly ?? false ? .readOnly : .shadow)
  }

  /// The buffer that `party` means by a key, and what it may do with it; nil: it must not know of one.
  func find(_ key: BufferKey, for party: Party) -> (entry: BufferEntry, access: BufferAccess)? {
    let entry = shared.find(key, for: party) { access(of: party, to: $0) != nil }
    return entry.flatMap { entry in access(of: party, to: entry).map { (entry, $0) } }
  }

  /// What a party can use, as far as `asker` may know it: all of these.
  func constraints(of party: Party, for asker: Party) -> [Constraints] {
    guard party == asker || grants.isAny(from: asker, to: party) else { return [.unstated] }
    let stated =
      party.kind == .display
      ? [displays[party.name]?.constraints].compactMap(\.self) : endpoints[party].compactMap(\.constraints)
    return stated.isEmpty ? [.unstated] : stated
  }

  // MARK: Buffers

  /// How many buffers a party has, over all its connections: programs in a guest share their VM's room.
  func bufferCount(of party: Party) -> Int {
    endpoints[party].reduce(0) { $0 + $1.offers.count + $1.otherBufferCount() }
  }

  /// A buffer was offered.
  func offered(_ entry: BufferEntry) {
    shareIfGranted(entry)
    shared.add(entry)
  }

  private func shareIfGranted(_ entry: BufferEntry) {
    if grants.covers(entry.id, named: entry.sharing.name, of: entry.owner) { registry.share(entry) }
  }

  /// A party has left: its buffers are retired already.
  func forget(_ endpoint: PartyEndpoint) {
    for (acquisition, _) in endpoint.waiting { shared.stopWaiting(endpoint, for: acquisition.key) }
    endpoint.waiting.removeAll()
    endpoints.remove(endpoint)
    accounts.forgetIfEmpty(endpoint.party)
  }

  // MARK: Grants

  /// A grant that the configuration gives.
  func addConfigured(_ grant: GrantRequest) {
    guard let owner = grant.owner else { return }
    _ = try? grants.add(
      owner: owner, to: grant.grantee, object: grant.object, access: grant.access, form: grant.form,
      isConfigured: true)
  }

  /// Answers GRANT, REVOKE and GRANTS of a party, or of a control program (nil).
  func answerGrants(
    _ message: ApplicationMessage, _ serial: UInt64, from peer: Peer, as party: Party?
  ) throws(Refusal) {
    switch message {
    case .grant(let request):
      let grant = try self.grant(request, by: party)
      _ = peer.send(.application(.accepted(grant.id)), serial: serial)
    case .revoke(let id):
      try revoke(id, by: party)
      _ = peer.send(.application(.accepted(nil)), serial: serial)
    case .grants(let cursor): try listGrants(from: cursor, serial, to: peer, as: party)
    default: throw Refusal(.notPermitted, reason: "not a message to the hub")
    }
  }

  private func grant(_ request: GrantRequest, by party: Party?) throws(Refusal) -> GrantRecord {
    guard let owner = request.owner ?? party else { throw Refusal(.malformed, reason: "a grant without an owner") }
    guard party == nil || party == owner else { throw .noSuchBuffer }
    switch request.object {
    case .id(let id): guard registry.find(id, of: owner) != nil else { throw .noSuchBuffer }
    case .scanout: guard owner.kind == .vm else { throw .noSuchScreen }
    case .name, .everything: break
    }
    let grant = try grants.add(
      owner: owner, to: request.grantee, object: request.object, access: request.access, form: request.form)
    granted(grant)
    return grant
  }

  private func granted(_ grant: GrantRecord) {
    for entry in entries(of: grant) { registry.share(entry) }
    for endpoint in endpoints[grant.grantee] {
      endpoint.noteRevoked(grant)
      endpoint.noteGranted(grant)
    }
  }

  /// Those of a grant's buffers that are there.
  private func entries(of grant: GrantRecord) -> [BufferEntry] {
    switch grant.object {
    case .id(let id): [registry.find(id, of: grant.owner)].compactMap { $0 }
    case .name(let name): [shared.find(name, of: grant.owner)].compactMap { $0 }
    case .everything: registry.entries(of: grant.owner)
    case .scanout: []
    }
  }

  private func revoke(_ id: GrantID, by party: Party?) throws(Refusal) {
    guard let grant = grants[id], !grant.isConfigured, party == nil || party == grant.owner else {
      throw Refusal(.notFound, reason: "no such grant")
    }
    remove(grant)
  }

  private func remove(_ grant: GrantRecord) {
    guard grants.remove(grant.id) != nil else { return }
    for endpoint in endpoints[grant.grantee] { endpoint.noteRevoked(grant) }
    endViewers(by: grant)
    for entry in entries(of: grant) where !grants.covers(entry.id, named: entry.sharing.name, of: entry.owner) {
      registry.unshare(entry)
    }
  }

  /// Whether grants still let a holder have what it has.
  func allows(_ lease: Lease) -> Bool {
    guard let access = access(of: lease.holder.party, to: lease.entry), access >= lease.access else { return false }
    guard let former = lease.form, access == .read else { return true }
    return form(of: lease.holder.party, reading: lease.entry).map { $0 >= former } ?? true
  }

  /// The grants for one buffer end with it.
  func removeGrants(for entry: BufferEntry) {
    for id in grants.grants(for: entry.id, of: entry.owner) { _ = grants.remove(id) }
  }

  private func listGrants(
    from cursor: UInt64, _ serial: UInt64, to peer: Peer, as party: Party?
  ) throws(Refusal) {
    try peer.beginPage()
    let wanted = grants.all.filter { grant in
      grant.id.rawValue > cursor && (party == nil || grant.owner == party || grant.grantee == party)
    }
    let room = Wire.maximumPacketByteCount - Message.application(.queryEnd(count: 0, next: 0)).byteCount
    let page = wanted.prefix(room / 264)
    for var grant in page {
      grant.form = grant.access == .read ? grant.object.form ?? form(of: grant.grantee, asked: grant.form) : nil
      _ = peer.send(.application(.grantRecord(grant)), serial: serial)
    }
    let next = page.count < wanted.count ? page.last?.id.rawValue ?? 0 : 0
    _ = peer.send(.application(.queryEnd(count: UInt32(page.count), next: next)), serial: serial)
  }
}

extension GrantObject {
  /// How it is read, whatever a grant says: of a screen each VM has a picture of its own.
  fileprivate var form: ReadForm? {
    if case .scanout = self { .shadow } else { nil }
  }
}

extension PartyEndpoint {
  /// A grant was given: what waits may be there, what was to be released may be kept.
  func noteGranted(_ grant: GrantRecord) {
    for lease in leases.values where lease.entry.owner == grant.owner && !lease.entry.isRetired {
      guard hub.allows(lease) else { continue }
      deadlines.end(lease.entry.id)
      lease.noteRenewed()
    }
    if !waiting.isEmpty { retry() }
  }
}
