import Buffers
import HubProtocol
import Platform

/// What a buffer is to others than its owner: its name and properties, how new it is, who holds it, and what its owner
/// was not told yet.
final class BufferSharing {
  /// Its name among its owner's buffers; nil: it is found by its id only.
  let name: PeerName?
  let properties: [BufferProperty]
  /// How many images its memory holds. With more than one, a holder is told of one update at a time, and the owner what
  /// is held.
  let images: Int
  /// A descriptor that can write, where the offer has one.
  private(set) var writable: SharedDescriptor?
  /// Whether write access can be granted.
  private let isWritable: Bool
  private(set) var generation: UInt64 = 0
  private(set) var leases: [Lease] = []

  /// Whether it waits in the owner's list of buffers about which there is something to tell.
  var isListed = false
  private var isUnheard = false
  private var isWanted = false
  private var isTakenChanged = false
  /// Of the newest generation, for who comes later; of several images alone.
  private(set) var fence: SharedDescriptor?
  private var endedHolder: UInt32?

  init(
    name: PeerName? = nil, properties: [BufferProperty] = [], writable: SharedDescriptor? = nil,
    isWritable: Bool = false, images: Int = 1
  ) {
    self.isWritable = isWritable
    self.name = name
    self.properties = properties
    self.writable = writable
    self.images = images
  }

  var isChain: Bool { images > 1 }

  /// The most that can be granted.
  var most: BufferAccess { isWritable && writable != nil ? .readWrite : .read }

  /// Nobody new gets it.
  func retire() {
    writable = nil
    fence = nil
  }

  func add(_ lease: Lease) { leases.append(lease) }

  /// The lease is over; whether the owner is to be told.
  func remove(_ lease: Lease) -> Bool {
    guard let index = leases.firstIndex(where: { $0 === lease }) else { return false }
    leases.swapAt(index, leases.count - 1)
    leases.removeLast()
    guard lease.wantsUpdates else { return false }
    endedHolder = lease.number
    noteLessIsHeld()
    return true
  }

  /// A holder wants to be told of changes, or not any more; whether that is new, and the owner is to be told.
  func set(_ lease: Lease, wantsUpdates: Bool) -> Bool {
    guard lease.wantsUpdates != wantsUpdates else { return false }
    lease.setUpdates(wantsUpdates)
    noteLessIsHeld()
    if !wantsUpdates { endedHolder = lease.number }
    return true
  }

  /// Somebody holds an image no more: its owner is to be told. That somebody holds one more needs not be said, for it is
  /// one that the owner leaves alone in any case until it hears of a newer update, and with that of all that is held.
  func noteLessIsHeld() { if isChain { isTakenChanged = true } }

  /// Images that somebody holds, as bits.
  private var held: UInt32 {
    leases.reduce(0) { bits, lease in
      lease.held.reduce(bits) { $0 | 1 << UInt32($1 % UInt64(images)) }
    }
  }

  /// Somebody waits for a whole picture: the next update, for which its owner is asked.
  func noteWanted() { isWanted = true }

  /// How many that are told of changes have not read the newest generation.
  var remaining: UInt32 {
    UInt32(clamping: leases.count { $0.wantsUpdates && $0.doneGeneration < generation })
  }

  /// Pixels have changed; whether the owner is to be told something then: that nobody is told of it, or that it has come.
  func note(_ damage: Rectangle, generation: UInt64, _ fence: SharedDescriptor?) -> Bool {
    self.generation = generation
    isWanted = false
    if isChain { self.fence = fence }
    var isHeard = false
    for lease in leases where lease.wantsUpdates {
      lease.note(damage, fence)
      isHeard = true
    }
    isUnheard = !isHeard
    isTakenChanged = isChain
    return isUnheard || isChain
  }

  /// Tells the owner what it does not know; false when its socket is full.
  func tellOwner(_ owner: PartyEndpoint, id: BufferID) -> Bool {
    for lease in leases {
      guard lease.tellOwner(owner) else { return false }
    }
    for holder in [endedHolder, isUnheard ? 0 : nil].compactMap({ $0 }) {
      let done = BufferDone(id: id, generation: generation, holder: holder, remaining: remaining)
      guard owner.send(.bufferDone(done)) else { return false }
    }
    endedHolder = nil
    isUnheard = false
    guard tellTaken(owner, id: id) else { return false }
    guard !isWanted || owner.send(.bufferWanted(id, generation: generation)) else { return false }
    isWanted = false
    return true
  }

  /// Comes after what is done, so that the owner knows of a fence before it draws.
  private func tellTaken(_ owner: PartyEndpoint, id: BufferID) -> Bool {
    guard isTakenChanged else { return true }
    let taken = BufferTaken(id: id, generation: generation, held: held)
    guard owner.send(.bufferTaken(taken)) else { return false }
    isTakenChanged = false
    return true
  }
}
