import Buffers
import CPixman
import Compositor
import HubProtocol
import Platform

/// What the compositor's scene and painter cost beside pixman alone: four VMs of 1080p, two by two.
enum Composition {
  private static let picture = Size(width: 1920, height: 1080)
  private static let turns = 5
  private static let full = Size(width: 3840, height: 2160)

  /// One round.
  static func measure(_ results: Results, round: Int) throws(BenchError) {
    for (name, display) in [("on a 4K display", full), ("scaled down to a 1080p display", picture)] {
      let stage = try CompositionStage(picture: picture, display: display)
      let rates = rates(round, { stage.compose(Rectangle(picture)) }, { stage.compositeBare() })
      results.record(
        Figure(
          .composition, "4 VMs of 1080p \(name), full damage: frames", .perSecond, beside: .pixman, .ratioAtLeast(0.9)),
        ours: rates.ours, peer: rates.pixman)
    }
    try shares(results, round: round)
  }

  /// Cost against the damaged area: which share of a full frame's time a part of it takes. Pixman alone says which
  /// share is the memory's doing, for rows that are cut short are slower than whole ones.
  private static func shares(_ results: Results, round: Int) throws(BenchError) {
    let stage = try CompositionStage(picture: picture, display: full)
    let whole = rates(round, { stage.compose(Rectangle(picture)) }, { stage.compositeBare() })
    for (name, divisor) in [("1/4", UInt32(2)), ("1/16", 4)] {
      let part = Rectangle(x: 64, y: 64, width: picture.width / divisor, height: picture.height / divisor)
      let partial = rates(round, { stage.compose(part) }, { stage.compositeBare(part) })
      results.record(
        Figure(.composition, "damage of \(name): frames", .perSecond, beside: .pixman, .ratioAtLeast(0.9)),
        ours: partial.ours, peer: partial.pixman)
      results.record(
        Figure(
          .composition, "damage of \(name): share of a full frame's time", .count, beside: .pixman, .ratioAtMost(1.1)),
        ours: whole.ours / partial.ours, peer: whole.pixman / partial.pixman)
    }
    let tiny = rate { stage.compose(Rectangle(x: 64, y: 64, width: 1, height: 1)) }
    results.record(
      Figure(.composition, "damage of one pixel in each VM: time of a frame", .microseconds, beside: .fullFrame),
      ours: 1e6 / tiny, peer: 1e6 / whole.ours)
  }

  /// Both rates, from many short turns: a busy neighbour takes the caches away from both alike.
  private static func rates(
    _ round: Int, _ ours: () -> Void, _ pixman: () -> Void
  ) -> (ours: Double, pixman: Double) {
    var total = (ours: 0.0, pixman: 0.0)
    for turn in 0..<turns {
      for side in Side.order(ofRound: round + turn) {
        switch side {
        case .muntin: total.ours += 1 / rate(ours)
        case .qemu: total.pixman += 1 / rate(pixman)
        }
      }
    }
    return (Double(turns) / total.ours, Double(turns) / total.pixman)
  }

  private static func rate(_ body: () -> Void) -> Double {
    body()
    return Stopwatch.rateOfWork(over: .milliseconds(20), body)
  }
}

/// Four pictures and a display, for both ways.
private final class CompositionStage {
  private let layers: [LayerDescription]
  private let pictures: [HostBuffer]
  private let frame: HostBuffer
  private let scene: Scene
  private let painter: Painter
  private let list = PaintList()
  private let bare: BarePixman

  init(picture: Size, display: Size) throws(BenchError) {
    let cell = Size(width: display.width / 2, height: display.height / 2)
    frame = try Self.buffer(display)
    scene = Scene(size: display)
    guard let vm = PeerName("vm"),
      let painter = Painter(size: display, pixels: try Self.start(frame), stride: Int(frame.layout.stride))
    else { throw .noRoom("a painter") }
    self.painter = painter
    var layers: [LayerDescription] = []
    var pictures: [HostBuffer] = []
    for index in UInt32(0)..<4 {
      let area = Rectangle(
        x: index % 2 * cell.width, y: index / 2 * cell.height, width: cell.width, height: cell.height)
      layers.append(
        LayerDescription(
          id: LayerID(rawValue: UInt64(index)), vm: vm, scanout: ScanoutIndex(rawValue: index), area: area))
      let buffer = try Self.buffer(picture)
      buffer.bytes.initializeMemory(as: UInt8.self, repeating: UInt8(index) * 60)
      pictures.append(buffer)
    }
    self.layers = layers
    self.pictures = pictures
    bare = try BarePixman(pictures, layers.map(\.area), frame)
    for (layer, buffer) in zip(layers, pictures) {
      scene.setLayer(layer)
      scene.setContent(of: layer.id, .shown(try Self.readOnly(buffer), source: Rectangle(picture)))
    }
    scene.takeFrame(into: list)
  }

