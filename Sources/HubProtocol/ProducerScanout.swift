import Buffers

/// What a producer has to tell about one scanout: the newest of everything, however slow the hub reads.
struct ProducerScanout {
  var isAnnounced = false
  var mode = Size(width: 1280, height: 800)
  var content: ScanoutState.Content?
  /// Rises with each change of the content.
  var generation: UInt64 = 0
  var needsSet = false

  var damage = Rectangle.empty
  var needsFlush = false
  var lastSerial: UInt64 = 0
  var waiting = FlushQueue()
  /// The newest flush that the hub is asked to pass on, and the newest that it has reported.
  var hubSent: UInt64 = 0
  var hubLatched: UInt64 = 0
  /// Flushes that the hub has not seen and was not told of.
  var uncounted: UInt64 = 0

  var cursor = CursorState.hidden
  var needsCursor = false
  var needsCursorMove = false

  /// What the hub asked for last.
  var requirements = ScanoutRequirements.unknown

  /// Everything is to be told again.
  mutating func forgetAnnounced() {
    needsSet = isAnnounced
    hubLatched = hubSent
    uncounted = 0
    needsFlush = false
    damage = .empty
    needsCursor = cursor.image != nil
    needsCursorMove = false
  }
}
