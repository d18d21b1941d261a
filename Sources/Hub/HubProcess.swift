import Glibc
import HubProtocol
import Logging
import Platform

/// The process `muntin hub`: one hub at one path, until SIGINT or SIGTERM.
public struct HubProcess {
  private let socketPath: String
  private let layout: Layout?
  private let reload: (() throws -> Layout)?
  private let guestMemoryReaders: DisplayTrust
  private let logger: Logger

  /// A hub that `run` starts. Without a layout the VMs' scanouts stand in a row on each display.
  ///
  /// - Parameters:
  ///   - reload: reads the layout again at SIGHUP; where it throws, the layout stays.
  ///   - guestMemoryReaders: which displays that the layout does not name may be handed VMs' memory.
  public init(
    socketPath: String, layout: Layout? = nil, reload: (() throws -> Layout)? = nil,
    guestMemoryReaders: DisplayTrust = .none,
    logger: Logger = Logger(label: "muntin.hub")
  ) {
    self.socketPath = socketPath
    self.layout = layout
    self.reload = reload
    self.guestMemoryReaders = guestMemoryReaders
    self.logger = logger
  }

  /// Serves until a signal ends it.
  ///
  /// - Throws: when the socket cannot be made, such as when another hub listens there.
  public func run() throws(SystemError) {
    DescriptorLimit.raise()
    let loop = try EventLoop()
    let log = HubLog(logger)
    var configuration = Hub.Configuration(layout: layout)
    configuration.guestMemoryReaders = guestMemoryReaders
    let hub = Hub(loop: loop, configuration: configuration, report: log.note)
    try loop.onSignals([SIGINT, SIGTERM] + (reload == nil ? [] : [SIGHUP])) { signal in
      if signal == SIGHUP { return readLayout(for: hub) }
      logger.info("ending", metadata: ["signal": "\(signal)"])
      loop.stop()
    }
    try prepareDirectory()
    try hub.listen(path: socketPath)
    defer { unlink(socketPath) }
    logger.info(
      "listening", metadata: ["socket": "\(socketPath)", "layout": layout == nil ? "automatic" : "configured"])
    ProgramPages.release(on: loop)
    try loop.run()
    hub.close()
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
    guard mkdir(directory, S_IRWXU) == 0 || errno == EEXIST else { throw .last("mkdir \(directory)") }
  }
}
