import Buffers
import Compositor
import HubProtocol
import Platform
import Testing

/// A buffer of a VM: written here, read by the painter.
struct TestBuffer {
  let host: HostBuffer
  let readOnly: ReadOnlyBuffer

  init(
    _ width: UInt32, _ height: UInt32, format: PixelFormat = .xrgb8888, stride: UInt32? = nil, offset: UInt64 = 0,
    _ pixel: (UInt32, UInt32) -> UInt32 = { _, _ in 0 }
  ) throws {
    let layout = try #require(
      PixelLayout(size: Size(width: width, height: height), format: format, stride: stride, offset: offset))
    host = try HostBuffer(layout: layout)
    let descriptor = try host.readOnlyDescriptor()
    readOnly = try ReadOnlyBuffer(id: host.id, layout: layout, descriptor: descriptor.raw)
    draw(Rectangle(layout.size), pixel)
  }

  /// Draws words of the buffer's own format.
  func draw(_ rectangle: Rectangle, _ pixel: (UInt32, UInt32) -> UInt32) {
    for y in rectangle.y..<rectangle.y + rectangle.height {
      for x in rectangle.x..<rectangle.x + rectangle.width {
        host.bytes.storeBytes(of: pixel(x, y), toByteOffset: host.layout.byteOffset(x: x, y: y), as: UInt32.self)
      }
    }
  }

  /// Draws noise that depends on `seed` only.
  func drawNoise(_ rectangle: Rectangle, seed: UInt64) {
    var state = seed
    for y in rectangle.y..<rectangle.y + rectangle.height {
      var offset = host.layout.byteOffset(x: rectangle.x, y: y)
      let end = offset + Int(rectangle.width) * 4
      while offset < end {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        host.bytes.storeBytes(of: UInt32(truncatingIfNeeded: state >> 32), toByteOffset: offset, as: UInt32.self)
        offset += 4
      }
    }
  }

  func content(_ source: Rectangle? = nil) -> LayerContent {
    .shown(readOnly, source: source ?? Rectangle(host.layout.size))
  }
}

/// A display's memory with a border that must stay as it is.
final class TestFrame {
  let size: Size
  private let stride: Int
  private let memory: UnsafeMutableBufferPointer<UInt32>
  private let painter: Painter
  private let list = PaintList()
  private static let margin = 8
  private static let untouched: UInt32 = 0xdead_beef

  init(_ width: UInt32, _ height: UInt32) throws {
    size = Size(width: width, height: height)
    stride = Int(width) + 2 * Self.margin
    memory = .allocate(capacity: stride * (Int(height) + 2 * Self.margin))
    memory.initialize(repeating: Self.untouched)
    let first = try #require(memory.baseAddress) + (Self.margin * stride + Self.margin)
    painter = try #require(Painter(size: size, pixels: first, stride: stride * 4))
  }

  deinit { memory.deallocate() }

  /// Paints what is damaged; the damage.
  @discardableResult
  func paint(_ scene: Scene) -> [Rectangle] {
    scene.takeFrame(into: list)
    painter.paint(list)
    return list.damage.rectangles
  }

  var stepCount: Int { list.count }

  /// The colour of a pixel, without the byte that means nothing.
  subscript(x: Int, y: Int) -> UInt32 {
    memory[(y + Self.margin) * stride + x + Self.margin] & 0xff_ffff
  }

  var pixels: [UInt32] {
    (0..<Int(size.height)).flatMap { y in (0..<Int(size.width)).map { x in self[x, y] } }
  }

  /// Makes every pixel of the display something that no scene draws.
  func smear(_ color: UInt32) {
    for y in 0..<Int(size.height) { row(y).update(repeating: color) }
  }

  /// The first pixel at which another frame of the same size differs.
  func firstDifference(from other: TestFrame) -> (x: Int, y: Int)? {
    for y in 0..<Int(size.height) {
      let (ours, theirs) = (row(y), other.row(y))
      var x = 0
      while x < ours.count {
        if (ours[x] ^ theirs[x]) & 0xff_ffff != 0 { return (x, y) }
        x += 1
      }
    }
    return nil
  }

  private func row(_ y: Int) -> UnsafeMutableBufferPointer<UInt32> {
    let start = (y + Self.margin) * stride + Self.margin
    return UnsafeMutableBufferPointer(rebasing: memory[start..<start + Int(size.width)])
  }

  var isBorderUntouched: Bool {
    let (width, height) = (Int(size.width), Int(size.height))
    for (index, word) in memory.enumerated() {
      let (x, y) = (index % stride - Self.margin, index / stride - Self.margin)
      let isInside = (0..<width).contains(x) && (0..<height).contains(y)
      if !isInside && word != Self.untouched { return false }
    }
    return true
  }
}

func layer(
  _ id: UInt64, _ area: Rectangle, z: Int32 = 0, mode: ScaleMode = .none, opacity: UInt8 = 255, vm: String = "vm"
) throws -> LayerDescription {
  LayerDescription(
    id: LayerID(rawValue: id), vm: try #require(PeerName(vm)), scanout: ScanoutIndex(0), area: area, z: z,
    scaleMode: mode, opacity: opacity)
}

func box(_ x: UInt32, _ y: UInt32, _ width: UInt32, _ height: UInt32) -> Rectangle {
  Rectangle(x: x, y: y, width: width, height: height)
}

func id(_ number: UInt64) -> LayerID { LayerID(rawValue: number) }

/// A cursor image of one colour.
func cursorImage(_ color: UInt32) throws -> CursorImage {
  try #require(CursorImage(pixels: [UInt32](repeating: color, count: CursorImage.pixelCount)))
}
