import Buffers
import Compositor
import HubProtocol
import Testing

@Suite("Scene")
struct SceneTests {
  /// A display that has been painted.
  private func settledScene(_ width: UInt32 = 200, _ height: UInt32 = 100) -> Scene {
    let scene = Scene(size: Size(width: width, height: height))
    settle(scene)
    return scene
  }

  private func settle(_ scene: Scene) {
    scene.takeFrame(into: PaintList())
  }

  @Test("a new display is damaged as a whole, once")
  func start() {
    let scene = Scene(size: Size(width: 200, height: 100))
    #expect(scene.damage.rectangles == [box(0, 0, 200, 100)])
    settle(scene)
    #expect(!scene.isDamaged)
  }

  @Test("damage of a buffer is damage of the layer's place")
  func bufferDamage() throws {
    let scene = settledScene()
    scene.setLayer(try layer(1, box(50, 10, 100, 80)))
    scene.setContent(of: id(1), try TestBuffer(100, 80).content())
    #expect(scene.damage.rectangles == [box(50, 10, 100, 80)])
    settle(scene)
    scene.damageBuffer(of: id(1), box(3, 4, 5, 6))
    #expect(scene.damage.rectangles == [box(53, 14, 5, 6)])
  }

  @Test("damage outside of the source, empty or of an unknown layer is none")
  func noDamage() throws {
    let scene = settledScene()
    scene.setLayer(try layer(1, box(0, 0, 50, 50)))
    scene.setContent(of: id(1), try TestBuffer(100, 100).content(box(20, 20, 10, 10)))
    settle(scene)
    scene.damageBuffer(of: id(1), box(0, 0, 20, 100))
    scene.damageBuffer(of: id(1), box(25, 25, 0, 3))
    scene.damageBuffer(of: id(9), box(0, 0, 100, 100))
    #expect(!scene.isDamaged)
    scene.damageBuffer(of: id(1), box(0, 0, .max, .max))
    #expect(scene.damage.rectangles == [box(0, 0, 10, 10)])
  }

  @Test("damage wider than 16 bits is exact")
  func wideDamage() throws {
    let scene = settledScene(16_384, 100)
    scene.setLayer(try layer(1, box(10, 10, 16_000, 16), mode: .none))
    scene.setContent(of: id(1), try TestBuffer(40_000, 16).content())
    settle(scene)
    scene.damageBuffer(of: id(1), box(0, 0, 40_000, 16))
    #expect(scene.damage.rectangles == [box(10, 10, 16_000, 16)])
    let region = Region(box(0, 0, 40_000, 16))
    region.subtract(box(35_000, 0, 1, 16))
    #expect(region.rectangles == [box(0, 0, 35_000, 16), box(35_001, 0, 4999, 16)])
  }

  @Test("what an opaque layer hides is not damaged")
  func hiddenDamage() throws {
    let scene = settledScene()
    scene.setLayer(try layer(1, box(0, 0, 100, 100)))
    scene.setContent(of: id(1), try TestBuffer(100, 100).content())
    scene.setLayer(try layer(2, box(0, 0, 50, 100), z: 1))
    settle(scene)
    scene.damageBuffer(of: id(1), box(10, 10, 20, 20))
    #expect(!scene.isDamaged)
    scene.damageBuffer(of: id(1), box(40, 10, 20, 20))
    #expect(scene.damage.rectangles == [box(50, 10, 10, 20)])
  }

  @Test("what a translucent layer covers is damaged")
  func coveredDamage() throws {
    let scene = settledScene()
    scene.setLayer(try layer(1, box(0, 0, 100, 100)))
    scene.setContent(of: id(1), try TestBuffer(100, 100).content())
    scene.setLayer(try layer(2, box(0, 0, 50, 100), z: 1, opacity: 254))
    settle(scene)
    scene.damageBuffer(of: id(1), box(10, 10, 20, 20))
    #expect(scene.damage.rectangles == [box(10, 10, 20, 20)])
  }

  @Test("a moved layer damages its old and its new place")
  func move() throws {
    let scene = settledScene()
    scene.setLayer(try layer(1, box(0, 0, 10, 10)))
    settle(scene)
    scene.setLayer(try layer(1, box(100, 50, 10, 10)))
    #expect(scene.damage.rectangles == [box(0, 0, 10, 10), box(100, 50, 10, 10)])
    settle(scene)
    scene.setLayer(try layer(1, box(100, 50, 10, 10)))
    #expect(!scene.isDamaged)
  }

