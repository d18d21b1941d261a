import Buffers
import HubProtocol
import Platform
import WaylandClient

/// A window of this VM's compositor that shows an imported buffer.
final class Window {
  private static let patience = Duration.seconds(3)

  private let importer: Importer
  private let connection: WaylandConnection
  private let window: WaylandWindow
  private let content: any WindowContent
  /// Why the picture is copied; nil: the compositor shows the buffer's own memory.
  let reasonToCopy: String?
  /// Whether the owner waits to be told that the newest picture has been read.
  private var isOwed = false

  /// Opens the window; with `mustCopy`, what it shows is copied even where the compositor could do without.
  init(_ importer: Importer, _ identity: WaylandWindow.Identity, mustCopy: Bool) throws(GuestError) {
    self.importer = importer
    do throws(WaylandError) {
      connection = try WaylandConnection(try CompositorSocket.connect())
      window = try WaylandWindow(connection, size: importer.info.buffer.layout.size, identity)
    } catch {
      throw .window(error)
    }
    (content, reasonToCopy) = try Self.content(of: window, importer, mustCopy: mustCopy)
  }

  private static func content(
    of window: WaylandWindow, _ importer: Importer, mustCopy: Bool
  ) throws(GuestError) -> (any WindowContent, String?) {
    var reason = "it was asked for"
    if !mustCopy {
      do {
        let memory = try importer.memory.exported()
        let layout = importer.info.buffer.layout
        return (try DMABufContent(window, descriptor: memory.raw, layout, images: importer.images), nil)
      } catch let error as WaylandError {
        throw .window(error)
      } catch {
        reason = "\(error)"
      }
    }
    do throws(WaylandError) {
      let pixels = UnsafeRawBufferPointer(importer.memory.bytes)
      let layout = importer.info.buffer.layout
      return (try SharedMemoryContent(window, pixels: pixels, layout, images: importer.images), reason)
    } catch {
      throw .window(error)
    }
  }

  // MARK: Showing

  /// Shows the picture as it changes, until somebody closes the window.
  func run() throws(GuestError) {
    isOwed = try importer.nextUpdate(until: .now + Self.patience) != nil
    try take(Rectangle(importer.info.buffer.layout.size))
    while try listen() {
      if isOwed, content.isRead {
        isOwed = false
        try importer.done()
      }
      guard let update = try importer.nextUpdate(until: .now + .seconds(3600), or: connection.descriptor) else {
        continue
      }
      isOwed = true
      try take(update.damage)
    }
    try importer.release()
  }

  private func take(_ damage: Rectangle) throws(GuestError) {
    do throws(WaylandError) {
      try content.update(damage, image: importer.image)
    } catch {
      throw .window(error)
    }
  }

  /// Takes in what the compositor has said; false when the window is closed.
  private func listen() throws(GuestError) -> Bool {
    do throws(WaylandError) {
      try connection.dispatch()
    } catch {
      throw .window(error)
    }
    return !window.isClosed
  }
}
