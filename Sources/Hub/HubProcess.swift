import Glibc
import HubProtocol
import Logging
import Platform

/// The process `muntin hub`: one hub at one path, until SIGINT or SIGTERM.
public struct HubProcess {
  private let socketPath: String
  private let layout: Layout?
  private let guestMemoryReaders: DisplayTrust
  private let logger: Logger

  /// A hub that `run` starts. Without a layout the VMs' scanouts stand in a row on each display.
  public init(
    socketPath: String, layout: Layout? = nil, guestMemoryReaders: DisplayTrust = .none,
    logger: Logger = Logger(label: "muntin.hub")
  ) {
    self.socketPath = socketPath
    self.layout = layout
    self.guestMemoryReaders = guestMemoryReaders
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
    let log = HubLog(logger)
    var configuration = Hub.Configuration(layout: layout)
    configuration.guestMemoryReaders = guestMemoryReaders
    let hub = Hub(loop: loop, configuration: configuration, report: log.note)
    try prepareDirectory()
    try hub.listen(path: socketPath)
    defer { unlink(socketPath) }
    logger.info(
      "listening", metadata: ["socket": "\(socketPath)", "layout": layout == nil ? "automatic" : "configured"])
    ProgramPages.release(on: loop)
    try loop.run()
    hub.close()
  }

  /// Makes the directory of the socket, not those above it.
  private func prepareDirectory() throws(SystemError) {
    guard let slash = socketPath.lastIndex(of: "/"), slash > socketPath.startIndex else { return }
    let directory = String(socketPath[..<slash])
    guard mkdir(directory, S_IRWXU) == 0 || errno == EEXIST else { throw .last("mkdir \(directory)") }
  }
}
