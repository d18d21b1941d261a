import Buffers
import CPixman
import HubProtocol
import Platform

/// How fast frames are composed, beside a bare loop of pixman calls for the same rectangles.
public final class CompositionBenchmark {
  /// Four VMs of 1920x1080 in the quarters of a display.
  public enum Shape: String, CaseIterable, Sendable {
    /// On 3840x2160, pixel for pixel.
    case unscaled
    /// On 1920x1080, at half size.
    case halved
  }

  /// Frames per second of both, measured in turn.
  public struct Result: Sendable {
    /// What was composed.
    public let shape: Shape
    /// Part of each VM's picture that changed.
    public let damage: Size
    /// Muntin's composer.
    public let composed: Double
    /// The bare loop.
    public let bare: Double
    /// Ours over theirs.
    public var ratio: Double { composed / bare }
  }

  private let shape: Shape
  private let frame: FrameMemory
  private let scene: Scene
  private let painter: Painter
  private let list = PaintList()
  private var buffers: [ReadOnlyBuffer] = []
  private var areas: [Rectangle] = []
  /// Size of a VM's picture.
  public static let picture = Size(width: 1920, height: 1080)

  /// Sets four VMs up.
  public init(_ shape: Shape) throws {
    self.shape = shape
    let area = shape == .unscaled ? Self.picture : Size(width: 960, height: 540)
    frame = try FrameMemory(size: Size(width: area.width * 2, height: area.height * 2))
    let layout = frame.buffer.layout
    guard let pixels = frame.pixels.baseAddress, let name = PeerName("vm"),
      let painter = Painter(size: layout.size, pixels: pixels, stride: Int(layout.stride)),
      let source = PixelLayout(size: Self.picture, format: .xrgb8888)
    else { throw CompositorError.outOfMemory }
    self.painter = painter
    scene = Scene(size: layout.size)
    for number in 0..<4 as Range<UInt32> {
      let host = try HostBuffer(layout: source)
      _ = host.bytes.initializeMemory(as: UInt8.self, repeating: UInt8(50 * number + 5))
      let descriptor = try host.readOnlyDescriptor()
      let buffer = try ReadOnlyBuffer(id: host.id, layout: source, descriptor: descriptor.raw)
      let place = Rectangle(
        x: number % 2 * area.width, y: number / 2 * area.height, width: area.width, height: area.height)
      let id = LayerID(rawValue: UInt64(number))
      scene.setLayer(
        LayerDescription(
          id: id, vm: name, scanout: ScanoutIndex(0), area: place, scaleMode: shape == .unscaled ? .none : .fit))
      scene.setContent(of: id, .shown(buffer, source: Rectangle(Self.picture)))
      buffers.append(buffer)
      areas.append(place)
    }
  }

  /// Measures both in turn, in many short slices; the best slice of each counts, so that others on the machine disturb
  /// little.
  public func measure(damage: Size = CompositionBenchmark.picture, slices: Int = 20) -> Result {
    var best = (composed: 0.0, bare: 0.0)
    for _ in 0..<max(1, slices) {
      best.composed = max(best.composed, Self.rate(.milliseconds(50)) { compose(Rectangle(damage)) })
      best.bare = max(best.bare, Self.rate(.milliseconds(50)) { composeBare(Rectangle(damage)) })
    }
    return Result(shape: shape, damage: damage, composed: best.composed, bare: best.bare)
  }

  private func compose(_ damage: Rectangle) {
    for id in scene.layerIDs { scene.damageBuffer(of: id, damage) }
    scene.takeFrame(into: list)
    frame.beginFrame()
    painter.paint(list)
    frame.endFrame()
  }

  /// What a program that does nothing else would do.
  private func composeBare(_ damage: Rectangle) {
    let layout = frame.buffer.layout
    guard let pixels = frame.pixels.baseAddress,
      let target = PixmanImage(
        format: PIXMAN_x8r8g8b8, width: Int(layout.size.width), height: Int(layout.size.height), pixels: pixels,
        stride: Int(layout.stride))
    else { return }
    for (buffer, area) in zip(buffers, areas) {
      guard let base = buffer.bytes.baseAddress,
        let source = PixmanImage(
          format: PIXMAN_x8r8g8b8, width: Int(Self.picture.width), height: Int(Self.picture.height),
          pixels: UnsafeMutableRawPointer(mutating: base), stride: Int(buffer.layout.stride))
      else { return }
      let step = Double(Self.picture.width) / Double(area.width)
      if step != 1 { source.sample(scale: (step, step), offset: (0, 0), edge: PIXMAN_REPEAT_PAD) }
      pixman_image_composite32(
        PIXMAN_OP_SRC, source.pointer, nil, target.pointer, 0, 0, 0, 0, Int32(area.x), Int32(area.y),
        Int32(Double(damage.width) / step), Int32(Double(damage.height) / step))
    }
  }

  private static func rate(_ time: Duration, _ body: () -> Void) -> Double {
    body()
    let start = MonotonicTime.now
    var count = 0
    repeat {
      body()
      count += 1
    } while MonotonicTime.now - start < time
    return Double(count) / (Double((MonotonicTime.now - start).nanoseconds) / 1e9)
  }
}
