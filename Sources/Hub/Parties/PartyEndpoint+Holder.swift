import Buffers
import HubProtocol
import Platform

// What a party does with others' buffers.
extension PartyEndpoint {
  func acquire(_ acquisition: Acquisition, _ serial: UInt64) throws(Refusal) {
    if let entry = available(acquisition) { return try acquire(entry, acquisition, serial) }
    if let refusal = refusalToSee(acquisition.key) { throw refusal }
    guard acquisition.waits else { throw .noSuchBuffer }
    guard waiting.count < Self.maximumWaiting else {
      throw .overLimit("more than \(Self.maximumWaiting) acquisitions wait")
    }
    waiting.append((acquisition, serial))
    hub.shared.wait(self, for: acquisition.key)
  }

  /// The buffer, if this party may have it so.
  private func available(_ acquisition: Acquisition) -> BufferEntry? {
    guard let (entry, access) = find(acquisition.key), access >= acquisition.access,
      entry.canBeAcquired(for: acquisition.access, by: party), leases[entry.id].map({ $0.entry === entry }) ?? true
    else { return nil }
    return entry
  }

  private func acquire(_ entry: BufferEntry, _ acquisition: Acquisition, _ serial: UInt64) throws(Refusal) {
    let form = acquisition.access == .read ? hub.form(of: party, reading: entry) : nil
    if let lease = leases[entry.id] {
      renew(lease, acquisition)
    } else {
      try begin(entry, acquisition)
    }
    leases[entry.id]?.note(form)
    let info = entry.info(access: acquisition.access, form: form)
    guard sendFiles(of: entry, serial: serial),
      send(.acquired(info), serial: serial, descriptor: entry.descriptor(for: acquisition.access, form))
    else {
      throw Refusal(.limit, reason: "answers are not read")
    }
  }

  private func begin(_ entry: BufferEntry, _ acquisition: Acquisition) throws(Refusal) {
    guard leases.count < Self.maximumLeases else { throw .overLimit("more than \(Self.maximumLeases) leases") }
    let limit = party.kind == .vm ? hub.machines[party.name]?.report?.limits.imported : nil
    let charge = try hub.accounts.importing(Int(clamping: entry.memory.byteCount), by: party, limit: limit)
    guard hub.registry.lease(entry) else { throw .noSuchBuffer }
    let lease = Lease(hub.shared.nextLease(), of: entry, for: self, acquisition, charge: charge)
    leases[entry.id] = lease
    entry.sharing.add(lease)
    if acquisition.wantsUpdates { noteNewReader(lease) }
  }

  /// The same buffer is asked for again, for other access or with other flags.
  private func renew(_ lease: Lease, _ acquisition: Acquisition) {
    // What it got before, it may still have: a right that ends is missed for as long as the lease lasts.
    lease.access = max(lease.access, acquisition.access)
    let (entry, owner) = (lease.entry, lease.entry.ownerEndpoint)
    lease.set(keeps: acquisition.keeps)
    if entry.sharing.set(lease, wantsUpdates: acquisition.wantsUpdates), acquisition.wantsUpdates {
      noteNewReader(lease)
    }
    owner?.list(entry)
  }

  /// A reader waits for its first picture: of several images the newest, of one image what its owner says next.
  private func noteNewReader(_ lease: Lease) {
    if !lease.noteNewest() { lease.entry.ownerEndpoint?.noteWanted(lease.entry) }
  }

  func release(_ id: BufferID) {
    guard let lease = leases[id] else { return }
    end(lease)
    if !waiting.isEmpty { retry() }
  }

  func end(_ lease: Lease) {
    let entry = lease.entry
    leases[entry.id] = nil
    deadlines.end(entry.id)
    if lease.isListed { changed.removeAll { $0 === lease } }
    if entry.sharing.remove(lease) { entry.ownerEndpoint?.list(entry) }
    hub.registry.endLease(entry)
  }

  func done(_ id: BufferID, _ generation: UInt64, _ fence: SharedDescriptor?) {
    guard let lease = leases[id], lease.wantsUpdates, lease.note(done: generation, fence) else { return }
    lease.entry.ownerEndpoint?.list(lease.entry)
  }

  // MARK: Letting go

  func noteRetired(_ lease: Lease) {
    deadlines.start(lease.entry.id)
    lease.noteRetired()
  }

