import Glibc
import Platform

/// Connections that wait for the device. The first that speaks gets it; the others wait until it is free again.
final class ConnectionLobby {
  /// How many may wait; one more pushes out the one that has been silent longest.
  private static let capacity = 8
  /// Connections accepted in one go before others on the loop have their turn.
  static let acceptedPerWake = 16
  /// How long nobody is accepted after accepting has failed.
  private static let pause = Duration.milliseconds(100)

  private struct Visitor {
    let connection: SharedDescriptor
    var token: EventLoop.Token?
  }

  private let loop: EventLoop
  private var listener: SharedDescriptor?
  private var listenerToken: EventLoop.Token?
  private var visitors: [Visitor] = []
  /// Called with a connection that has something to say.
  var spoke: ((consuming FileDescriptor) -> Void)?
  /// Called when one has gone without a word.
  var left: (() -> Void)?
  /// Called when one has come while somebody else has the device.
  var queued: (() -> Void)?

  init(loop: EventLoop) {
    self.loop = loop
  }

  deinit { close() }

  /// Whether somebody has the device; meanwhile nobody here is listened to.
  var isOccupied = false {
    didSet {
      guard isOccupied != oldValue else { return }
      for index in visitors.indices { watch(index) }
    }
  }

  /// Nobody is here, and nobody can come.
  var isDeserted: Bool { listener == nil && visitors.isEmpty && !isOccupied }

  func listen(at socket: consuming FileDescriptor) throws(SystemError) {
    let socket = SharedDescriptor(socket)
    listenerToken = try loop.watch(socket.raw, for: .readable) { [unowned self] _ in acceptAll() }
    listener = socket
  }

  func add(_ connection: consuming FileDescriptor) {
    if visitors.count == Self.capacity { remove(0) }
    visitors.append(Visitor(connection: SharedDescriptor(connection)))
    watch(visitors.count - 1)
    if isOccupied { queued?() }
  }

  /// Whether anybody waits who has not hung up meanwhile.
  var isAnybodyWaiting: Bool { visitors.contains { !UnixSocket.hasEnded($0.connection.raw) } }

  func close() {
    if let listenerToken { loop.unwatch(listenerToken) }
    listenerToken = nil
    listener = nil
    while !visitors.isEmpty { remove(visitors.count - 1) }
  }

  private func acceptAll() {
    guard let listener else { return }
    do {
      for _ in 0..<Self.acceptedPerWake {
        guard let connection = try UnixSocket.accept(listener.raw) else { return }
        add(connection)
      }
    } catch {
      pauseListener()
    }
  }

  /// Leaves who knocks outside for a moment: there is no descriptor left, and the socket would wake us all the time.
  private func pauseListener() {
    guard let token = listenerToken else { return }
    loop.change(token, to: [])
    loop.schedule(after: Self.pause) { [weak self] in
      guard let self, let token = listenerToken else { return }
      loop.change(token, to: .readable)
    }
  }

  private func watch(_ index: Int) {
    if let token = visitors[index].token { loop.unwatch(token) }
    visitors[index].token = nil
    guard !isOccupied else { return }
    let connection = visitors[index].connection
    visitors[index].token = try? loop.watch(connection.raw, for: .readable) { [unowned self, unowned connection] _ in
      admit(connection)
    }
  }

  private func admit(_ connection: SharedDescriptor) {
    guard !isOccupied, let index = visitors.firstIndex(where: { $0.connection === connection }) else { return }
    let isGone = UnixSocket.hasEnded(connection.raw)
    let copy = isGone ? nil : try? FileDescriptor(duplicating: connection.raw)
    remove(index)
    if let copy { spoke?(copy) } else { left?() }
  }

  private func remove(_ index: Int) {
    if let token = visitors[index].token { loop.unwatch(token) }
    visitors.remove(at: index)
  }
}

/// Whether the socket accepts connections rather than being one.
func isListening(_ raw: Int32) -> Bool {
  var answer: Int32 = 0
  var size = socklen_t(MemoryLayout<Int32>.size)
  return getsockopt(raw, SOL_SOCKET, SO_ACCEPTCONN, &answer, &size) == 0 && answer != 0
}
