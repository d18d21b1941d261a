import Buffers
import Platform
import Synchronization

/// What the compositor's thread tells the thread that serves VNC clients.
///
/// A client may take as long as it likes to read a picture; composing never waits for it.
final class VNCMailbox: Sendable {
  struct Mail {
    var damage: [Rectangle] = []
    var isClosing = false
  }

  private let bell: Doorbell
  private let mail = Mutex(Mail())
  private let clients = Atomic<Int>(0)
  /// Beyond so many rectangles the one around them all will do.
  private static let mostRectangles = 64

  init() throws(SystemError) {
    bell = try Doorbell()
  }

  /// Rings when there is mail.
  var descriptor: Int32 { bell.waiting.raw }

  /// How many clients look at the display.
  var clientCount: Int {
    get { clients.load(ordering: .acquiring) }
    set { clients.store(newValue, ordering: .releasing) }
  }

  /// The frame has changed there. Nothing happens while nobody looks.
  func post(_ damage: Region) {
    guard clientCount > 0 else { return }
    let rectangles = damage.rectangles
    let isFirst = mail.withLock { mail in
      let isFirst = mail.damage.isEmpty
      mail.damage += rectangles
      if mail.damage.count > Self.mostRectangles {
        mail.damage = [mail.damage.reduce(.empty) { $0.union($1) }]
      }
      return isFirst
    }
    if isFirst { bell.ring() }
  }

  /// The server is to end.
  func close() {
    mail.withLock { $0.isClosing = true }
    bell.ring()
  }

  /// Takes what has come.
  func take() -> Mail {
    bell.drain()
    return mail.withLock { mail in
      let taken = mail
      mail.damage.removeAll()
      return taken
    }
  }
}
