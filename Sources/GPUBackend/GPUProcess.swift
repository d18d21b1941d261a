import Buffers
import GPUDevice
import Glibc
import GuestChannel
import HubProtocol
import Logging
import Platform
import Rendering
import VhostUser
import Virtqueue

/// The process `muntin gpu`: one VM's graphics card, from its vhost-user socket to whoever shows its pictures.
public final class GPUProcess {
  private let options: GPUBackendOptions
  private let log: RateLimitedLog
  private let loop: EventLoop
  private let device: GPUDevice
  private let backend: VhostUserBackend
  private let renderer: VirglRenderer?
  private let hub: Hub?
  private let reporter: LedgerReporter?
  private let mirror: MirrorSink?
  private let sandbox: CardSandbox
  private var failure: GPUBackendError?
  private var pagesTimer: EventLoop.TimerToken?

  /// A card with the hub it shows its pictures through.
  private struct Hub {
    let client: ProducerClient
    let sink: HubSink
  }

  /// Makes the card; nothing is opened yet but what draws for it. With a sandbox the process gives up its privileges here,
  /// for good.
  public init(_ options: GPUBackendOptions, logger: Logger) throws {
    try Self.check(options)
    self.options = options
    log = RateLimitedLog(logger)
    loop = try EventLoop()
    loop.busyPoll = .microseconds(200)
    // Before there are threads.
    sandbox = try CardSandbox(options, log: log)
    renderer = try Self.makeRenderer(options, loop: loop, log: log)
    let sink: any DisplaySink
    if let path = options.hubPath {
      let hub = try Self.makeHub(options, path: path, loop: loop, log: log, reach: sandbox.hubConnector)
      (self.hub, mirror, sink) = (hub, nil, hub.sink)
    } else {
      let mirror = MirrorSink(loop: loop, log: log)
      (self.hub, self.mirror, sink) = (nil, mirror, mirror)
    }
    var configuration = GPUConfiguration(scanouts: options.sizes, name: options.vmName, limits: options.limits)
    configuration.allocation = options.allocation
    configuration.sources = Self.sources(options, log)
    configuration.hostVisible = options.hostVisible
    configuration.blobAlignment = options.blobAlignment
    device = GPUDevice(
      configuration: configuration, sink: sink,
      contextKinds: (renderer?.kinds ?? []) + Self.contextKinds(options, sandbox, loop: loop, log: log),
      renderer: renderer)
    try renderer?.charge(device.ledger, on: loop)
    backend = VhostUserBackend(device: device, loop: loop)
    hub?.sink.device = device
    if let client = hub?.client {
      reporter = LedgerReporter(device: device, client: client, loop: loop)
    } else {
      reporter = nil
    }
    connectParts()
  }

  private static func check(_ options: GPUBackendOptions) throws(GPUBackendError) {
    guard (1...ScanoutID.maximumCount).contains(options.sizes.count) else {
      throw .scanoutCount(options.sizes.count)
    }
    for size in options.sizes where !(32...8192).contains(size.width) || !(32...8192).contains(size.height) {
      throw .scanoutSize(size)
    }
    guard PeerName(options.vmName) != nil else { throw .invalidName(options.vmName) }
  }

  /// Where pictures can be allocated on this machine: a heap, or a driver, is tried here.
  private static func sources(_ options: GPUBackendOptions, _ log: RateLimitedLog) -> [HostSource] {
    guard let heap = options.heap else { return [.memoryFile] }
    do throws(SystemError) {
      return [try HostSource.tried(heap), .memoryFile]
    } catch {
      log.warning("heap not usable: pictures are in memory files", ["heap": "\(heap)", "reason": "\(error)"])
      return [.memoryFile]
    }
  }

  private static func makeHub(
    _ options: GPUBackendOptions, path: String, loop: EventLoop, log: RateLimitedLog,
    reach: ChannelOptions.Connector?
  ) throws(GPUBackendError) -> Hub {
    guard let name = PeerName(options.vmName) else { throw .invalidName(options.vmName) }
    var socketPath = ""
    if case .path(let path) = options.socket { socketPath = path }
    let client = ProducerClient(
      hubPath: path, vm: name, socketPath: socketPath, memoryLimit: UInt64(clamping: options.limits.hostAllocated),
      loop: loop, reach: reach)
    client.vmmMapsReadOnly = options.vmmMapsReadOnly
    return Hub(client: client, sink: HubSink(client: client, modes: options.sizes, log: log))
  }

  /// Loads and starts what draws in 3D.
  private static func makeRenderer(
    _ options: GPUBackendOptions, loop: EventLoop, log: RateLimitedLog
  ) throws -> VirglRenderer? {
    guard let wanted = options.rendering else { return nil }
    let renderer = try VirglRenderer(wanted) { line in log.info("virglrenderer", ["says": "\(line)"]) }
    try renderer.attach(to: loop)
    try watch(renderer, for: options.hangLimit, vm: options.vmName, loop: loop)
    log.info("3D", ["driver": "\(renderer.driver.name)", "capsets": "\(renderer.kinds.map(\.capset))"])
    return renderer
  }

