import Buffers
import GPUDevice
import Logging
import Platform
import VhostUser

/// Shows a card's scanouts on the VMM's own display, by the socket that the VMM hands over (vhost-user-gpu.rst): what
/// QEMU's own back-end does, when there is no hub.
final class MirrorSink: DisplaySink {
  private let display: DisplaySocketClient
  private let log: RateLimitedLog

  init(loop: EventLoop, log: RateLimitedLog) {
    display = DisplaySocketClient(loop: loop)
    self.log = log
  }

  /// Shows everything on this display from now on; false when the system refuses.
  func connect(_ socket: consuming FileDescriptor) -> Bool {
    isHidden = [Bool](repeating: false, count: ScanoutID.maximumCount)
    do throws(SystemError) {
      try display.attach(socket)
      return true
    } catch {
      log.warning("display socket not usable", ["reason": "\(error)"])
      return false
    }
  }

  /// The VMM has gone, its display with it.
  func forgetDisplay() { display.detach() }

  func scanoutChanged(_ scanout: ScanoutID, to content: ScanoutContent?) {
    let pixels = content.map { DisplayPixels(content: $0) }
    display.setScanout(scanout.rawValue, content?.source.size ?? Size(width: 0, height: 0), pixels)
    sources[Int(scanout.rawValue)] = content?.source ?? .empty
  }

  /// The guest need not wait for the pixels to be sent: they are read when the socket has room.
  func flush(_ scanout: ScanoutID, picture: Picture, damage: Rectangle, token: FlushToken) -> FlushResult {
    let source = sources[Int(scanout.rawValue)]
    let visible = damage.intersection(source)
    guard !visible.isEmpty else { return .latched }
    let area = Rectangle(
      x: visible.x - source.x, y: visible.y - source.y, width: visible.width, height: visible.height)
    display.damage(scanout.rawValue, area)
    return .latched
  }

  func cursorChanged(_ cursor: CursorState) {
    let (scanout, x, y) = (cursor.scanout.rawValue, UInt32(bitPattern: cursor.x), UInt32(bitPattern: cursor.y))
    isHidden[Int(scanout)] = !cursor.isVisible
    guard let image = cursor.image else { return display.hideCursor(scanout: scanout, x: x, y: y) }
    display.setCursor(
      scanout: scanout, x: x, y: y, hotX: cursor.hotX, hotY: cursor.hotY, image: image.bytes)
  }

  func cursorMoved(_ scanout: ScanoutID, x: Int32, y: Int32) {
    let (number, x, y) = (scanout.rawValue, UInt32(bitPattern: x), UInt32(bitPattern: y))
    if isHidden[Int(number)] {
      display.hideCursor(scanout: number, x: x, y: y)
    } else {
      display.moveCursor(scanout: number, x: x, y: y)
    }
  }

  /// The display holds no picture's memory beyond what a scanout shows.
  func pictureRetired(_ picture: Picture) {}

  /// Pixels are looked for where they are then.
  func memoryMoved(_ scanout: ScanoutID, _ picture: Picture) {}

  /// The scanouts whose cursor the guest has taken away. One that it has only moved yet is shown, as QEMU does.
  private var isHidden = [Bool](repeating: false, count: ScanoutID.maximumCount)
  /// Which part of its picture each scanout shows.
  private var sources = [Rectangle](repeating: .empty, count: ScanoutID.maximumCount)
}
