import Buffers

/// One scanout: what it shows, and what the front-end still has to hear of it.
struct DisplayScanout {
  private(set) var size = Size(width: 0, height: 0)
  private(set) var pixels: DisplayPixels?
  /// What the front-end believes; nil: off.
  private var announced: Size?
  /// What has changed since it was sent.
  private(set) var damage = Rectangle.empty

  var isOn: Bool { pixels != nil }
  var needsAnnouncement: Bool { announced != (isOn ? size : nil) }
  /// An update may only follow the announcement: QEMU takes it for granted.
  var needsUpdate: Bool { !damage.isEmpty && isOn && !needsAnnouncement }
  var isPending: Bool { needsAnnouncement || needsUpdate }

  mutating func show(_ newSize: Size, _ newPixels: DisplayPixels?) {
    let isSame = newSize == size
    let sides = 1...DisplayProtocol.largestSide
    size = newSize
    pixels = sides.contains(newSize.width) && sides.contains(newSize.height) ? newPixels : nil
    if !isSame || !isOn { damage = .empty }
  }

  mutating func add(damage area: Rectangle) {
    guard isOn else { return }
    let visible = area.intersection(Rectangle(size))
    guard !visible.isEmpty else { return }
    damage = damage.isEmpty ? visible : damage.union(visible)
  }

  /// A new front-end knows nothing.
  mutating func forgetFrontend() {
    announced = nil
    damage = isOn ? Rectangle(size) : .empty
  }

  /// What to announce, which counts as done from now on.
  mutating func announce() -> Size {
    announced = isOn ? size : nil
    return isOn ? size : Size(width: 0, height: 0)
  }

  /// The upper part of the damage has been sent.
  mutating func sent(_ part: Rectangle) {
    damage =
      part.height >= damage.height
      ? .empty
      : Rectangle(
        x: damage.x, y: damage.y + part.height, width: damage.width, height: damage.height - part.height)
  }
}
