import Buffers
import Compositor
import HubProtocol
import Testing

@Suite("Painter")
struct PainterTests {
  private static func gradient(_ x: UInt32, _ y: UInt32) -> UInt32 { 0x5500_0000 | x << 16 | y << 8 | (x ^ y) & 0xff }

  @Test("none shows the buffer's pixels at the area's corner, black beyond, nothing outside")
  func pixelForPixel() throws {
    let frame = try TestFrame(100, 80)
    let scene = Scene(size: frame.size)
    scene.setLayer(try layer(1, box(20, 10, 50, 60)))
    scene.setContent(
      of: id(1), try TestBuffer(40, 90, stride: 200, offset: 64, Self.gradient).content(box(3, 5, 30, 80)))
    frame.paint(scene)
    for y in 0..<80 {
      for x in 0..<100 {
        let isShown = (20..<50).contains(x) && (10..<70).contains(y)
        let expected = isShown ? Self.gradient(UInt32(x - 20 + 3), UInt32(y - 10 + 5)) & 0xff_ffff : 0
        #expect(frame[x, y] == expected, "at \(x), \(y)")
      }
    }
    #expect(frame.isBorderUntouched)
  }

  @Test("fill of the same width crops top and bottom without scaling")
  func crop() throws {
    let frame = try TestFrame(40, 20)
    let scene = Scene(size: frame.size)
    scene.setLayer(try layer(1, box(0, 0, 40, 20), mode: .fill))
    scene.setContent(of: id(1), try TestBuffer(40, 30, Self.gradient).content())
    frame.paint(scene)
    #expect(frame[0, 0] == Self.gradient(0, 5) & 0xff_ffff)
    #expect(frame[39, 19] == Self.gradient(39, 24) & 0xff_ffff)
  }

  @Test(
    "every format of virtio-gpu shows red as red, whatever its alpha says",
    arguments: zip(
      PixelFormat.known,
      [0x0011_2233, 0xff11_2233, 0x3322_1100, 0x3322_11ff, 0x0033_2211, 0xff33_2211, 0x1122_3300, 0x1122_33ff]
        as [UInt32]))
  func formats(format: PixelFormat, word: UInt32) throws {
    let frame = try TestFrame(8, 8)
    let scene = Scene(size: frame.size)
    scene.setLayer(try layer(1, box(0, 0, 8, 8)))
    scene.setContent(of: id(1), try TestBuffer(8, 8, format: format) { _, _ in word }.content())
    frame.paint(scene)
    #expect(frame[3, 3] == 0x11_2233)
  }

  @Test("fit keeps flat colours, and bars are black")
  func fit() throws {
    let frame = try TestFrame(120, 60)
    let scene = Scene(size: frame.size)
    frame.smear(0xff_00ff)
    scene.setLayer(try layer(1, box(0, 0, 120, 60), mode: .fit))
    scene.setContent(of: id(1), try TestBuffer(32, 32) { x, _ in x < 16 ? 0xff_0000 : 0x00_00ff }.content())
    frame.paint(scene)
    #expect(frame[29, 30] == 0)
    #expect(frame[90, 30] == 0)
    #expect(frame[30, 0] == 0xff_0000)
    #expect(frame[50, 59] == 0xff_0000)
    #expect(frame[70, 30] == 0x00_00ff)
    #expect(frame[89, 59] == 0x00_00ff)
  }

  @Test("scaling does not mix in pixels next to the source")
  func neighbours() throws {
    let frame = try TestFrame(64, 64)
    let scene = Scene(size: frame.size)
    let buffer = try TestBuffer(40, 40) { x, y in (10..<20).contains(x) && (10..<20).contains(y) ? 0x00_ff00 : 0xff_0000
    }
    for mode in [ScaleMode.fit, .fill] {
      scene.setLayer(try layer(1, box(0, 0, 64, 64), mode: mode))
      scene.setContent(of: id(1), buffer.content(box(10, 10, 10, 10)))
      frame.paint(scene)
      #expect(Set(frame.pixels) == [0x00_ff00])
    }
  }

