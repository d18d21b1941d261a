import Buffers
import GPUDevice

/// A display that nobody looks at.
final class NoDisplay: DisplaySink {
  func scanoutChanged(_ scanout: ScanoutID, to content: ScanoutContent?) {}
  func flush(_ scanout: ScanoutID, picture: Picture, damage: Rectangle, token: FlushToken) -> FlushResult { .latched }
  func cursorChanged(_ cursor: CursorState) {}
  func cursorMoved(_ scanout: ScanoutID, x: Int32, y: Int32) {}
  func pictureRetired(_ picture: Picture) {}
  func memoryMoved(_ scanout: ScanoutID, _ picture: Picture) {}
}
