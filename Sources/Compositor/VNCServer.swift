import Buffers
import Glibc
import HubProtocol
import Platform

/// The frame as any other process gets it: the clients' thread sees the compositor's memory through this only, and
/// cannot write it.
struct FrameSource: ~Copyable {
  let description: BufferDescription
  let display: PeerName
  let descriptor: FileDescriptor

  init(_ frame: FrameMemory, display: PeerName) throws(SystemError) {
    description = frame.description
    self.display = display
    descriptor = try frame.buffer.readOnlyDescriptor()
  }

  /// Nil when there is no memory for the mapping.
  func open() -> FrameReader? {
    try? FrameReader(description, display: display, descriptor: descriptor.raw)
  }
}

/// The loop of the thread that serves VNC clients.
///
/// It sleeps until the frame changes, a client says something, or one has to be dropped.
final class VNCServer {
  private let listener: TCPListener
  private let mailbox: VNCMailbox
  private let source: FrameSource
  /// The frame, mapped while somebody looks.
  private var frame: FrameReader?
  private let screen: VNCScreen
  /// What of the frame is newer than the copy.
  private var stale: [Rectangle] = []
  private var isClosing = false
  /// No connection is accepted until then.
  private var pause: MonotonicTime?
  private var polls: [pollfd] = []

  private static let mostClients = 16

  init(listener: consuming TCPListener, mailbox: VNCMailbox, source: consuming FrameSource, screen: VNCScreen) {
    self.listener = listener
    self.mailbox = mailbox
    self.source = source
    self.screen = screen
  }

  /// Serves until the mailbox says that it is closed.
  func run() {
    Self.nameThread("muntin-vnc")
    while !isClosing {
      wait()
      readMail()
      receive()
      acceptClients()
      refresh()
      sendUpdates()
      screen.removeGone(at: .now)
      if screen.clients.isEmpty { frame = nil }
      mailbox.clientCount = screen.clients.count
    }
    mailbox.clientCount = 0
  }

  /// For `top -H` and the like.
  private static func nameThread(_ name: String) {
    guard let file = fopen("/proc/thread-self/comm", "we") else { return }
    fputs(name, file)
    fclose(file)
  }

  private func wait() {
    polls.removeAll(keepingCapacity: true)
    polls.append(pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0))
    let now = MonotonicTime.now
    if let end = pause, end <= now { pause = nil }
    polls.append(pollfd(fd: pause == nil ? listener.descriptor.raw : -1, events: Int16(POLLIN), revents: 0))
    for client in screen.clients {
      // A client that waits for a picture which its socket has no room for is heard when there is room.
      let wantsRoom = stale.isEmpty && screen.hasUpdate(for: client)
      polls.append(
        pollfd(fd: screen.socket(of: client), events: Int16(wantsRoom ? POLLIN | POLLOUT : POLLIN), revents: 0))
    }
    poll(&polls, nfds_t(polls.count), timeout(from: now))
  }

  private func timeout(from now: MonotonicTime) -> Int32 {
    // The frame was being drawn; that is over soon.
    if !stale.isEmpty && frame != nil { return 1 }
    guard let next = [pause, screen.nextDeadline].compactMap({ $0 }).min() else { return -1 }
    return Int32(clamping: max(0, (next - now).nanoseconds / 1_000_000 + 1))
  }

  private func readMail() {
    guard polls[0].revents != 0 else { return }
    let mail = mailbox.take()
    isClosing = mail.isClosing
    if !screen.clients.isEmpty { stale += mail.damage }
  }

  private func receive() {
    for (client, poll) in zip(screen.clients, polls.dropFirst(2)) where poll.revents & ~Int16(POLLOUT) != 0 {
      screen.receive(from: client)
    }
  }

  private func acceptClients() {
    guard polls[1].revents != 0 else { return }
    do {
      guard let connection = try UnixSocket.accept(listener.descriptor.raw) else { return }
      guard screen.clients.count < Self.mostClients else { return }
      let isFirst = screen.clients.isEmpty
      // From now on the compositor says what changes.
      mailbox.clientCount = screen.clients.count + 1
      if screen.add(connection, at: .now), isFirst { openFrame() }
    } catch {
      // No descriptors left, most likely: the connection waits.
      pause = .now + .seconds(1)
    }
  }

  private func openFrame() {
    frame = source.open()
    stale = [Rectangle(source.description.layout.size)]
  }

  /// Brings the copy up to date, unless the frame is being drawn.
  private func refresh() {
    guard !stale.isEmpty, let pixels = screen.pixels else { return }
    // There was no memory for the mapping: it is tried again with each change.
    if frame == nil { openFrame() }
    guard let frame, frame.copy(stale, into: pixels, stride: screen.stride) else { return }
    for rectangle in stale { screen.markChanged(rectangle) }
    stale.removeAll(keepingCapacity: true)
  }

  private func sendUpdates() {
    guard stale.isEmpty else { return }
    for client in screen.clients where screen.hasUpdate(for: client) && hasRoom(client) {
      screen.sendUpdate(to: client)
    }
  }

  private func hasRoom(_ client: VNCScreen.Client) -> Bool {
    var poll = pollfd(fd: screen.socket(of: client), events: Int16(POLLOUT), revents: 0)
    return Glibc.poll(&poll, 1, 0) == 1
  }
}
