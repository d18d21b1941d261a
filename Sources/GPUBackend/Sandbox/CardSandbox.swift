import GPUDevice
import Glibc
import GuestChannel
import Logging
import Platform
import Rendering
import Sandbox

/// How a card shuts itself in: what it does not need is given up before it reads a byte from the guest
/// (Documentation/sandbox.md).
public final class CardSandbox {
  /// What opens things for the card from now on; nil without a sandbox.
  let connector: Connector?
  private let mode: SandboxMode
  private let draws: Bool
  private let log: RateLimitedLog

  /// More descriptors than a guest's limits and everybody's buffers add up to.
  private static let mostDescriptors: UInt64 = 1 << 18

  /// Starts the connector, and gives up what nothing later needs. Before threads and drivers are started.
  public convenience init(_ options: GPUBackendOptions, logger: Logger) throws {
    try self.init(options, log: RateLimitedLog(logger))
  }

  init(_ options: GPUBackendOptions, log: RateLimitedLog) throws(GPUBackendError) {
    mode = options.sandbox
    draws = options.rendering != nil
    self.log = log
    guard mode != .off else {
      connector = nil
      log.warning("NO SANDBOX: who breaks out of the guest has this user's rights", ["sandbox": "off"])
      return
    }
    var socketPath: String?
    if case .path(let path) = options.socket { socketPath = path }
    let plan = ConnectorPlan(hub: options.hubPath, wayland: options.waylandPath, socket: socketPath, mode: mode)
    do throws(SystemError) {
      connector = try Connector(plan)
    } catch {
      throw .noConnector(error)
    }
    // Drivers write no caches: nothing could be written later.
    setenv("MESA_SHADER_CACHE_DISABLE", "true", 1)
    setenv("MESA_GLSL_CACHE_DISABLE", "true", 1)
    do throws(SandboxError) {
      try Sandbox.giveUpPrivileges()
      try Sandbox.dropCapabilities(keepsFiles: true)
      if draws { _ = try Sandbox.restrictFiles(to: Self.forDriversToStart(socketPath)) }
      if options.rendering?.venus == true { _ = try Sandbox.restrictCalls(to: Self.forRenderServer) }
    } catch {
      throw .noSandbox(error)
    }
  }

  /// Threads that drivers start keep these rules, where the kernel cannot restrict them later (before Linux 7.0): whatever
  /// is to be read or run, no file but a device is written.
  private static func forDriversToStart(_ socketPath: String?) -> FileRules {
    let folder = socketPath.map(SocketFolder.of)
    return FileRules(
      [("/", [.read, .execute]), ("/dev", .write)] + (folder.map { [($0, .sockets)] } ?? []))
  }

  /// The render server, which is started next, and its processes keep this: they run it, load drivers and fork, but reach
  /// no network and no other process.
  private static let forRenderServer = CallPolicy(allBut: [.foreign, .networks])

  /// Connects to the hub; nil without a sandbox: then the card does it itself.
  var hubConnector: ChannelOptions.Connector? {
    guard let connector else { return nil }
    return { () throws(SystemError) in try connector.connectToHub() }
  }

  /// Connects to the Wayland compositor; nil without a sandbox.
  var waylandConnector: ChannelOptions.Connector? {
    guard let connector else { return nil }
    return { () throws(SystemError) in try connector.connectToWayland() }
  }

  /// Removes the card's socket at the end.
  func remove(_ path: String) {
    if let connector { connector.removeSocket() } else { unlink(path) }
  }

  /// Shuts the process in, once everything that it needs is open. `children` are processes that it may still end.
  public func enter(children: [Int32] = []) throws(GPUBackendError) {
    guard let connector else { return }
    keepDevices()
    do throws(SandboxError) {
      let report = try shutIn(connector, children + [connector.pid])
      let says: Logger.Metadata = ["calls": "\(report.calls)", "files": "\(report.files)", "mode": "\(mode)"]
      if report.isWhole { log.info("sandbox", says) } else { log.warning("sandbox, not all of it", says) }
    } catch {
      throw .noSandbox(error)
    }
  }

  private func shutIn(_ connector: Connector, _ children: [Int32]) throws(SandboxError) -> SandboxReport {
    Sandbox.clearEnvironment()
    Sandbox.limitDescriptors(to: Self.mostDescriptors)
    try Sandbox.dropCapabilities()
    let isCovered = Sandbox.restrictsAllThreads || ProcessThreads.count == 1
    let files = try Sandbox.restrictFiles(to: FileRules(draws && isCovered ? Self.forDriversToRead : []))
    let opensFiles = files.isInForce && isCovered
    SharedMemory.whoReopens(all: !opensFiles) { raw throws(SystemError) in try connector.openReadOnly(raw) }
    let policy = CardCalls.policy(draws: draws, opensFiles: opensFiles, children: children)
    return SandboxReport(calls: try Sandbox.restrictCalls(to: policy, isTold: mode == .log), files: files)
  }

  /// What everybody may read, and a driver may want to.
  private static let forDriversToRead: [(path: String, access: FileRules.Access)] = [
    "/usr/lib", "/usr/lib64", "/usr/share/drirc.d", "/usr/share/glvnd", "/usr/share/libdrm", "/etc/drirc",
    "/etc/ld.so.cache", "/proc/cpuinfo", "/sys/devices/system/cpu",
  ].map { ($0, .read) }

  /// What is asked for later, and could not be opened then.
  private func keepDevices() {
    _ = DMABufMaker()
    _ = MemoryMapping.maximumPieces
    _ = SharedMemory.pageSize
  }
}