  /// A grant has gone: what it alone allowed is to be released.
  func noteRevoked(_ grant: GrantRecord) {
    for lease in leases.values where lease.entry.owner == grant.owner && !lease.entry.isRetired {
      guard !hub.allows(lease) else { continue }
      deadlines.start(lease.entry.id)
      lease.noteRevoked()
    }
  }

  /// Buffers were not released in time: this connection ends, its leases with it.
  func expire(_ ids: [BufferID]) {
    for id in ids {
      if let entry = leases[id]?.entry { entry.ownerEndpoint?.noteRevoked(id) }
    }
    peer.fail(Refusal(.revoked, reason: "a buffer was not released in time"))
  }

  // MARK: Telling

  func list(_ lease: Lease) {
    if !lease.isListed {
      lease.isListed = true
      changed.append(lease)
    }
    hub.schedule(peer)
  }

  func tellHolder() -> Bool {
    for index in changed.indices {
      guard changed[index].tellHolder() else {
        changed.removeFirst(index)
        return false
      }
      changed[index].isListed = false
    }
    changed.removeAll(keepingCapacity: true)
    return true
  }

  // MARK: Waiting

  /// An acquisition that waits is taken back: the answer is that of one that did not wait.
  func cancel(_ serial: UInt64) throws(Refusal) {
    guard let index = waiting.firstIndex(where: { $0.serial == serial }) else { return }
    try peer.beginAnswer()
    hub.shared.stopWaiting(self, for: waiting.remove(at: index).acquisition.key)
    peer.decline(.noSuchBuffer, about: .acquire, serial: serial)
    peer.endAnswer()
  }

  /// Something for which an acquisition waits may be there.
  func retry() {
    mayRetry = true
    hub.schedule(peer)
  }

  func retryWaiting() throws(Refusal) {
    guard mayRetry else { return }
    mayRetry = false
    var index = 0
    while index < waiting.count {
      let (acquisition, serial) = waiting[index]
      let found = available(acquisition)
      let refusal = found == nil ? refusalToSee(acquisition.key) : nil
      guard found != nil || refusal != nil else {
        index += 1
        continue
      }
      guard peer.hasRoomForAnswer else {
        mayRetry = true
        return
      }
      waiting.remove(at: index)
      hub.shared.stopWaiting(self, for: acquisition.key)
      do throws(Refusal) {
        if let refusal { throw refusal }
        if let found { try acquire(found, acquisition, serial) }
      } catch {
        guard error.code.isDecline else { throw error }
        peer.decline(error, about: .acquire, serial: serial)
      }
    }
  }

  // MARK: Looking

  private func find(_ key: BufferKey) -> (entry: BufferEntry, access: BufferAccess)? {
    hub.find(key, for: party).flatMap { mayKnow($0.entry) ? $0 : nil }
  }

  /// Not of what its VM only shows, when a guest's program asks.
  private func mayKnow(_ entry: BufferEntry) -> Bool { !isGuest || entry.owner != party || entry.isOffered }

  /// A guest's program gives away what programs have offered.
  func mayGrant(_ grant: GrantRequest) -> Bool {
    guard isGuest else { return true }
    switch grant.object {
    case .id(let id): return hub.registry.find(id, of: party)?.isOffered ?? false
    case .name, .scanout: return true
    case .everything: return false
    }
  }

  func lookup(_ key: BufferKey, _ serial: UInt64) throws(Refusal) {
    guard let (entry, access) = find(key) else { throw .noSuchBuffer }
    _ = send(.bufferInfo(entry.info(access: access, form: hub.form(of: party, reading: entry))), serial: serial)
  }

  /// Entries that one request looks at.
  private static let queryWork = 2048

  func answer(_ query: BufferQuery, _ serial: UInt64) throws(Refusal) {
    try peer.beginPage()
    var room = Wire.maximumPacketByteCount - Message.application(.queryEnd(count: 0, next: 0)).byteCount
    var count: UInt32 = 0
    let next = hub.registry.order.walk(after: query.cursor, limit: Self.queryWork) { entry in
      guard !entry.isRetired, mayKnow(entry), let access = hub.access(of: party, to: entry), entry.fits(query, access),
        !query.isOwn || entry.owner == party
      else {
        return true
      }
      let info = entry.info(access: access, form: hub.form(of: party, reading: entry))
      let message = Message.application(.bufferInfo(info))
      guard message.byteCount <= room else { return false }
      room -= message.byteCount
      count += 1
      return peer.send(message, serial: serial)
    }
    _ = send(.queryEnd(count: count, next: next ?? 0), serial: serial)
  }
}
