import Glibc
import HubProtocol
import Logging
import Platform

/// The process `muntin hub`: one hub at one path, until SIGINT or SIGTERM.
public struct HubProcess {
  private let socketPath: String
  private let layout: Layout?
  private let logger: Logger

  /// A hub that `run` starts. Without a layout the VMs' scanouts stand in a row on each display.
  public init(socketPath: String, layout: Layout? = nil, logger: Logger = Logger(label: "muntin.hub")) {
    self.socketPath = socketPath
    self.layout = layout
    self.logger = logger
  }

  /// Serves until a signal ends it.
  ///
  /// - Throws: when the socket cannot be made, such as when another hub listens there.
  public func run() throws(SystemError) {
    DescriptorLimit.raise()
    let loop = try EventLoop()
    try loop.onSignals([SIGINT, SIGTERM]) { signal in
      logger.info("ending", metadata: ["signal": "\(signal)"])
      loop.stop()
    }
    let hub = Hub(loop: loop, configuration: Hub.Configuration(layout: layout), report: log)
    try prepareDirectory()
    try hub.listen(path: socketPath)
    defer { unlink(socketPath) }
    chmod(socketPath, S_IRUSR | S_IWUSR)
    logger.info("listening", metadata: ["socket": "\(socketPath)", "layout": layout == nil ? "automatic" : "configured"])
    ResidentMemory.releaseStartUpPages()
    try loop.run()
    hub.close()
  }

  /// Makes the directory of the socket, not those above it.
  private func prepareDirectory() throws(SystemError) {
    guard let slash = socketPath.lastIndex(of: "/"), slash > socketPath.startIndex else { return }
    let directory = String(socketPath[..<slash])
    guard mkdir(directory, S_IRWXU) == 0 || errno == EEXIST else { throw .last("mkdir \(directory)") }
  }

  private func log(_ event: HubEvent) {
    switch event {
    case .joined(let hello, let peer):
      logger.log(
        level: hello.role == .control ? .debug : .info, "joined",
        metadata: ["role": "\(hello.role)", "name": "\(hello.name)", "pid": "\(peer.pid)"])
    case .left(let hello?, let peer, let reason):
      logger.log(
        level: hello.role == .control ? .debug : .info, "left",
        metadata: ["role": "\(hello.role)", "name": "\(hello.name)", "pid": "\(peer.pid)", "reason": "\(reason)"])
    case .left(nil, let peer, let reason):
      logger.debug("refused", metadata: ["pid": "\(peer.pid)", "uid": "\(peer.uid)", "reason": "\(reason)"])
    case .turnedAway(let peer, let reason):
      logger.debug("turned away", metadata: ["pid": "\(peer?.pid ?? 0)", "reason": "\(reason)"])
    case .forgotten(let name): logger.info("forgotten", metadata: ["vm": "\(name)"])
    }
  }
}
