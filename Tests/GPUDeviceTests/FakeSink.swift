import Buffers
import GPUDevice

/// A display that remembers what it was told.
final class FakeSink: DisplaySink {
  struct Flush: Equatable {
    var scanout: UInt32
    var damage: Rectangle
    var token: FlushToken
  }

  var contents: [UInt32: ScanoutContent] = [:]
  var scanoutChanges = 0
  var flushes: [Flush] = []
  var cursors: [UInt32: CursorState] = [:]
  var cursorChanges = 0
  var moves: [(x: Int32, y: Int32)] = []
  var retired: [BufferID] = []
  /// Whether somebody goes on to read what is given up.
  var isReading = false
  var read: [Picture] = []
  var moved: [UInt32] = []
  /// What the next flushes are answered with.
  var result = FlushResult.latched
  /// What those can use who are shown a scanout; of the others, anything.
  var constraints: [UInt32: Constraints] = [:]
  /// What all can use who may be shown anything.
  var allConstraints = Constraints()
  var whenFlushed: (FlushToken) -> Void = { _ in }
  /// False: nothing is recorded, so that nothing is allocated.
  var isRecording = true

  func scanoutChanged(_ scanout: ScanoutID, to content: ScanoutContent?) {
    contents[scanout.rawValue] = content
    scanoutChanges += 1
  }

  func flush(_ scanout: ScanoutID, picture: Picture, damage: Rectangle, token: FlushToken) -> FlushResult {
    guard isRecording else { return result }
    flushes.append(Flush(scanout: scanout.rawValue, damage: damage, token: token))
    whenFlushed(token)
    return result
  }

  func cursorChanged(_ cursor: CursorState) {
    cursors[cursor.scanout.rawValue] = cursor
    cursorChanges += 1
  }

  func cursorMoved(_ scanout: ScanoutID, x: Int32, y: Int32) {
    if isRecording { moves.append((x, y)) }
  }

  func pictureRetired(_ picture: Picture) {
    retired.append(picture.id)
    if isReading { read.append(picture) }
  }

  func constraints(of scanouts: ScanoutMask) -> Constraints {
    let named = constraints.filter { scanouts.contains(ScanoutID(rawValue: $0.key)) }.map(\.value)
    return named.first ?? allConstraints
  }

  func memoryMoved(_ scanout: ScanoutID, _ picture: Picture) { moved.append(scanout.rawValue) }
}
