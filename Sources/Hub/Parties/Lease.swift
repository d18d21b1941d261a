import Buffers
import HubProtocol
import Platform

/// A party's hold on a buffer, and what neither side was told yet, however long it does not read. Constant in size.
final class Lease {
  /// Tells the owner which holder it is.
  let number: UInt32
  let entry: BufferEntry
  unowned let holder: PartyEndpoint
  var access: BufferAccess
  /// The most that a VM that may only read was given: it may still have it.
  private(set) var form: ReadForm?
  private(set) var wantsUpdates: Bool
  /// What the holder's ledger shows of it.
  private let charge: Ledger.Charge

  /// Whether it waits in the holder's list of leases about which there is something to tell.
  var isListed = false
  private var damage = Rectangle.empty
  private var fence: SharedDescriptor?
  private var hasUpdate = false
  private var notice = Notice.none
  /// Of several images: what the holder was told of and has not said DONE of; what it still shows; 0: nothing.
  private var given: UInt64 = 0
  private var kept: UInt64 = 0
  private var keeps: Bool

  /// What the holder has read.
  private(set) var doneGeneration: UInt64
  private var doneFence: SharedDescriptor?
  private var hasDone = false

  /// Why the holder has to let go.
  private enum Notice { case none, retired, revoked, told }

  init(
    _ number: UInt32, of entry: BufferEntry, for holder: PartyEndpoint, _ acquisition: Acquisition,
    charge: consuming Ledger.Charge
  ) {
    self.number = number
    self.entry = entry
    self.holder = holder
    self.charge = charge
    access = acquisition.access
    wantsUpdates = acquisition.wantsUpdates
    keeps = acquisition.keeps
    doneGeneration = entry.sharing.generation
    damage = entry.wholePicture
  }

  /// Generations of several images that must stay as they are.
  var held: [UInt64] { [given, kept].filter { $0 > 0 } }

  /// The holder got the memory once more, in that form.
  func note(_ form: ReadForm?) {
    self.form = [self.form, form].compactMap { $0 }.max()
  }

  // MARK: For the holder

  /// The holder wants to be told of changes, or not any more. What was drawn before is not waited for; it may be drawn
  /// over, so that the next update hands out all of the picture.
  func setUpdates(_ wanted: Bool) {
    wantsUpdates = wanted
    doneGeneration = entry.sharing.generation
    damage = entry.wholePicture
    hasUpdate = false
    fence = nil
    given = 0
    kept = 0
  }

  /// Of several images the newest is whole, and stays so until there is a newer one: a new reader is told of it at once.
  /// False with one image, which its owner may be drawing just now.
  func noteNewest() -> Bool {
    let sharing = entry.sharing
    guard sharing.isChain, sharing.generation > 0 else { return sharing.isChain }
    doneGeneration = sharing.generation - 1
    note(entry.wholePicture, sharing.fence)
    return true
  }

  /// Whether the holder shows what it has said DONE of.
  func set(keeps: Bool) {
    self.keeps = keeps
    guard !keeps, kept > 0 else { return }
    kept = 0
    entry.sharing.noteLessIsHeld()
  }

  func note(_ damage: Rectangle, _ fence: SharedDescriptor?) {
    self.damage = self.damage.union(damage)
    self.fence = fence
    hasUpdate = true
    holder.list(self)
  }

  func noteRetired() {
    notice = .retired
    holder.list(self)
  }

  func noteRevoked() {
    guard notice == .none else { return }
    notice = .revoked
    holder.list(self)
  }

  /// A new grant lets the holder keep what it was told to release.
  func noteRenewed() {
    if !entry.isRetired { notice = .none }
  }

  /// Tells the holder; false when its socket is full, and the rest stays noted.
  func tellHolder() -> Bool {
    // Of several images it reads one at a time, so that its owner knows which.
    if hasUpdate && !entry.isRetired && given == 0 {
      let update = BufferUpdate(id: entry.id, damage: damage, generation: entry.sharing.generation)
      guard holder.send(.updated(update), descriptor: fence) else { return false }
      damage = .empty
      fence = nil
      hasUpdate = false
      if entry.sharing.isChain { given = entry.sharing.generation }
    }
    return tellNotice()
  }

  private func tellNotice() -> Bool {
    let milliseconds = holder.deadlines.milliseconds(entry.id)
    switch notice {
    case .none, .told: return true
    case .retired: guard holder.send(.retired(entry.id, milliseconds: milliseconds)) else { return false }
    case .revoked: guard holder.send(.revoked(entry.id, milliseconds: milliseconds)) else { return false }
    }
    notice = .told
    return true
  }

  // MARK: For the owner

  /// The holder has read a generation; whether the owner is to be told.
  func note(done generation: UInt64, _ fence: SharedDescriptor?) -> Bool {
    guard generation > doneGeneration, generation <= entry.sharing.generation else { return false }
    doneGeneration = generation
    doneFence = fence
    hasDone = true
    takeBack(generation)
    return true
  }

  /// What was given is read, or kept in place of what was kept before; the next may be given.
  private func takeBack(_ generation: UInt64) {
    guard given > 0, generation >= given else { return }
    kept = keeps ? given : 0
    given = 0
    entry.sharing.noteLessIsHeld()
    if hasUpdate { holder.list(self) }
  }

  /// Tells the owner how far this holder is; false when its socket is full.
  func tellOwner(_ owner: PartyEndpoint) -> Bool {
    guard hasDone else { return true }
    let done = BufferDone(
      id: entry.id, generation: doneGeneration, holder: number, remaining: entry.sharing.remaining)
    guard owner.send(.bufferDone(done), descriptor: doneFence) else { return false }
    doneFence = nil
    hasDone = false
    return true
  }
}
