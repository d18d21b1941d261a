import Buffers
import HubProtocol

extension AbsenceReason {
  /// What is written where the picture would be.
  var label: String {
    switch self {
    case .off: "no signal"
    case .offline: "not connected"
    case .gone: "not running"
    case .withheld: "not for this display"
    }
  }
}

/// A cursor's image and its upper left corner on the picture, which may lie outside of it.
struct PlacedCursor {
  let image: CursorImage
  let left: Int64
  let top: Int64

  /// Nil when the cursor is not visible.
  init?(_ cursor: CursorState) {
    guard let image = cursor.image else { return nil }
    self.image = image
    left = Int64(cursor.x) - Int64(cursor.hotX)
    top = Int64(cursor.y) - Int64(cursor.hotY)
  }

  /// The display pixels that it may touch.
  func box(_ projection: Projection) -> Box {
    projection.image(
      left: left, top: top, width: Int64(CursorImage.extent), height: Int64(CursorImage.extent))
  }
}
