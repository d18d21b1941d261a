import Glibc
import Platform
import Sandbox

/// The process that connects for a card: it does what ``ConnectorRequest`` names, and nothing else.
public struct ConnectorProcess: ~Copyable {
  private let plan: ConnectorPlan
  private let socket: FileDescriptor

  /// Serves whoever has the other end of a descriptor that this process was started with.
  public init(_ plan: ConnectorPlan, socket raw: Int32) {
    self.plan = plan
    socket = FileDescriptor(adopting: raw)
  }

  /// Shuts itself in, and answers until the card has gone.
  public func run() throws {
    try shutIn()
    while let (message, descriptor) = try ConnectorMessage.receive(socket.raw) {
      let given = descriptor.map { SharedDescriptor(FileDescriptor(adopting: $0)) }
      var answer = ConnectorMessage(word: 0, serial: message.serial)
      do throws(SystemError) {
        guard let request = ConnectorRequest(rawValue: message.word) else {
          throw SystemError(call: "request", code: EINVAL)
        }
        if let found = try serve(request, given?.raw) {
          try answer.send(socket.raw, found.raw)
          continue
        }
      } catch {
        answer.word = UInt32(clamping: error.code)
      }
      try answer.send(socket.raw)
    }
  }

  private func serve(_ request: ConnectorRequest, _ given: Int32?) throws(SystemError) -> SharedDescriptor? {
    switch request {
    case .hub: return SharedDescriptor(try Self.connect(plan.hub, .sequencedPacket))
    case .wayland: return SharedDescriptor(try Self.connect(plan.wayland, .stream))
    case .readOnly: return SharedDescriptor(try Self.openReadOnly(given))
    case .removeSocket:
      guard let path = plan.socket else { throw SystemError(call: "unlink", code: ENOENT) }
      guard unlink(path) == 0 else { throw .last("unlink \(path)") }
      return nil
    }
  }

  private static func connect(_ path: String?, _ kind: UnixSocket.Kind) throws(SystemError) -> FileDescriptor {
    guard let path else { throw SystemError(call: "connect", code: ENOENT) }
    return try UnixSocket.connect(path: path, kind: kind)
  }

  /// Only what memory is: a device or a folder that somebody sent is not opened again.
  private static func openReadOnly(_ given: Int32?) throws(SystemError) -> FileDescriptor {
    guard let given else { throw SystemError(call: "open", code: EBADF) }
    var status = stat()
    guard fstat(given, &status) == 0 else { throw .last("fstat") }
    guard status.st_mode & S_IFMT == S_IFREG else { throw SystemError(call: "open", code: EACCES) }
    return try SharedMemory.reopenReadOnly(given)
  }

  private func shutIn() throws {
    signal(SIGPIPE, SIG_IGN)
    Sandbox.clearEnvironment()
    try Sandbox.giveUpPrivileges()
    Sandbox.limitDescriptors(to: 64)
    _ = try Sandbox.restrictFiles(to: files)
    _ = try Sandbox.restrictCalls(to: ConnectorCalls.policy, isTold: plan.mode == .log)
    ProgramPages.release()
  }

  /// Reading, for files of a VM's memory wherever they are (/dev/shm, hugepages); the end of one socket's file.
  private var files: FileRules {
    let folder = plan.socket.map { SocketFolder.of($0) }
    return FileRules([("/", .read)] + (folder.map { [($0, .sockets)] } ?? []))
  }
}

/// Where a socket's file is.
enum SocketFolder {
  static func of(_ path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