  @Test("opacity mixes with what is below")
  func opacity() throws {
    let frame = try TestFrame(20, 20)
    let scene = Scene(size: frame.size)
    scene.setLayer(try layer(1, box(0, 0, 20, 20)))
    scene.setContent(of: id(1), try TestBuffer(20, 20) { _, _ in 0xff_0000 }.content())
    scene.setLayer(try layer(2, box(5, 5, 10, 10), z: 1, opacity: 128))
    scene.setContent(of: id(2), try TestBuffer(10, 10) { _, _ in 0x00_00ff }.content())
    frame.paint(scene)
    #expect(frame[0, 0] == 0xff_0000)
    #expect(frame[10, 10] == 0x7f_0080)
  }

  @Test("an upper layer hides a lower one's picture and cursor")
  func layers() throws {
    let frame = try TestFrame(100, 100)
    let scene = Scene(size: frame.size)
    scene.setLayer(try layer(1, box(0, 0, 100, 100)))
    scene.setContent(of: id(1), try TestBuffer(100, 100) { _, _ in 0x11_1111 }.content())
    scene.setCursor(of: id(1), CursorState(image: try cursorImage(0xffff_ffff), x: 30, y: 30, hotX: 0, hotY: 0))
    scene.setLayer(try layer(2, box(50, 50, 50, 50), z: 1))
    scene.setContent(of: id(2), try TestBuffer(50, 50) { _, _ in 0x22_2222 }.content())
    frame.paint(scene)
    #expect(frame[29, 30] == 0x11_1111)
    #expect(frame[30, 30] == 0xff_ffff)
    #expect(frame[49, 60] == 0xff_ffff)
    #expect(frame[50, 60] == 0x22_2222)
    #expect(frame[93, 49] == 0xff_ffff)
    #expect(frame[94, 49] == 0x11_1111)
  }

  @Test("a cursor is blended with its alpha and scaled with its layer")
  func cursor() throws {
    let frame = try TestFrame(200, 200)
    let scene = Scene(size: frame.size)
    scene.setLayer(try layer(1, box(0, 0, 200, 200), mode: .fit))
    scene.setContent(of: id(1), try TestBuffer(400, 400) { _, _ in 0x00_00ff }.content())
    scene.setCursor(of: id(1), CursorState(image: try cursorImage(0x8080_0000), x: 110, y: 120, hotX: 10, hotY: 20))
    frame.paint(scene)
    #expect(frame[49, 60] == 0x00_00ff)
    #expect(frame[60, 60] == 0x80_007f)
    #expect(frame[80, 80] == 0x80_007f)
    #expect(frame[83, 60] == 0x00_00ff)
  }

  @Test("a cursor never leaves its layer's area")
  func cursorInside() throws {
    let frame = try TestFrame(100, 100)
    let scene = Scene(size: frame.size)
    scene.setLayer(try layer(1, box(20, 20, 40, 40)))
    scene.setContent(of: id(1), try TestBuffer(40, 40) { _, _ in 0x00_00ff }.content())
    for (x, y) in [(-30, -30), (30, 30), (-30, 30), (0, 0)] as [(Int32, Int32)] {
      scene.setCursor(of: id(1), CursorState(image: try cursorImage(.max), x: x, y: y, hotX: 0, hotY: 0))
      frame.paint(scene)
      for (index, pixel) in frame.pixels.enumerated() {
        let isInside = (20..<60).contains(index % 100) && (20..<60).contains(index / 100)
        #expect(isInside || pixel == 0)
      }
    }
  }

  @Test("a layer without a picture is a dark label with its VM's name")
  func placeholder() throws {
    let frame = try TestFrame(640, 360)
    let scene = Scene(size: frame.size)
    scene.setLayer(try layer(1, box(0, 0, 320, 360), vm: "web-01"))
    scene.setContent(of: id(1), .absent(.gone))
    frame.paint(scene)
    let colors = Set(frame.pixels)
    #expect(colors == [0, 0x20_242a, 0xc8_ccd2])
    let ink = frame.pixels.enumerated().filter { $0.element == 0xc8_ccd2 }.map(\.offset)
    #expect(ink.allSatisfy { $0 % 640 < 320 })
    let columns = ink.map { $0 % 640 }
    let middle = ((columns.min() ?? 0) + (columns.max() ?? 0)) / 2
    #expect((150...170).contains(middle))
    scene.setLayer(try layer(1, box(0, 0, 320, 360), vm: "db-0001"))
    frame.paint(scene)
    #expect(ink != frame.pixels.enumerated().filter { $0.element == 0xc8_ccd2 }.map(\.offset))
  }

