import Buffers
import Glibc
import HubProtocol
import Logging
import Platform

/// What `muntin compositor` is asked to do.
public struct CompositorOptions: Sendable {
  /// Path of the hub's socket.
  public var hubPath: String
  /// Name of the display.
  public var display: PeerName
  /// Where frames go.
  public var output: OutputKind
  /// Columns and rows of the display.
  public var size: Size
  /// Frames per 1000 seconds.
  public var refreshMillihertz: UInt32
  /// A file whose first line is the password of VNC clients.
  public var passwordFile: String?

  /// The usual: 1920x1080 at 60 Hz.
  public init(
    hubPath: String, display: PeerName, output: OutputKind = .headless,
    size: Size = Size(width: 1920, height: 1080), refreshMillihertz: UInt32 = 60_000, passwordFile: String? = nil
  ) {
    self.hubPath = hubPath
    self.display = display
    self.output = output
    self.size = size
    self.refreshMillihertz = refreshMillihertz
    self.passwordFile = passwordFile
  }
}

/// The process of one display: `muntin compositor`.
public final class Compositor {
  /// What shows the layers.
  public let composer: DisplayComposer
  /// Where frames go.
  public let output: any Output
  private let client: ConsumerClient
  private let frame: FrameMemory

  /// Opens the output. Nothing is shown, and no hub asked, before `start`.
  public init(options: CompositorOptions, loop: EventLoop, logger: Logger) throws(CompositorError) {
    try Self.check(options)
    do { frame = try FrameMemory(size: options.size) } catch { throw .system(error) }
    output = try Self.open(options, frame, logger)
    client = ConsumerClient(
      hubPath: options.hubPath, display: options.display,
      description: DisplayDescription(
        size: options.size, refreshMillihertz: options.refreshMillihertz, output: output.label),
      constraints: Painter.constraints, loop: loop)
    composer = try DisplayComposer(
      output: output, refreshMillihertz: options.refreshMillihertz, loop: loop, client: client, logger: logger)
    client.delegate = composer
  }

  /// Connects to the hub, and again whenever it was lost.
  public func start() throws(CompositorError) {
    do { try client.setFrame(frame) } catch { throw .system(error) }
    client.start()
  }

  /// Leaves the hub.
  public func stop() {
    client.stop()
  }

  /// Serves a display until SIGINT or SIGTERM.
  public static func run(_ options: CompositorOptions, logger: Logger) throws(CompositorError) {
    do {
      let loop = try EventLoop()
      // Before the output: its threads inherit which signals are taken.
      try loop.onSignals([SIGINT, SIGTERM]) { [unowned loop] signal in
        logger.info("ending", metadata: ["signal": "\(signal)"])
        loop.stop()
      }
      let compositor = try Compositor(options: options, loop: loop, logger: logger)
      logger.notice(
        "display ready",
        metadata: [
          "display": "\(options.display)", "output": "\(compositor.output.label)", "size": "\(options.size)",
          "refresh_mhz": "\(options.refreshMillihertz)",
        ])
      try compositor.start()
      ProgramPages.release(on: loop)
      try loop.run()
      compositor.stop()
    } catch let error as SystemError {
      throw .system(error)
    } catch let error as CompositorError {
      throw error
    } catch {
      throw .badMode("\(error)")
    }
  }

  private static func check(_ options: CompositorOptions) throws(CompositorError) {
    let limit: UInt32 = 16_384
    guard !options.size.isEmpty, options.size.width <= limit, options.size.height <= limit else {
      throw .badMode("display size \(options.size) is not between 1x1 and \(limit)x\(limit)")
    }
    guard (1000...1_000_000).contains(options.refreshMillihertz) else {
      throw .badMode("refresh rate \(options.refreshMillihertz) mHz is not between 1 and 1000 Hz")
    }
  }

  private static func open(
    _ options: CompositorOptions, _ frame: FrameMemory, _ logger: Logger
  ) throws(CompositorError) -> any Output {
    switch options.output {
    case .headless: return HeadlessOutput(frame: frame)
    case .vnc(let address):
      VNCLog.route(to: logger)
      let password = try options.passwordFile.map { path throws(CompositorError) in
        try VNCOutput.readPassword(path: path)
      }
      if let password, password.utf8.count > 8 {
        logger.warning("VNC looks at the first 8 bytes of a password only")
      }
      return try VNCOutput(frame: frame, address: address, display: options.display, password: password)
    }
  }
}
