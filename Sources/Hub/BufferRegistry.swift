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
      leases: UInt32(clamping: leases), images: sharing.images)
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

  /// By id; of those of several owners, the first.
  private var registered: [BufferID: BufferEntry] = [:]
  /// The others of an id that several owners have, in order of registration.
  private var namesakes: [BufferID: [BufferEntry]] = [:]
  /// Those registered, by owner.
  private var owned: [Party: [BufferID: BufferEntry]] = [:]
  private var tallies: [Party: Tally] = [:]
  /// All, those included that their owners took back and that are still held; the same ids may be there again.
  private(set) var order = OrderedEntries()
  /// Whether a grant lets somebody use a buffer.
  var isGranted: (BufferEntry) -> Bool = { _ in false }

  var all: [BufferEntry] { order.all }

  /// An owner's buffer that it has not taken back.
  func find(_ id: BufferID, of owner: Party) -> BufferEntry? { owned[owner]?[id] }

  /// A buffer of that id that its owner has not taken back; of those of several owners, the first that fits.
  func find(_ id: BufferID, where fits: (BufferEntry) -> Bool = { _ in true }) -> BufferEntry? {
    guard let first = registered[id] else { return nil }
    return fits(first) ? first : namesakes[id]?.first(where: fits)
  }

  /// Those of an owner that it has not taken back.
  func entries(of owner: Party) -> [BufferEntry] { owned[owner].map { Array($0.values) } ?? [] }
  /// What an owner has here, in constant time.
  func tally(of owner: Party) -> Tally { tallies[owner] ?? Tally() }

  /// Takes a buffer under an id that its owner does not use. Others may: that they do is nobody's business.
  func register(_ entry: BufferEntry) throws(Refusal) {
    guard find(entry.id, of: entry.owner) == nil else {
      throw Refusal(.badBuffer, reason: "buffer id \(entry.id) is in use by its owner")
    }
    if registered[entry.id] == nil {
      registered[entry.id] = entry
    } else {
      namesakes[entry.id, default: []].append(entry)
    }
    owned[entry.owner, default: [:]][entry.id] = entry
    entry.place = order.append(entry)
    tallies[entry.owner, default: Tally()].add(entry)
  }

  /// Its owner has taken it back, or died.
  func retire(_ entry: BufferEntry, isOrphan: Bool) {
    guard (try? entry.life.move(.retire)) != nil else { return }
    forget(entry)
    owned[entry.owner]?[entry.id] = nil
    if owned[entry.owner]?.isEmpty ?? false { owned[entry.owner] = nil }
    entry.dropDescriptors()
    if isOrphan {
      entry.isOrphan = true
      tallies[entry.owner, default: Tally()].addOrphan(entry)
    }
    if entry.life == .freed { free(entry) }
  }

  /// Another of the same id takes its place.
  private func forget(_ entry: BufferEntry) {
    var others = namesakes[entry.id] ?? []
    if registered[entry.id] === entry {
      registered[entry.id] = others.isEmpty ? nil : others.removeFirst()
    } else {
      others.removeAll { $0 === entry }
    }
    namesakes[entry.id] = others.isEmpty ? nil : others
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
