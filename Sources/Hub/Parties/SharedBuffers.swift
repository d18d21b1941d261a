import Buffers
import HubProtocol
import Platform

/// Which buffer has which name, and who waits for one that is not there yet.
final class SharedBuffers {
  private struct Name: Hashable {
    let owner: Party
    let name: PeerName
  }

  private let registry: BufferRegistry
  private let accounts: PartyAccounts
  private var names: [Name: BufferEntry] = [:]
  private var waiting: [Name: [PartyEndpoint]] = [:]
  private var lastLease: UInt32 = 0

  init(registry: BufferRegistry, accounts: PartyAccounts) {
    self.registry = registry
    self.accounts = accounts
  }

  /// A number for one more lease, not 0.
  func nextLease() -> UInt32 {
    lastLease &+= 1
    if lastLease == 0 { lastLease = 1 }
    return lastLease
  }

  /// An owner's buffer of that name that it has not taken back.
  func find(_ name: PeerName, of owner: Party) -> BufferEntry? { names[Name(owner: owner, name: name)] }

  /// A buffer that `party` means by a key: of several of one id its own, else the first that it may use.
  func find(_ key: BufferKey, for party: Party, where isUsable: (BufferEntry) -> Bool) -> BufferEntry? {
    switch key {
    case .id(let id): registry.find(id, of: party) ?? registry.find(id, where: isUsable)
    case .name(let name, let owner): find(name, of: owner)
    }
  }

  // MARK: Offers

  /// Checks what an offer brings and charges it to its owner.
  func entry(
    _ offer: BufferOffer, of endpoint: PartyEndpoint, _ descriptor: consuming FileDescriptor
  ) throws(Refusal) -> BufferEntry {
    let given = SharedDescriptor(descriptor)
    let readable = try Self.readable(offer, given)
    guard offer.memory.kind != .ranges || !offer.isWritable else {
      throw Refusal(.badBuffer, reason: "ranges cannot be granted for writing")
    }
    let checked = try CheckedMemory(offer.memory, of: offer.buffer.layout, readable, in: endpoint.memories)
    guard ImageChain(count: offer.images, byteCount: offer.memory.byteCount, layout: offer.buffer.layout) != nil else {
      throw Refusal(.badBuffer, reason: "the memory is not \(offer.images) equal shares of whole pages for its layout")
    }
    guard let file = FileIdentity(of: given.raw) else { throw Refusal(.badBuffer, reason: "not a file") }
    // A VM charges itself and reports it (VM_LEDGER).
    let charge =
      endpoint.party.kind == .vm
      ? nil : try accounts.charge(file, byteCount: Int(clamping: checked.byteCount), to: endpoint.party)
    let sharing = BufferSharing(
      name: offer.name, properties: offer.properties, writable: offer.canWrite ? given : nil,
      isWritable: offer.isWritable, images: offer.images)
    return BufferEntry(
      offer.buffer, offer.memory, checked, owner: endpoint.party, endpoint: endpoint, sharing: sharing, charge: charge)
  }

  /// A descriptor for readers: of a file, one that cannot write.
  private static func readable(_ offer: BufferOffer, _ given: SharedDescriptor) throws(Refusal) -> FileDescriptor {
    do throws(SystemError) {
      guard offer.memory.kind == .file, offer.canWrite else { return try FileDescriptor(duplicating: given.raw) }
      guard SharedMemory.canWrite(given.raw) else { throw SystemError(call: "WRITABLE", code: 1) }
      return try SharedMemory.reopenReadOnly(given.raw)
    } catch {
      throw Refusal(.badBuffer, reason: "the descriptor cannot be written, or not be opened for readers (\(error))")
    }
  }

  /// The buffer can be found from now on; those who wait for its name may try again.
  func add(_ entry: BufferEntry) {
    guard let name = entry.sharing.name else { return }
    let key = Name(owner: entry.owner, name: name)
    names[key] = entry
    for endpoint in waiting[key] ?? [] { endpoint.retry() }
  }

  /// Its owner has taken it back.
  func remove(_ entry: BufferEntry) {
    guard let name = entry.sharing.name else { return }
    let key = Name(owner: entry.owner, name: name)
    if names[key] === entry { names[key] = nil }
  }

  // MARK: Waiting

  func wait(_ endpoint: PartyEndpoint, for key: BufferKey) {
    guard case .name(let name, let owner) = key else { return }
    waiting[Name(owner: owner, name: name), default: []].append(endpoint)
  }

  func stopWaiting(_ endpoint: PartyEndpoint, for key: BufferKey) {
    guard case .name(let name, let owner) = key,
      let index = waiting[Name(owner: owner, name: name)]?
        .firstIndex(where: { $0 === endpoint })
    else { return }
    waiting[Name(owner: owner, name: name)]?.remove(at: index)
    if waiting[Name(owner: owner, name: name)]?.isEmpty ?? false { waiting[Name(owner: owner, name: name)] = nil }
  }
}

extension BufferOffer {
  /// Whether its descriptor is to be one that can write.
  fileprivate var canWrite: Bool { isWritable || isShareable && memory.kind == .file }
}
