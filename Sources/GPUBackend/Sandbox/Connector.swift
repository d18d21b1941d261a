import Glibc
import HubProtocol
import Platform

/// A card's helper: the process that opens for it what it may not open itself.
///
/// It is this program once more, started before the card shuts itself in; it ends with the card. The thread of the card's
/// loop uses it, no other.
final class Connector: @unchecked Sendable {
  /// How long an answer is waited for: connecting does not wait for anybody.
  private static let patience: Int32 = 500

  private let plan: ConnectorPlan
  private let child: ChildProcess
  private let socket: FileDescriptor
  private var serial: UInt32 = 0
  private var isGone = false
  /// Called once, when it turns out that the helper has ended.
  var ended: () -> Void = {}

  /// Starts the helper.
  init(_ plan: ConnectorPlan) throws(SystemError) {
    self.plan = plan
    let (near, far) = try UnixSocket.pair(.sequencedPacket).take()
    let theirs = FileDescriptor(adopting: far)
    socket = FileDescriptor(adopting: near)
    let command = ChildCommand(
      program: Self.program, name: "muntin", arguments: plan.arguments, environment: Self.environment, folder: ".")
    child = try ChildProcess(command, output: 2, input: theirs.raw)
  }

  /// This program: what the kernel runs, unless that is a dynamic linker that was told to run it.
  private static var program: String {
    let own = "/proc/self/exe"
    var room = [CChar](repeating: 0, count: 4096)
    let count = readlink(own, &room, room.count)
    let path = String(decoding: room[..<max(count, 0)].map(UInt8.init(bitPattern:)), as: UTF8.self)
    let name = path.split(separator: "/").last ?? ""
    return name.hasPrefix("ld-") || name.hasPrefix("ld.") ? CommandLine.arguments[0] : own
  }

  /// What the dynamic linker and the language's own start look at; the helper forgets it then.
  private static var environment: [String] {
    ["LD_LIBRARY_PATH", "SWIFT_BACKTRACE"].compactMap { (name: String) -> String? in
      getenv(name).map { "\(name)=\(String(cString: $0))" }
    }
  }

  /// Its number.
  var pid: Int32 { child.pid }

  /// A new connection to the hub, blocking.
  func connectToHub() throws(SystemError) -> FileDescriptor {
    try descriptor(.hub, "connect \(plan.hub ?? "")")
  }

  /// A new connection to the Wayland compositor, blocking.
  func connectToWayland() throws(SystemError) -> FileDescriptor {
    try descriptor(.wayland, "connect \(plan.wayland ?? "")")
  }

  /// A file of which this process has a descriptor, for reading only.
  func openReadOnly(_ raw: Int32) throws(SystemError) -> FileDescriptor {
    try descriptor(.readOnly, "open /proc/self/fd", sending: raw)
  }

  /// Removes the file of the socket at which the card listened.
  func removeSocket() { _ = try? ask(.removeSocket, "unlink") }

  private func descriptor(
    _ request: ConnectorRequest, _ call: String, sending raw: Int32? = nil
  ) throws(SystemError) -> FileDescriptor {
    guard let descriptor = try ask(request, call, sending: raw) else { throw SystemError(call: call, code: EBADMSG) }
    return FileDescriptor(adopting: descriptor)
  }

  private func ask(
    _ request: ConnectorRequest, _ call: String, sending raw: Int32? = nil
  ) throws(SystemError) -> Int32? {
    guard !isGone else { throw SystemError(call: "\(call) (the card's connector has ended)", code: EPIPE) }
    serial &+= 1
    do throws(SystemError) {
      try ConnectorMessage(word: request.rawValue, serial: serial).send(socket.raw, raw)
      return try answer(call)
    } catch {
      if error.code == EPIPE || error.code == ECONNRESET { isGone = true }
      if isGone { ended() }
      throw error
    }
  }

  /// The answer to the last request; those that came too late for theirs are passed over.
  private func answer(_ call: String) throws(SystemError) -> Int32? {
    while true {
      var poll = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
      let count = Glibc.poll(&poll, 1, Self.patience)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw .last("poll") }
      guard count > 0 else { throw SystemError(call: "\(call) (by the card's connector)", code: ETIMEDOUT) }
      guard let (message, descriptor) = try ConnectorMessage.receive(socket.raw) else {
        throw SystemError(call: "\(call) (by the card's connector)", code: EPIPE)
      }
      guard message.serial == serial else {
        if let descriptor { close(descriptor) }
        continue
      }
      guard message.word == 0 else { throw SystemError(call: call, code: Int32(clamping: message.word)) }
      return descriptor
    }
  }
}