  @Test("a removed layer damages its place; an unknown one nothing")
  func remove() throws {
    let scene = settledScene()
    scene.setLayer(try layer(1, box(20, 30, 10, 10)))
    settle(scene)
    scene.removeLayer(id(7))
    #expect(!scene.isDamaged)
    scene.removeLayer(id(1))
    #expect(scene.damage.rectangles == [box(20, 30, 10, 10)])
    #expect(scene.layerIDs.isEmpty)
  }

  @Test("a cursor damages its old and its new place, inside of its layer")
  func cursor() throws {
    let scene = settledScene(400, 300)
    scene.setLayer(try layer(1, box(100, 100, 200, 150)))
    scene.setContent(of: id(1), try TestBuffer(200, 150).content())
    settle(scene)
    scene.setCursor(of: id(1), CursorState(image: try cursorImage(.max), x: 10, y: 5, hotX: 10, hotY: 5))
    #expect(scene.damage.rectangles == [box(100, 100, 64, 64)])
    settle(scene)
    scene.moveCursor(of: id(1), x: 190, y: 140)
    #expect(Set(scene.damage.rectangles) == [box(100, 100, 64, 64), box(280, 235, 20, 15)])
    settle(scene)
    scene.setCursor(of: id(1), .hidden)
    #expect(scene.damage.rectangles == [box(280, 235, 20, 15)])
  }

  @Test("a cursor anywhere in 32 bits is no damage outside, and no crash")
  func farCursor() throws {
    let scene = settledScene()
    scene.setLayer(try layer(1, box(0, 0, 200, 100), mode: .fit))
    scene.setContent(of: id(1), try TestBuffer(20, 20).content())
    settle(scene)
    let image = try cursorImage(.max)
    for x in [Int32.min, -65, 200, .max] {
      scene.setCursor(of: id(1), CursorState(image: image, x: x, y: x, hotX: .max, hotY: 0))
      scene.moveCursor(of: id(1), x: x, y: .max)
      #expect(!scene.isDamaged)
    }
  }

  @Test("the same reason again damages nothing, another buffer everything")
  func content() throws {
    let scene = settledScene()
    scene.setLayer(try layer(1, box(0, 0, 20, 20)))
    scene.setContent(of: id(1), .absent(.gone))
    settle(scene)
    scene.setContent(of: id(1), .absent(.gone))
    #expect(!scene.isDamaged)
    scene.setContent(of: id(1), .absent(.off))
    #expect(scene.damage.rectangles == [box(0, 0, 20, 20)])
  }

  @Test("layers are ordered by z, then by id, however they came")
  func order() throws {
    let scene = settledScene()
    for number: UInt64 in [5, 3, 9] { scene.setLayer(try layer(number, box(0, 0, 9, 9))) }
    scene.setLayer(try layer(4, box(0, 0, 9, 9), z: -1))
    scene.setLayer(try layer(1, box(0, 0, 9, 9), z: 2))
    #expect(scene.layerIDs == [4, 3, 5, 9, 1].map { id($0) })
    scene.setLayer(try layer(5, box(0, 0, 9, 9), z: 3))
    #expect(scene.layerIDs == [4, 3, 9, 1, 5].map { id($0) })
  }

  @Test("a wholly hidden layer is not painted, an invisible one neither")
  func culling() throws {
    let scene = Scene(size: Size(width: 200, height: 100))
    let list = PaintList()
    let buffer = try TestBuffer(200, 100)
    for number: UInt64 in 1...3 {
      scene.setLayer(try layer(number, box(0, 0, 200, 100), z: Int32(number)))
      scene.setContent(of: id(number), buffer.content())
    }
    scene.takeFrame(into: list)
    #expect(list.count == 1)
    scene.setLayer(try layer(3, box(0, 0, 200, 100), z: 3, opacity: 0))
    scene.takeFrame(into: list)
    #expect(list.count == 1)
    scene.setLayer(try layer(3, box(0, 0, 200, 100), z: 3, opacity: 128))
    scene.takeFrame(into: list)
    #expect(list.count == 2)
  }
}
