/// The pointer: what it is, and what the front-end still has to hear of it.
struct DisplayCursor {
  private(set) var scanout: UInt32 = 0
  private(set) var x: UInt32 = 0
  private(set) var y: UInt32 = 0
  private(set) var hotX: UInt32 = 0
  private(set) var hotY: UInt32 = 0
  private(set) var isVisible = false
  /// Its picture, a8r8g8b8; empty while there has been none.
  private(set) var image: [UInt8] = []
  private var isImageNew = false
  private var isPositionNew = false

  var isPending: Bool { isImageNew || isPositionNew }

  mutating func define(scanout: UInt32, x: UInt32, y: UInt32, hotX: UInt32, hotY: UInt32, image: UnsafeRawBufferPointer)
  {
    guard image.count == DisplayProtocol.cursorBytes else { return }
    self.hotX = hotX
    self.hotY = hotY
    self.image.removeAll(keepingCapacity: true)
    self.image.append(contentsOf: image)
    isImageNew = true
    move(scanout: scanout, x: x, y: y, isVisible: true)
  }

  mutating func move(scanout: UInt32, x: UInt32, y: UInt32, isVisible: Bool) {
    self.scanout = scanout
    self.x = x
    self.y = y
    self.isVisible = isVisible
    isPositionNew = true
  }

  /// A new front-end knows nothing.
  mutating func forgetFrontend() {
    isImageNew = !image.isEmpty
    isPositionNew = isVisible
  }

  /// The next message about the pointer. A picture makes it visible, so a hidden one is hidden again afterwards.
  mutating func begin(in output: DisplayOutput) {
    if isImageNew {
      isImageNew = false
      isPositionNew = !isVisible
      image.withUnsafeBytes { output.begin(.cursorUpdate, [scanout, x, y, hotX, hotY], $0) }
    } else {
      isPositionNew = false
      output.begin(isVisible ? .cursorPos : .cursorPosHide, [scanout, x, y])
    }
  }
}
