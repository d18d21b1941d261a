import Buffers

/// What a producer has to tell about one scanout: the newest of everything, however slow the hub reads.
struct ProducerScanout {
  var isAnnounced = false
  var mode = Size(width: 1280, height: 800)
  var content: ScanoutState.Content?
  var needsSet = false

  var damage = Rectangle.empty
  var needsFlush = false
  var lastSerial: UInt64 = 0
  var waiting = FlushQueue()

  var cursor = CursorState.hidden
  var needsCursor = false
  var needsCursorMove = false

  /// What the hub asked for last.
  var requirements = ScanoutRequirements.unknown

  /// Everything is to be told again.
  mutating func forgetAnnounced() {
    needsSet = isAnnounced
    needsFlush = false
    damage = .empty
    needsCursor = cursor.image != nil
    needsCursorMove = false
  }
}
