import Buffers
import Compositor
import Glibc
import HubProtocol
import Platform
import Synchronization

/// A consumer of the hub that latches at once: counts frames, and looks at one pixel of each. It takes the memory that
/// the compositor takes.
final class FrameWatcher: Sendable {
  private let hubPath: String
  private let display: PeerName
  private let size: Size
  private let takesLinks: Bool
  private let bell: Doorbell
  private let stopBell: Doorbell
  private let thread = Mutex<BackgroundThread?>(nil)
  private let frameCount = Atomic<Int>(0)
  private let newestSerial = Atomic<UInt64>(0)
  private let lastFrame = Atomic<Int64>(0)
  private let ringsBell = Atomic<Bool>(false)
  private let failed = Atomic<Bool>(false)

  init(hubPath: String, display: PeerName, size: Size, takesLinks: Bool) throws(BenchError) {
    self.hubPath = hubPath
    self.display = display
    self.size = size
    self.takesLinks = takesLinks
    (bell, stopBell) = try system { () throws(SystemError) in
      (try Doorbell(), try Doorbell())
    }
  }

  /// How many times damage has arrived.
  var frames: Int { frameCount.load(ordering: .acquiring) }
  /// How many flushes the frames contained, of all screens together.
  var serial: UInt64 { newestSerial.load(ordering: .acquiring) }
  /// When the last frame came, in nanoseconds.
  var lastTime: Int64 { lastFrame.load(ordering: .acquiring) }

  /// Whether each frame rings a bell, for `wait`.
  func announce(_ on: Bool) { ringsBell.store(on, ordering: .releasing) }

  /// Sleeps until a flush beyond `serial` has been seen; the bell must be on.
  func wait(beyond serial: UInt64) throws(BenchError) {
    while self.serial <= serial {
      var file = pollfd(fd: bell.waiting.raw, events: Int16(POLLIN), revents: 0)
      guard poll(&file, 1, 5000) > 0 else { throw .timedOut("no frame for 5 s") }
      bell.drain()
    }
  }

  /// Consumes on a thread of its own until `finish`.
  func start() {
    thread.withLock { $0 = BackgroundThread { self.run() } }
  }

  /// Ends the thread.
  func finish() {
    stopBell.ring()
    thread.withLock { $0.take()?.join() }
  }

  private func run() {
    do {
      let loop = try EventLoop()
      let delegate = Delegate(self)
      let client = ConsumerClient(
        hubPath: hubPath, display: display,
        description: DisplayDescription(size: size, refreshMillihertz: 60_000, output: "benchmark"),
        constraints: Painter.constraints, loop: loop, takesLinks: takesLinks)
      client.delegate = delegate
      _ = try loop.watch(stopBell.waiting.raw, for: .readable) { [unowned loop] _ in loop.stop() }
      client.start()
      try loop.run()
      client.stop()
    } catch {
      failed.store(true, ordering: .releasing)
    }
  }

  fileprivate func see(_ flushes: UInt64) {
    lastFrame.store(Stopwatch.now, ordering: .releasing)
    frameCount.add(1, ordering: .releasing)
    newestSerial.add(flushes, ordering: .releasing)
    if ringsBell.load(ordering: .acquiring) { bell.ring() }
  }

  /// Lives on the thread.
  private final class Delegate: ConsumerClientDelegate {
    private let watcher: FrameWatcher
    private var pictures: [LayerID: ReadOnlyBuffer] = [:]
    /// The newest flush of each layer; they count from 1.
    private var serials: [LayerID: UInt64] = [:]
    private var pixels: UInt32 = 0

    init(_ watcher: FrameWatcher) { self.watcher = watcher }

    func consumer(_ client: ConsumerClient, content: LayerContent, of layer: LayerID) {
      if case .shown(let buffer, _) = content { pictures[layer] = buffer } else { pictures[layer] = nil }
    }

    func consumer(_ client: ConsumerClient, damage: Rectangle, serial: UInt64, of layer: LayerID) {
      if let picture = pictures[layer], damage.fits(in: picture.layout.size) {
        let place = picture.layout.byteOffset(x: damage.x, y: damage.y)
        pixels ^= picture.bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)
      }
      // Damage that the hub sends may have an older number than what came by a link.
      let before = serials[layer, default: 0]
      watcher.see(serial > before ? serial - before : 0)
      serials[layer] = max(before, serial)
      client.latched(layer, through: serial)
    }

    func consumer(_ client: ConsumerClient, set layer: LayerDescription) {}
    func consumer(_ client: ConsumerClient, removed layer: LayerID) {}
    func consumer(_ client: ConsumerClient, cursor: CursorState, of layer: LayerID) {}
    func consumer(_ client: ConsumerClient, cursorOf layer: LayerID, movedToX x: Int32, y: Int32) {}
    func consumer(_ client: ConsumerClient, link: HubLinkState) {}
  }
}
