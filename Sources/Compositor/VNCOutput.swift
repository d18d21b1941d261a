import Buffers
import Glibc
import HubProtocol
import Platform

/// A display that VNC clients look at (RFB 3.8, RFC 6143).
///
/// Clients are served by a thread of their own, so that one that does not read never keeps a frame from being composed.
/// What they type and point at is ignored.
public final class VNCOutput: Output {
  /// The memory that frames are composed in.
  public let frame: FrameMemory
  /// Where it listens.
  public let address: VNCAddress
  private let mailbox: VNCMailbox
  private let thread: pthread_t

  /// "vnc 127.0.0.1:5901".
  public var label: String { "vnc \(address)" }
  /// How many clients are connected.
  public var clientCount: Int { mailbox.clientCount }

  /// Starts to serve `frame`.
  ///
  /// - Parameters:
  ///   - address: where to listen; without a password only an address that nobody else reaches.
  ///   - display: its name, which viewers show as title.
  ///   - password: of which VNC uses the first eight bytes.
  public init(frame: FrameMemory, address: VNCAddress, display: PeerName, password: String?) throws(CompositorError) {
    guard address.isLoopback || password != nil else { throw .passwordNeeded(address: address.description) }
    // A client that goes away while it is written to must not end the process.
    signal(SIGPIPE, SIG_IGN)
    let listener = try TCPListener(address)
    self.frame = frame
    self.address = listener.address
    let source: FrameSource
    do {
      mailbox = try VNCMailbox()
      source = try FrameSource(frame, display: display)
    } catch {
      throw .system(error)
    }
    let size = frame.buffer.layout.size
    let server = VNCServer(
      listener: listener, mailbox: mailbox, source: source,
      screen: try VNCScreen(size: size, name: "muntin \(display)", password: password))
    thread = try Self.start(server)
  }

  deinit {
    mailbox.close()
    pthread_join(thread, nil)
  }

  /// Tells the clients' thread; costs nothing while nobody looks.
  public func present(_ damage: Region) {
    mailbox.post(damage)
  }

  /// Reads a VNC password: the first line of a file.
  public static func readPassword(path: String) throws(CompositorError) -> String {
    guard let file = fopen(path, "re") else {
      throw .passwordFile(path: path, reason: SystemError.last("open").description)
    }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    guard fgets(&line, Int32(line.count), file) != nil else { throw .passwordFile(path: path, reason: "is empty") }
    let bytes = line.prefix { $0 != 0 && $0 != 10 && $0 != 13 }.map { UInt8(bitPattern: $0) }
    guard !bytes.isEmpty else { throw .passwordFile(path: path, reason: "its first line is empty") }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Hands the server to a new thread, which gets no signals.
  private static func start(_ server: VNCServer) throws(CompositorError) -> pthread_t {
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let baton = Unmanaged.passRetained(server)
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { baton in
        guard let baton else { return nil }
        Unmanaged<VNCServer>.fromOpaque(baton).takeRetainedValue().run()
        return nil
      }, baton.toOpaque())
    guard code == 0 else {
      baton.release()
      throw .system(SystemError(call: "pthread_create", code: code))
    }
    return thread
  }
}
