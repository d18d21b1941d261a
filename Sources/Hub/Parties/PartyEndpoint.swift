import Buffers
import HubProtocol
import Platform

/// A connected party's end in the hub: what it offers, what it holds, what it asks (protocol.md section 8).
final class PartyEndpoint {
  /// The most buffers that a connection holds.
  static let maximumLeases = 1024
  /// The most acquisitions of a connection that wait.
  static let maximumWaiting = 16
  /// What its owner need not have read of buffers that it took back, before it counts as broken.
  static let maximumPartings = 4096

  let party: Party
  /// Whether a program in the VM's guest speaks, to whom what is on the VM's screens does not belong.
  let isGuest: Bool
  let peer: Peer
  unowned let hub: Hub
  /// What it can use; nil: it has not said.
  private(set) var constraints: Constraints?
  /// Until when it has to release what it was told to.
  let deadlines: LeaseDeadlines
  /// Buffers of the connection that were not offered here, for the limit.
  var otherBufferCount: () -> Int = { 0 }

  var offers: [BufferID: BufferEntry] = [:]
  /// The files of the VM's memory that offers are in.
  lazy var memories = ProducerMemories(space: hub.nextMemorySpace())
  var notices: [BufferEntry] = []
  var partings: [Parting] = []

  var leases: [BufferID: Lease] = [:]
  var changed: [Lease] = []
  var waiting: [(acquisition: Acquisition, serial: UInt64)] = []
  var mayRetry = false

  /// What the owner is told of a buffer that it has taken back, or lost control of.
  enum Parting {
    case freed(BufferID)
    case revoked(BufferID)
  }

  init(_ party: Party, isGuest: Bool = false, peer: Peer, hub: Hub) {
    self.party = party
    self.isGuest = isGuest
    self.peer = peer
    self.hub = hub
    deadlines = LeaseDeadlines(loop: hub.loop, limit: hub.configuration.leaseLimit)
    deadlines.expired = { [weak self] in self?.expire($0) }
  }

  func send(_ message: ApplicationMessage, serial: UInt64 = 0, descriptor: SharedDescriptor? = nil) -> Bool {
    peer.send(.application(message), serial: serial, descriptor: descriptor)
  }

  func received(
    _ message: ApplicationMessage, serial: UInt64, descriptor: consuming FileDescriptor?
  ) throws(Refusal) {
    switch message {
    case .update(let update): try self.update(update, fence(descriptor))
    case .done(let id, let generation): done(id, generation, try fence(descriptor))
    case .release(let id): release(id)
    case .cancel(let serial): try cancel(serial)
    default: try request(message, serial, descriptor)
    }
  }

  /// Whatever has exactly one answer.
  private func request(
    _ message: ApplicationMessage, _ serial: UInt64, _ descriptor: consuming FileDescriptor?
  ) throws(Refusal) {
    try peer.beginAnswer()
    switch message {
    case .offer(let offer): try self.offer(offer, serial, descriptor)
    case .withdraw(let id): try withdraw(id, serial)
    case .acquire(let acquisition): try acquire(acquisition, serial)
    case .lookup(let key): try lookup(key, serial)
    case .query(let query): try answer(query, serial)
    case .constraints(let constraints): try state(constraints, serial)
    case .requirements(let parties): try answerRequirements(of: parties, serial)
    case .screens(let cursor): try hub.listScreens(from: cursor, serial, to: peer, as: party)
    case .grant(let grant) where !mayGrant(grant): throw .noSuchBuffer
    case .grant, .revoke, .grants: try hub.answerGrants(message, serial, from: peer, as: party)
    default: throw Refusal(.notPermitted, reason: "not a message to the hub")
    }
    peer.endAnswer()
  }

  /// A descriptor that says when something is done.
  private func fence(_ descriptor: consuming FileDescriptor?) throws(Refusal) -> SharedDescriptor? {
    guard let descriptor else { return nil }
    guard FileIdentity.canBeFence(descriptor.raw) else {
      throw Refusal(.malformed, reason: "a fence of a kind that cannot be waited for")
    }
    return SharedDescriptor(descriptor)
  }

  func pump() throws(Refusal) {
    guard try tellOwner(), tellHolder() else { return }
    try retryWaiting()
  }

  func ended() {
    for entry in offers.values { hub.retire(entry, isOrphan: true) }
    offers.removeAll()
    notices.removeAll()
    partings.removeAll()
    for lease in Array(leases.values) { end(lease) }
    changed.removeAll()
    hub.forget(self)
  }

  // MARK: Constraints

  private func state(_ constraints: Constraints, _ serial: UInt64) throws(Refusal) {
    do throws(MergedConstraints.Disagreement) {
      _ = try MergedConstraints(constraints, of: party.briefly).resolved()
    } catch {
      throw Refusal(error)
    }
    self.constraints = constraints
    _ = send(.accepted(nil), serial: serial)
  }

  private func answerRequirements(of parties: [Party], _ serial: UInt64) throws(Refusal) {
    var merged = MergedConstraints()
    do throws(MergedConstraints.Disagreement) {
      for party in Set(parties) {
        for stated in hub.constraints(of: party, for: self.party) {
          merged = try merged.merging(MergedConstraints(stated, of: party.briefly))
        }
      }
      _ = send(.requirementsMerged(try merged.resolved()), serial: serial)
    } catch {
      throw Refusal(error)
    }
  }
}

extension Refusal {
  init(_ disagreement: MergedConstraints.Disagreement) {
    let (first, second) = (disagreement.first, disagreement.second)
    self.init(
      .disagreement, reason: "\(disagreement.aspect): \(first == second ? first : "\(first) and \(second)") disagree")
  }
}