  @Test("a label of any length in an area of any size stays inside")
  func labels() throws {
    let frame = try TestFrame(60, 40)
    let scene = Scene(size: frame.size)
    let name = String(repeating: "\u{e9}W~", count: 15)
    for area in [box(10, 10, 1, 1), box(10, 10, 7, 30), box(10, 10, 40, 3), box(30, 20, .max, .max)] {
      scene.setLayer(try layer(1, area, vm: name))
      scene.setContent(of: id(1), .absent(.off))
      frame.paint(scene)
      for (index, pixel) in frame.pixels.enumerated() where pixel != 0 {
        #expect(index % 60 >= Int(area.x) && UInt64(index % 60) < area.maxX)
        #expect(index / 60 >= Int(area.y) && UInt64(index / 60) < area.maxY)
      }
      scene.removeLayer(id(1))
      frame.paint(scene)
    }
    #expect(frame.isBorderUntouched)
  }

  @Test("only what is damaged is written")
  func onlyDamage() throws {
    let frame = try TestFrame(50, 50)
    let scene = Scene(size: frame.size)
    let buffer = try TestBuffer(50, 50) { _, _ in 0x11_2233 }
    scene.setLayer(try layer(1, box(0, 0, 50, 50)))
    scene.setContent(of: id(1), buffer.content())
    frame.paint(scene)
    frame.smear(0xff_00ff)
    scene.damageBuffer(of: id(1), box(10, 20, 5, 6))
    #expect(frame.paint(scene) == [box(10, 20, 5, 6)])
    for (index, pixel) in frame.pixels.enumerated() {
      let isInside = (10..<15).contains(index % 50) && (20..<26).contains(index / 50)
      #expect(pixel == (isInside ? 0x11_2233 : 0xff_00ff))
    }
  }

  @Test("areas beyond the display and pictures of any size paint nothing outside")
  func hostileSizes() throws {
    let frame = try TestFrame(64, 48)
    let scene = Scene(size: frame.size)
    let buffers = [
      try TestBuffer(1, 1), try TestBuffer(40_000, 1), try TestBuffer(1, 40_000), try TestBuffer(32_767, 2),
      try TestBuffer(300, 200, stride: 4096),
    ]
    let most = UInt32.max
    let areas = [
      box(0, 0, most, most), box(60, 40, most, most), box(63, 0, 1, 1), box(64, 48, 10, 10),
      box(most, most, most, most),
      box(0, 0, 0, 5), box(2, 2, 16_384, 1), box(2, 2, 1, 16_384),
    ]
    for buffer in buffers {
      buffer.draw(box(0, 0, 1, 1)) { _, _ in 0x12_3456 }
      for area in areas {
        for mode in ScaleMode.allCases {
          for opacity: UInt8 in [1, 255] {
            scene.setLayer(try layer(1, area, mode: mode, opacity: opacity))
            scene.setContent(of: id(1), buffer.content())
            scene.setCursor(of: id(1), CursorState(image: try cursorImage(.max), x: 0, y: 0, hotX: 0, hotY: 0))
            frame.paint(scene)
          }
        }
      }
    }
    #expect(frame.isBorderUntouched)
  }

  @Test("a source that is not inside of its buffer is black")
  func foreignSource() throws {
    let frame = try TestFrame(16, 16)
    let scene = Scene(size: frame.size)
    let buffer = try TestBuffer(8, 8) { _, _ in 0x12_3456 }
    for source in [box(0, 0, 9, 8), box(8, 0, 1, 1), box(.max, 0, 4, 4), box(0, 0, 0, 0), box(0, 0, .max, .max)] {
      for mode in ScaleMode.allCases {
        scene.setLayer(try layer(1, box(0, 0, 16, 16), mode: mode))
        scene.setContent(of: id(1), buffer.content(source))
        frame.smear(0xff_00ff)
        frame.paint(scene)
        #expect(Set(frame.pixels) == [0])
      }
    }
  }

  @Test("rows that pixman cannot read are known beforehand")
  func unreadable() throws {
    let size = Size(width: 4, height: 4)
    for (stride, offset) in [(17, 0), (16, 2), (1 << 31, 0)] as [(UInt32, UInt64)] {
      let layout = try #require(PixelLayout(size: size, format: .xrgb8888, stride: stride, offset: offset))
      #expect(!Painter.canRead(layout))
    }
    let layout = try #require(PixelLayout(size: size, format: .xrgb8888, stride: 20, offset: 4))
    #expect(Painter.canRead(layout))
  }
}
