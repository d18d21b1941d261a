import Buffers
import HubProtocol
import Platform
import WaylandClient

/// A window of this VM's compositor that shows an imported buffer.
final class Window {
  private static let patience = Duration.seconds(3)

  private var importer: Importer
  private let identity: WaylandWindow.Identity
  private let mustCopy: Bool
  private var connection: WaylandConnection
  private var window: WaylandWindow
  private var content: any WindowContent
  /// Why the picture is copied; nil: the compositor shows the buffer's own memory.
  private(set) var reasonToCopy: String?
  /// Whether the owner waits to be told that the newest picture has been read.
  private var isOwed = false

  /// Opens the window; with `mustCopy`, what it shows is copied even where the compositor could do without.
  init(
    _ importer: Importer, _ identity: (BufferInfo) -> WaylandWindow.Identity, mustCopy: Bool
  ) throws(GuestError) {
    self.importer = importer
    self.identity = identity(importer.info)
    self.mustCopy = mustCopy
    (connection, window) = try Self.open(importer, self.identity)
    (content, reasonToCopy) = try Self.content(of: window, importer, mustCopy: mustCopy)
  }

  private static func open(
    _ importer: Importer, _ identity: WaylandWindow.Identity
  ) throws(GuestError) -> (WaylandConnection, WaylandWindow) {
    do throws(WaylandError) {
      let connection = try WaylandConnection(try CompositorSocket.connect())
      return (connection, try WaylandWindow(connection, size: importer.info.buffer.layout.size, identity))
    } catch {
      throw .window(error)
    }
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

  /// Finds the picture again after an end that need not be one; the window stays, and shows what it did, or black, until
  /// then. One of another size is opened anew. False when somebody closes it meanwhile.
  func begin(anewAfter end: GuestError) throws(GuestError) -> Bool {
    let former = (importer.info.buffer.layout.size, content)
    do throws(GuestError) {
      importer = try importer.again(after: end, or: connection.descriptor) { () throws(GuestError) in
        if try !listen() { throw .channelOver }
      }
    } catch {
      if window.isClosed { return false }
      throw error
    }
    if importer.info.buffer.layout.size != former.0 { (connection, window) = try Self.open(importer, identity) }
    (content, reasonToCopy) = try Self.content(of: window, importer, mustCopy: mustCopy)
    former.1.close()
    isOwed = false
    return true
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
