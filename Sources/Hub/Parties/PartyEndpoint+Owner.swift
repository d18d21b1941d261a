import Buffers
import HubProtocol
import Platform

// What a party does with its own buffers.
extension PartyEndpoint {
  func offer(
    _ offer: BufferOffer, _ serial: UInt64, _ descriptor: consuming FileDescriptor?
  ) throws(Refusal) {
    guard hub.bufferCount(of: party) < Wire.maximumBuffers else {
      throw .overLimit("more than \(Wire.maximumBuffers) buffers")
    }
    guard let descriptor else { throw Refusal(.malformed, reason: "no descriptor") }
    if let name = offer.name, hub.shared.find(name, of: party) != nil {
      throw Refusal(.nameTaken, reason: "there is a buffer of that name already")
    }
    try checkReaders(of: offer)
    let entry = try hub.shared.entry(offer, of: self, descriptor)
    try hub.registry.register(entry)
    offers[entry.id] = entry
    hub.offered(entry)
    _ = send(.accepted(nil), serial: serial)
  }

  func withdraw(_ id: BufferID, _ serial: UInt64) throws(Refusal) {
    guard let entry = offers.removeValue(forKey: id) else { throw .noSuchBuffer }
    _ = send(.accepted(nil), serial: serial)
    hub.retire(entry, isOrphan: false)
  }

  func update(_ update: BufferUpdate, _ fence: SharedDescriptor?) throws(Refusal) {
    guard let entry = offers[update.id] else {
      throw Refusal(.unknownObject, reason: "buffer \(update.id) is not offered")
    }
    guard update.generation > entry.sharing.generation else {
      throw Refusal(.malformed, reason: "the generation does not rise")
    }
    let damage = update.damage.intersection(entry.wholePicture)
    if entry.sharing.note(damage, generation: update.generation, fence) { list(entry) }
  }

  /// A new reader waits for a whole picture. What is registered only to be shown has no updates.
  func noteWanted(_ entry: BufferEntry) {
    guard offers[entry.id] === entry else { return }
    entry.sharing.noteWanted()
    list(entry)
  }

  /// Puts a buffer on the list of those about which its owner is to be told something.
  func list(_ entry: BufferEntry) {
    guard !entry.isRetired else { return }
    if !entry.sharing.isListed {
      entry.sharing.isListed = true
      notices.append(entry)
    }
    hub.schedule(peer)
  }

  /// Nobody holds a buffer any more that was taken back.
  func noteFreed(_ id: BufferID) {
    partings.append(.freed(id))
    hub.schedule(peer)
  }

  /// Somebody did not let go of a buffer in time.
  func noteRevoked(_ id: BufferID) {
    partings.append(.revoked(id))
    hub.schedule(peer)
  }

  func tellOwner() throws(Refusal) -> Bool {
    try tellPartings() && tellNotices()
  }

  private func tellNotices() -> Bool {
    for index in notices.indices {
      let entry = notices[index]
      guard entry.isRetired || entry.sharing.tellOwner(self, id: entry.id) else {
        notices.removeFirst(index)
        return false
      }
      entry.sharing.isListed = false
    }
    notices.removeAll(keepingCapacity: true)
    return true
  }

  private func tellPartings() throws(Refusal) -> Bool {
    for index in partings.indices {
      let isTold =
        switch partings[index] {
        case .freed(let id): peer.send(.bufferFreed(id))
        case .revoked(let id): send(.bufferRevoked(id))
        }
      guard isTold else {
        partings.removeFirst(index)
        guard partings.count <= Self.maximumPartings else { throw Refusal(.limit, reason: "BUFFER_FREED is not read") }
        return false
      }
    }
    partings.removeAll(keepingCapacity: true)
    return true
  }
}
