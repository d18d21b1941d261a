import Glibc
import HubProtocol
import Logging
import Platform

/// The process `muntin hub`: one hub at one path, until SIGINT or SIGTERM.
public struct HubProcess {
  private let socketPath: String
  private let configuration: Hub.Configuration
  private let reload: (() throws -> Layout)?
  private let logger: Logger

  /// A hub that `run` starts. Without a layout the VMs' scanouts stand in a row on each display.
  ///
  /// - Parameter reload: reads the layout again at SIGHUP; where it throws, the layout stays.
  public init(
    socketPath: String, configuration: Hub.Configuration = Hub.Configuration(), reload: (() throws -> Layout)? = nil,
    logger: Logger = Logger(label: "muntin.hub")
  ) {
    self.socketPath = socketPath
    self.configuration = configuration
    self.reload = reload
    self.logger = logger
  }

  /// Serves until a signal ends it.
  ///
  /// - Throws: when the socket cannot be made, such as when another hub listens there.
  public func run() throws(SystemError) {
    DescriptorLimit.raise()
    let loop = try EventLoop()
    let log = HubLog(logger)
    let hub = Hub(loop: loop, configuration: configuration, report: log.note)
    try loop.onSignals([SIGINT, SIGTERM] + (reload == nil ? [] : [SIGHUP])) { signal in
      if signal == SIGHUP { return readLayout(for: hub) }
      logger.info("ending", metadata: ["signal": "\(signal)"])
      loop.stop()
    }
    try prepareDirectory()
    try hub.listen(path: socketPath)
    defer { unlink(socketPath) }
    if isForOthers && UnixSocket.knowsPeers { chmod(socketPath, 0o666) }
    logger.info(
      "listening",
      metadata: ["socket": "\(socketPath)", "layout": configuration.layout == nil ? "automatic" : "configured"])
    ProgramPages.release(on: loop)
    try loop.run()
    hub.close()
  }

  /// Whether programs of other users may connect: who they are is asked of the kernel, not of the file's mode.
  private var isForOthers: Bool {
    configuration.applications.values.contains { $0.user.map { $0 != geteuid() } ?? false }
  }

  private func readLayout(for hub: Hub) {
    guard let reload else { return }
    do {
      hub.setLayout(try reload())
      logger.notice("layout read again")
    } catch {
      logger.error("layout not read", metadata: ["reason": "\(error)"])
    }
  }

  /// Makes the directory of the socket, not those above it.
  private func prepareDirectory() throws(SystemError) {
    guard let slash = socketPath.lastIndex(of: "/"), slash > socketPath.startIndex else { return }
    let directory = String(socketPath[..<slash])
    guard mkdir(directory, isForOthers ? 0o711 : 0o700) == 0 || errno == EEXIST else {
      throw .last("mkdir \(directory)")
    }
  }
}
