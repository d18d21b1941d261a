import Buffers
import HubProtocol
import Platform

/// A buffer in its life (protocol.md section 7), whoever owns it.
final class BufferEntry {
  let description: BufferDescription
  let memory: MemoryDescription
  let owner: Party
  let bytes: UInt64
  /// The VM's memory files that its ranges are in, and what consumers know them by.
  let files: [MemoryEntry]
  /// What it is to others than its owner.
  let sharing: BufferSharing
  /// Told what becomes of the buffer; nil once its owner has left.
  private(set) weak var ownerEndpoint: PartyEndpoint?
  /// Nil once retired: nobody new gets it.
  private(set) var descriptor: SharedDescriptor?
  fileprivate(set) var life = BufferLife.registered
  /// Whether its owner has left.
  fileprivate(set) var isOrphan = false
  fileprivate var place: UInt64 = 0
  /// Held until the buffer is freed.
  private let charge: PartyAccounts.FileCharge?

  init(
    _ description: BufferDescription, _ memory: MemoryDescription, _ checked: CheckedMemory, owner: Party,
    endpoint: PartyEndpoint, sharing: BufferSharing = BufferSharing(), charge: PartyAccounts.FileCharge? = nil
  ) {
    self.description = description
    self.memory = memory
    self.owner = owner
    self.sharing = sharing
    self.charge = charge
    ownerEndpoint = endpoint
    bytes = checked.byteCount
    files = checked.files
    descriptor = checked.descriptor
  }

  var space: MemorySpace? { files.first?.key.space }

  var id: BufferID { description.id }
  var isRetired: Bool { life.isRetired }
  var leases: Int { life.leases }

  fileprivate func dropDescriptors() {
    descriptor = nil
    sharing.retire()
  }

  var state: BufferRecord.State {
    switch life {
    case .registered: .registered
    case .shared: .shared
    case .inUse: .leased
    case .retired, .freed: .retired
    }
  }

  var record: BufferRecord {
    BufferRecord(
      buffer: description, memory: memory, owner: owner, name: sharing.name, bytes: bytes, state: state,
      leases: UInt32(clamping: leases))
  }
}

/// Every buffer that is not freed.
final class BufferRegistry {
  /// What an owner has here.
  struct Tally {
    var buffers = 0
    var bytes: UInt64 = 0
    /// Of those whose owner has left: host memory, and a guest's own.
    var orphanHost: UInt64 = 0, orphanGuest: UInt64 = 0
  }

  private var registered: [BufferID: BufferEntry] = [:]
  /// Those registered, by owner.
  private var owned: [Party: [BufferID: BufferEntry]] = [:]
  private var tallies: [Party: Tally] = [:]
  /// All, those included that their owners took back and that are still held; the same ids may be there again.
  private(set) var order = OrderedEntries()
  /// Whether a grant lets somebody use a buffer.
  var isGranted: (BufferEntry) -> Bool = { _ in false }

  var all: [BufferEntry] { order.all }

  /// A buffer that its owner has not taken back.
  func find(_ id: BufferID) -> BufferEntry? { registered[id] }
  /// Those of an owner that it has not taken back.
  func entries(of owner: Party) -> [BufferEntry] { owned[owner].map { Array($0.values) } ?? [] }
  /// What an owner has here, in constant time.
  func tally(of owner: Party) -> Tally { tallies[owner] ?? Tally() }

  /// Takes a buffer under an id that is free.
  func register(_ entry: BufferEntry) throws(Refusal) {
    guard registered[entry.id] == nil else {
      throw Refusal(.badBuffer, reason: "buffer id \(entry.id) is in use")
    }
    registered[entry.id] = entry
    owned[entry.owner, default: [:]][entry.id] = entry
    entry.place = order.append(entry)
    tallies[entry.owner, default: Tally()].add(entry)
  }

  /// Its owner has taken it back, or died.
  func retire(_ entry: BufferEntry, isOrphan: Bool) {
    guard (try? entry.life.move(.retire)) != nil else { return }
    registered[entry.id] = nil
    owned[entry.owner]?[entry.id] = nil
    if owned[entry.owner]?.isEmpty ?? false { owned[entry.owner] = nil }
    entry.dropDescriptors()
    if isOrphan {
      entry.isOrphan = true
      tallies[entry.owner, default: Tally()].addOrphan(entry)
    }
    if entry.life == .freed { free(entry) }
  }

  private func free(_ entry: BufferEntry) {
    order.remove(entry.place)
    tallies[entry.owner]?.remove(entry)
    if tallies[entry.owner]?.buffers == 0 { tallies[entry.owner] = nil }
    entry.ownerEndpoint?.noteFreed(entry.id)
  }

  /// Others may use it from now on.
  func share(_ entry: BufferEntry) { _ = try? entry.life.move(.share) }
  /// Nobody new may use it; leases go on.
  func unshare(_ entry: BufferEntry) { _ = try? entry.life.move(.unshare) }

  /// Somebody begins to read it; false when its life does not allow that.
  @discardableResult
  func lease(_ entry: BufferEntry) -> Bool {
    share(entry)
    return (try? entry.life.move(.lease)) != nil
  }

  /// Somebody has stopped reading it.
  func endLease(_ entry: BufferEntry) {
    guard (try? entry.life.move(.endLease)) != nil else { return }
    switch entry.life {
    case .freed: free(entry)
    case .shared where !isGranted(entry): unshare(entry)
    default: break
    }
  }
}

extension BufferRegistry.Tally {
  fileprivate mutating func add(_ entry: BufferEntry) {
    buffers += 1
    bytes &+= entry.bytes
  }

  fileprivate mutating func addOrphan(_ entry: BufferEntry) {
    if entry.memory.side == .host { orphanHost &+= entry.bytes } else { orphanGuest &+= entry.bytes }
  }

  fileprivate mutating func remove(_ entry: BufferEntry) {
    buffers -= 1
    bytes &-= entry.bytes
    guard entry.isOrphan else { return }
    if entry.memory.side == .host { orphanHost &-= entry.bytes } else { orphanGuest &-= entry.bytes }
  }
}