  /// A frame in which that part of each VM's picture changed.
  func compose(_ damage: Rectangle) {
    for layer in layers { scene.damageBuffer(of: layer.id, damage) }
    scene.takeFrame(into: list)
    painter.paint(list)
  }

  /// The same by pixman alone, with everything prepared.
  func compositeBare(_ part: Rectangle? = nil) { bare.composite(part) }

  private static func buffer(_ size: Size) throws(BenchError) -> HostBuffer {
    guard let layout = PixelLayout(size: size, format: .xrgb8888) else { throw .noRoom("a picture") }
    return try system { () throws(SystemError) in try HostBuffer(layout: layout, name: "bench") }
  }

  private static func start(_ buffer: HostBuffer) throws(BenchError) -> UnsafeMutableRawPointer {
    guard let start = buffer.bytes.baseAddress else { throw .noRoom("a picture") }
    return start
  }

  private static func readOnly(_ buffer: HostBuffer) throws(BenchError) -> ReadOnlyBuffer {
    let descriptor = try system { () throws(SystemError) in try buffer.readOnlyDescriptor() }
    do {
      return try ReadOnlyBuffer(id: buffer.id, layout: buffer.layout, descriptor: descriptor.raw)
    } catch {
      throw .noRoom("a mapping (\(error))")
    }
  }
}

/// Pixman without anything around it: images made once, one composite for each picture.
private final class BarePixman {
  private let target: OpaquePointer
  private var sources: [(image: OpaquePointer, area: Rectangle)] = []

  init(_ pictures: [HostBuffer], _ areas: [Rectangle], _ frame: HostBuffer) throws(BenchError) {
    target = try Self.image(frame)
    for (picture, area) in zip(pictures, areas) {
      let image = try Self.image(picture)
      if picture.layout.size != area.size { Self.scale(image, picture.layout.size, area.size) }
      sources.append((image, area))
    }
  }

  deinit {
    for source in sources { pixman_image_unref(source.image) }
    pixman_image_unref(target)
  }

  /// All of each picture, or that part of each (where nothing is scaled).
  func composite(_ part: Rectangle?) {
    for (image, area) in sources {
      let part = part ?? Rectangle(area.size)
      pixman_image_composite32(
        PIXMAN_OP_SRC, image, nil, target, Int32(part.x), Int32(part.y), 0, 0, Int32(area.x + part.x),
        Int32(area.y + part.y), Int32(part.width), Int32(part.height))
    }
  }

  private static func image(_ buffer: HostBuffer) throws(BenchError) -> OpaquePointer {
    let image = pixman_image_create_bits_no_clear(
      PIXMAN_x8r8g8b8, Int32(buffer.layout.size.width), Int32(buffer.layout.size.height),
      buffer.bytes.baseAddress?.assumingMemoryBound(to: UInt32.self), Int32(buffer.layout.stride))
    guard let image else { throw .noRoom("an image of pixman") }
    return image
  }

  private static func scale(_ image: OpaquePointer, _ from: Size, _ to: Size) {
    var transform = pixman_transform_t()
    pixman_transform_init_scale(
      &transform, Int32(65536 * Double(from.width) / Double(to.width)),
      Int32(65536 * Double(from.height) / Double(to.height)))
    pixman_image_set_transform(image, &transform)
    pixman_image_set_filter(image, PIXMAN_FILTER_BILINEAR, nil, 0)
    pixman_image_set_repeat(image, PIXMAN_REPEAT_PAD)
  }
}
