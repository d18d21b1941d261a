import Buffers
import HubProtocol
import Logging
import Platform

/// One display: takes what the hub says into the scene, and composes a frame when one is due.
public final class DisplayComposer {
  /// What has been done, for benchmarks and tests.
  public struct Counters: Sendable {
    /// Frames composed.
    public var frames: UInt64 = 0
    /// Flushes answered.
    public var latched: UInt64 = 0
  }

  /// What the display shows.
  public let scene: Scene
  /// What has been done.
  public private(set) var counters = Counters()
  private let output: any Output
  private let painter: Painter
  private let logger: Logger
  private let list = PaintList()
  /// The newest flush of each layer that no frame contains yet.
  private var waiting: [LayerID: UInt64] = [:]
  private var clock: FrameClock?
  private weak var client: ConsumerClient?

  /// A display of the output's size that shows nothing.
  public init(
    output: any Output, refreshMillihertz: UInt32, loop: EventLoop, client: ConsumerClient?, logger: Logger
  ) throws(CompositorError) {
    self.output = output
    self.client = client
    self.logger = logger
    let layout = output.frame.buffer.layout
    guard let pixels = output.frame.pixels.baseAddress,
      let painter = Painter(size: layout.size, pixels: pixels, stride: Int(layout.stride))
    else { throw .outOfMemory }
    self.painter = painter
    scene = Scene(size: layout.size)
    clock = FrameClock(loop: loop, refreshMillihertz: refreshMillihertz) { [unowned self] in compose() }
    clock?.request()
  }

  /// The scene may have changed.
  public func sceneChanged() {
    if scene.isDamaged { clock?.request() }
  }

  /// Composes what is damaged, and answers the flushes that the frame contains.
  private func compose() {
    if scene.isDamaged {
      scene.takeFrame(into: list)
      output.frame.beginFrame()
      painter.paint(list)
      output.frame.endFrame()
      output.present(list.damage)
      counters.frames += 1
    }
    for (layer, serial) in waiting {
      client?.latched(layer, through: serial)
      counters.latched += 1
    }
    waiting.removeAll(keepingCapacity: true)
  }
}

extension DisplayComposer: ConsumerClientDelegate {
  /// LAYER_SET.
  public func consumer(_ client: ConsumerClient, set layer: LayerDescription) {
    scene.setLayer(layer)
    sceneChanged()
  }

  /// LAYER_REMOVE.
  public func consumer(_ client: ConsumerClient, removed layer: LayerID) {
    scene.removeLayer(layer)
    waiting[layer] = nil
    sceneChanged()
  }

  /// LAYER_CONTENT.
  public func consumer(_ client: ConsumerClient, content: LayerContent, of layer: LayerID) {
    scene.setContent(of: layer, readable(content, of: layer))
    sceneChanged()
  }

  /// LAYER_DAMAGE. Answered with the next frame, also when nothing of it can be seen: that paces the guest.
  public func consumer(_ client: ConsumerClient, damage: Rectangle, serial: UInt64, of layer: LayerID) {
    scene.damageBuffer(of: layer, damage)
    waiting[layer] = max(serial, waiting[layer] ?? 0)
    clock?.request()
  }

  /// LAYER_CURSOR.
  public func consumer(_ client: ConsumerClient, cursor: CursorState, of layer: LayerID) {
    scene.setCursor(of: layer, cursor)
    sceneChanged()
  }

  /// LAYER_CURSOR_MOVE.
  public func consumer(_ client: ConsumerClient, cursorOf layer: LayerID, movedToX x: Int32, y: Int32) {
    scene.moveCursor(of: layer, x: x, y: y)
    sceneChanged()
  }

  /// The hub came or went; what is shown stays.
  public func consumer(_ client: ConsumerClient, link: HubLinkState) {
    logger.info("hub", metadata: ["link": "\(link)"])
  }

  /// Content that the painter can read; a buffer that it cannot is reported and not shown.
  private func readable(_ content: LayerContent, of layer: LayerID) -> LayerContent {
    guard case .shown(let buffer, _) = content, !Painter.canRead(buffer.layout) else { return content }
    logger.warning(
      "buffer refused",
      metadata: ["buffer": "\(buffer.id)", "layer": "\(layer)", "stride": "\(buffer.layout.stride)"])
    return .absent(.off)
  }
}
