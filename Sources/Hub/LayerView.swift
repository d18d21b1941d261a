import Buffers
import HubProtocol

/// One layer as one consumer sees it: what it was not told yet, however long it does not read. Constant in size.
final class LayerView {
  struct Changes: OptionSet {
    let rawValue: UInt8
    static let place = Changes(rawValue: 1)
    static let content = Changes(rawValue: 2)
    static let damage = Changes(rawValue: 4)
    static let cursor = Changes(rawValue: 8)
    static let cursorPosition = Changes(rawValue: 16)
  }

  let vm: VirtualMachine
  let scanout: Scanout
  unowned let consumer: ConsumerSession
  private(set) var description: LayerDescription
  /// Whether the consumer was told that the layer exists.
  private(set) var isKnown: Bool
  /// Whether it waits in the consumer's list of changed layers.
  var isListed = false

  private var changes: Changes = [.place, .content, .cursor]
  private var damage = Rectangle.empty
  private var damageSerial: UInt64 = 0
  private var sentSerial: UInt64 = 0
  private(set) var latchedSerial: UInt64
  /// Whether the producer tells the consumer of flushes by a link; those through `linkedAfter` went by the hub.
  private(set) var isLinked = false
  private var linkedAfter: UInt64 = 0

  init(
    _ description: LayerDescription, of vm: VirtualMachine, _ scanout: Scanout, for consumer: ConsumerSession,
    isKnown: Bool
  ) {
    self.isKnown = isKnown
    self.description = description
    self.vm = vm
    self.scanout = scanout
    self.consumer = consumer
    // What was flushed before is in the first content.
    latchedSerial = scanout.lastFlushed
  }

  func place(_ description: LayerDescription) {
    guard description != self.description else { return }
    self.description = description
    note(.place)
  }

  func note(_ changes: Changes) {
    self.changes.formUnion(changes)
    consumer.list(self)
  }

  func noteDamage(_ rectangle: Rectangle, serial: UInt64) {
    guard !isLinked else { return }
    damage = damage.union(rectangle)
    damageSerial = serial
    note(.damage)
  }

  /// There is nothing to see, so nothing to wait for.
  func skip(through serial: UInt64) {
    changes.remove(.damage)
    damage = .empty
    latchedSerial = serial
  }

  func latched(through serial: UInt64) {
    latchedSerial = max(latchedSerial, min(serial, sentSerial))
  }

  func forgetSerials() {
    skip(through: 0)
    sentSerial = 0
    isLinked = false
  }

  // MARK: Links

  /// From now on flushes come by a link, or by the hub again: then some may have been lost with the link.
  func setLinked(_ linked: Bool) {
    guard linked != isLinked else { return }
    isLinked = linked
    linkedAfter = scanout.lastFlushed
    guard !linked else { return }
    latchedSerial = scanout.lastFlushed
    note(.content)
  }

  /// The newest flush that this place need not be waited for; `UInt64.max` when it is told by a link.
  var done: UInt64 { isLinked && latchedSerial >= linkedAfter ? .max : latchedSerial }

  // MARK: Telling

  /// Tells the consumer what changed; false when its socket is full, and the rest stays noted.
  func tell() -> Bool {
    guard tellPlace() else { return false }
    return isUndecided || (tellContent() && tellCursor() && tellDamage())
  }

  /// In the grace period after its start the hub does not know whether the VM is gone: the consumer keeps what it has.
  private var isUndecided: Bool { vm.isAbsent && consumer.isInGrace }

  private func tellPlace() -> Bool {
    guard changes.contains(.place) else { return true }
    guard consumer.send(.layerSet(description)) else { return false }
    isKnown = true
    changes.remove(.place)
    return true
  }

  private func tellContent() -> Bool {
    guard changes.contains(.content) else { return true }
    if vm.isAbsent { return tellAbsent(.gone) }
    guard vm.isConnected else { return tellAbsent(.offline) }
    guard let content = scanout.content, !consumer.holdsFormer(of: content.buffer) else { return tellAbsent(.off) }
    guard consumer.misfit(of: content.buffer) == nil else { return tellAbsent(.withheld) }
    guard consumer.sendContent(content, of: description.id) else { return false }
    changes.remove(.content)
    return true
  }

  private func tellAbsent(_ reason: AbsenceReason) -> Bool {
    guard consumer.send(.layerContent(description.id, .absent(reason)), serial: scanout.generation) else {
      return false
    }
    changes.remove(.content)
    return true
  }

  private func tellCursor() -> Bool {
    let id = description.id
    let cursor = scanout.cursor
    if changes.contains(.cursor) {
      guard consumer.send(.layerCursor(id, cursor)) else { return false }
      changes.subtract([.cursor, .cursorPosition])
    }
    if changes.contains(.cursorPosition) {
      guard consumer.send(.layerCursorMove(id, x: cursor.x, y: cursor.y)) else { return false }
      changes.remove(.cursorPosition)
    }
    return true
  }

  private func tellDamage() -> Bool {
    guard changes.contains(.damage) else { return true }
    guard consumer.send(.layerDamage(description.id, damage), serial: damageSerial) else { return false }
    changes.remove(.damage)
    sentSerial = damageSerial
    damage = .empty
    return true
  }
}

extension VirtualMachine {
  var isAbsent: Bool { producer == nil }
}
