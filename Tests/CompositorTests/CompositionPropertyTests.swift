import Buffers
import Compositor
import HubProtocol
import TestSupport
import Testing

@Suite("Composition")
struct CompositionPropertyTests {
  /// A scene that is changed at random, twice the same way.
  private struct Twins {
    let incremental: TestFrame
    let whole: TestFrame
    let scene: Scene
    var random: SplitMix
    var buffers: [TestBuffer] = []

    init(seed: UInt64) throws {
      random = SplitMix(seed: seed)
      incremental = try TestFrame(160, 120)
      whole = try TestFrame(160, 120)
      scene = Scene(size: incremental.size)
      for format in [PixelFormat.xrgb8888, .argb8888, .rgbx8888, .xbgr8888] {
        let size = (UInt32.random(in: 1...200, using: &random), UInt32.random(in: 1...200, using: &random))
        let buffer = try TestBuffer(size.0, size.1, format: format)
        buffer.drawNoise(Rectangle(buffer.host.layout.size), seed: random.next())
        buffers.append(buffer)
      }
    }

    mutating func number(_ range: ClosedRange<UInt32>) -> UInt32 { UInt32.random(in: range, using: &random) }

    mutating func rectangle(in size: Size) -> Rectangle {
      let x = number(0...size.width - 1)
      let y = number(0...size.height - 1)
      return box(x, y, number(1...size.width - x), number(1...size.height - y))
    }

    /// Shows a buffer in a layer; draws in a buffer and says so in each layer that shows it.
    mutating func change() throws {
      let target = id(UInt64(number(1...5)))
      switch number(0...9) {
      case 0, 1:
        let area = box(number(0...150), number(0...110), number(1...120), number(1...100))
        scene.setLayer(
          try layer(
            target.rawValue, area, z: Int32(number(0...3)), mode: try #require(ScaleMode(rawValue: number(0...2))),
            opacity: number(0...2) == 0 ? UInt8(number(0...255)) : 255))
      case 2: scene.removeLayer(target)
      case 3: scene.setContent(of: target, .absent(try #require(AbsenceReason(rawValue: number(1...3)))))
      case 4, 5:
        let buffer = buffers[Int(number(0...3))]
        scene.setContent(of: target, buffer.content(rectangle(in: buffer.host.layout.size)))
      case 6:
        scene.setCursor(
          of: target,
          number(0...3) == 0
            ? .hidden
            : CursorState(
              image: try cursorImage(0x4000_2030 | number(0...15)), x: 20, y: 20, hotX: number(0...63), hotY: 3))
      case 7: scene.moveCursor(of: target, x: Int32(number(0...200)) - 40, y: Int32(number(0...200)) - 40)
      default: draw()
      }
    }

    private mutating func draw() {
      let buffer = buffers[Int(number(0...3))]
      let damage = rectangle(in: buffer.host.layout.size)
      buffer.drawNoise(damage, seed: random.next())
      for layer in scene.layerIDs {
        if case .shown(let shown, _)? = scene.content(of: layer), shown === buffer.readOnly {
          scene.damageBuffer(of: layer, damage)
        }
      }
    }

    func paintBoth() {
      incremental.paint(scene)
      scene.damageEverything()
      whole.smear(0xff_00ff)
      whole.paint(scene)
    }
  }

  @Test(
    "painting what is damaged gives the same pixels as painting everything", arguments: 1...40 as ClosedRange<UInt64>)
  func incrementalEqualsWhole(seed: UInt64) throws {
    var twins = try Twins(seed: seed)
    for step in 0..<40 {
      for _ in 0..<twins.number(1...3) { try twins.change() }
      twins.paintBoth()
      if let (x, y) = twins.incremental.firstDifference(from: twins.whole) {
        Issue.record("seed \(seed), step \(step): differs at \(x), \(y)")
        return
      }
    }
    #expect(twins.incremental.isBorderUntouched && twins.whole.isBorderUntouched)
  }
}