  /// A renderer that hangs takes its process with it, which is all that reaches a VMM whose card hangs: its guest finds
  /// the card gone, as after a crash, and the hub shows that the VM shows nothing.
  private static func watch(
    _ renderer: VirglRenderer, for limit: Duration, vm: String, loop: EventLoop
  ) throws(SystemError) {
    let seconds = limit.components.seconds
    let words = "error: the renderer of VM \(vm) hangs: nothing done for \(seconds) s (--hang-seconds); ending"
    let watch = try HangWatch(limit: limit, words: words)
    loop.hangWatch = watch
    renderer.expectProgress(within: limit, on: loop) { watch.end() }
  }

  /// What the guest's programs can open contexts of.
  private static func contextKinds(
    _ options: GPUBackendOptions, _ sandbox: CardSandbox, loop: EventLoop, log: RateLimitedLog
  ) -> [any ContextKind] {
    let hubPath = options.hubChannel ? options.hubPath : nil
    guard let vm = PeerName(options.vmName), hubPath != nil || options.waylandPath != nil else { return [] }
    var channels = hubPath.map { ChannelOptions(hubPath: $0, vm: vm) } ?? ChannelOptions(vm: vm)
    channels.sharesDisplays = options.sharesDisplays
    if hubPath != nil, let connect = sandbox.hubConnector { channels.connectToHub = connect }
    if let path = options.waylandPath {
      if let connect = sandbox.waylandConnector {
        channels.addWayland(connect: connect)
      } else {
        channels.addWayland(path: path)
      }
    }
    let kind = ChannelContexts(channels, loop: loop) { event in
      log.info("channel", ["vm": "\(vm)", "event": "\(event)"])
    }
    return [kind]
  }

  private func connectParts() {
    backend.delegate = self
    device.configurationChanged = { [weak self] in self?.backend.configurationChanged() }
    device.yield = { [weak self] queue in
      self?.loop.afterEvents { self?.device.kicked(queue: queue) }
    }
    device.refused = { [log] error, header in
      log.warning("command refused", ["command": "\(header?.type ?? 0)", "reason": "\(error)"])
    }
    device.queueBroken = { [log] queue, error in
      log.warning("queue broken", ["queue": "\(queue)", "reason": "\(error)"])
    }
  }

  /// Serves front-ends until SIGTERM or SIGINT, or until the only connection that was handed over ends.
  public func run() throws {
    DescriptorLimit.raise()
    try loop.onSignals([SIGTERM, SIGINT]) { [loop] _ in loop.stop() }
    switch options.socket {
    case .path(let path):
      try backend.listen(path: path)
      log.info("listening", ["vm": "\(options.vmName)", "socket": "\(path)"])
    case .descriptor(let number):
      try backend.serve(FileDescriptor(adopting: number))
      log.info("serving", ["vm": "\(options.vmName)", "descriptor": "\(number)"])
    }
    sandbox.connector?.ended = { [weak self] in self?.end(.connectorEnded) }
    try sandbox.enter(children: renderer?.processes ?? [])
    hub?.client.start()
    ProgramPages.release(on: loop)
    try loop.run()
    backend.close()
    if case .path(let path) = options.socket { sandbox.remove(path) }
    if let failure { throw failure }
  }

  private func end(_ failure: GPUBackendError) {
    self.failure = failure
    loop.stop()
  }
}

extension GPUProcess: VhostUserBackendDelegate {
  /// The VMM drives the card from now on.
  public func frontendConnected(_ peer: UnixSocket.PeerCredentials?) {
    log.info("front-end connected", ["vm": "\(options.vmName)", "process": "\(peer?.pid ?? 0)"])
    hub?.sink.setVMConnected(true)
    // Once, however often somebody connects.
    if let pagesTimer { loop.cancel(pagesTimer) }
    pagesTimer = ProgramPages.release(on: loop)
  }

  /// The VM has gone; its card waits for the next one.
  public func frontendDisconnected(_ reason: VhostUserError) {
    log.info("front-end gone", ["vm": "\(options.vmName)", "reason": "\(reason)"])
    hub?.sink.setVMConnected(false)
    mirror?.forgetDisplay()
  }

  /// The VMM shows the pictures itself, unless the hub does.
  public func displaySocketReceived(_ socket: consuming FileDescriptor) -> Bool {
    guard let mirror else { return true }
    return mirror.connect(socket)
  }

  /// For the log.
  public func requestRefused(_ request: UInt32, _ reason: VhostUserError) {
    log.warning("vhost-user request refused", ["request": "\(request)", "reason": "\(reason)"])
  }

  /// For the log: QEMU 10 refuses every change of the configuration.
  public func backendRequestRefused(_ code: UInt64) {
    log.warning("front-end refused a request", ["code": "\(code)"])
  }

  /// A card that was given its only connection has nothing left to do.
  public func noMoreFrontends() { loop.stop() }
}
