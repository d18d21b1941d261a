import Buffers
import CPixman
import CVNC
import Glibc
import Platform

/// libvncserver's side of a display: its own copy of the frame, and the clients that look at it.
///
/// The copy keeps what is sent to a client whole, however long the sending takes; it exists while somebody looks.
/// Used by one thread only.
final class VNCScreen {
  struct Client {
    let pointer: rfbClientPtr
    /// When it is dropped if it has not got through the handshake.
    let deadline: MonotonicTime
  }

  private let library: muntin_vnc_library
  private let screen: rfbScreenInfoPtr
  private let size: Size
  private let name: UnsafeMutablePointer<CChar>?
  private let passwords: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  private var copy: UnsafeMutableRawPointer?
  private(set) var clients: [Client] = []

  /// How long a client may let us wait in the middle of a message, or of a picture.
  private static let patience: Int32 = 3000
  private static let handshakeTime = Duration.seconds(10)

  init(size: Size, name: String, password: String?) throws(CompositorError) {
    guard let library = muntin_vnc_load()?.pointee else { throw .libraryMissing("libvncserver") }
    guard let screen = library.rfbGetScreen(nil, nil, Int32(size.width), Int32(size.height), 8, 3, 4) else {
      throw .outOfMemory
    }
    self.library = library
    self.screen = screen
    self.size = size
    self.name = strdup(name)
    passwords = .allocate(capacity: 2)
    passwords.initialize(repeating: nil, count: 2)
    configure(password)
  }

  deinit {
    for client in clients { hangUp(client.pointer) }
    library.rfbScreenCleanup(screen)
    if let password = passwords[0] {
      memset(password, 0, strlen(password))
      free(password)
    }
    passwords.deallocate()
    free(name)
    free(copy)
  }

  /// Bytes of one row of the copy.
  var stride: Int { Int(size.width) * 4 }
  /// The copy; nil while nobody looks.
  var pixels: UnsafeMutableRawPointer? { copy }

  /// Takes over a connection. False when the copy could not be made or the connection ended at once.
  func add(_ connection: consuming FileDescriptor, at now: MonotonicTime) -> Bool {
    // The library waits with select(2).
    guard connection.raw < FD_SETSIZE, makeCopy() else { return false }
    Self.limitPatience(of: connection.raw)
    guard let pointer = library.rfbNewClient(screen, connection.release()) else { return false }
    clients.append(Client(pointer: pointer, deadline: now + Self.handshakeTime))
    return true
  }

  /// The client's descriptor; negative when it has gone.
  func socket(of client: Client) -> Int32 { muntin_vnc_socket(client.pointer) }

  /// Reads one message of a client.
  func receive(from client: Client) {
    let socket = muntin_vnc_socket(client.pointer)
    guard socket >= 0 else { return }
    if muntin_vnc_is_ready(client.pointer) != 0 {
      var kind: UInt8 = 0
      if recv(socket, &kind, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) == 1, !Self.isServed(kind) {
        return library.rfbCloseClient(client.pointer)
      }
    }
    library.rfbProcessClientMessage(client.pointer)
  }

  /// The copy has changed there.
  func markChanged(_ rectangle: Rectangle) {
    let box = Box(rectangle)
    library.rfbMarkRectAsModified(screen, box.x1, box.y1, box.x2, box.y2)
  }

  /// Whether the client has asked for something that can be sent.
  func hasUpdate(for client: Client) -> Bool { muntin_vnc_has_update(client.pointer) != 0 }

  /// Sends the client what it asked for.
  func sendUpdate(to client: Client) {
    _ = library.rfbUpdateClient(client.pointer)
  }

  /// Forgets clients that have gone, and hangs up on those that dawdle.
  func removeGone(at now: MonotonicTime) {
    clients.removeAll { client in
      let isLate = muntin_vnc_is_ready(client.pointer) == 0 && client.deadline <= now
      guard muntin_vnc_socket(client.pointer) < 0 || isLate else { return false }
      hangUp(client.pointer)
      return true
    }
    guard clients.isEmpty else { return }
    screen.pointee.frameBuffer = nil
    free(copy)
    copy = nil
  }

  /// When the next client that has not got through the handshake is dropped.
  var nextDeadline: MonotonicTime? {
    clients.lazy.filter { muntin_vnc_is_ready($0.pointer) == 0 }.map(\.deadline).min()
  }

  private func configure(_ password: String?) {
    // Rows of words 0xXXRRGGBB.
    screen.pointee.serverFormat.depth = 24
    screen.pointee.serverFormat.redShift = 16
    screen.pointee.serverFormat.greenShift = 8
    screen.pointee.serverFormat.blueShift = 0
    screen.pointee.desktopName = UnsafePointer(name)
    screen.pointee.alwaysShared = 1
    screen.pointee.deferUpdateTime = 0
    screen.pointee.maxClientWait = Self.patience
    // The cursor is part of the picture; the library is to draw none and to follow nobody's pointer.
    screen.pointee.cursor = nil
    screen.pointee.ptrAddEvent = { _, _, _, _ in }
    screen.pointee.kbdAddEvent = { _, _, _ in }
    guard let password else { return }
    passwords[0] = strdup(password)
    screen.pointee.authPasswdData = UnsafeMutableRawPointer(passwords)
    screen.pointee.passwordCheck = library.rfbCheckPasswordByList
  }

  private func makeCopy() -> Bool {
    if copy == nil {
      copy = calloc(Int(size.height), stride)
      screen.pointee.frameBuffer = copy?.assumingMemoryBound(to: CChar.self)
    }
    return copy != nil
  }

  private func hangUp(_ client: rfbClientPtr) {
    if muntin_vnc_socket(client) >= 0 { library.rfbCloseClient(client) }
    library.rfbClientConnectionGone(client)
  }

  /// The messages of RFB itself (RFC 6143, section 7.5) and the request for another size. The library's dialects of
  /// other servers (files, chat, scaling) are of no use here and were the way in more than once.
  private static func isServed(_ kind: UInt8) -> Bool {
    [0, 2, 3, 4, 5, 6, 251].contains(kind)
  }

  /// Has the kernel end a connection whose other end takes nothing.
  private static func limitPatience(of raw: Int32) {
    var milliseconds = UInt32(patience)
    setsockopt(raw, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, socklen_t(MemoryLayout<UInt32>.size))
  }
}
