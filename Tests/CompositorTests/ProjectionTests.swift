import Buffers
import HubProtocol
import Testing

@testable import Compositor

@Suite("Projection")
struct ProjectionTests {
  private func picture(_ width: UInt32, _ height: UInt32, _ area: Rectangle, _ mode: ScaleMode) -> Rectangle {
    Rectangle(Projection(source: Size(width: width, height: height), area: area, mode: mode).picture)
  }

  @Test("fit centres a wider picture between bars above and below")
  func fitWide() {
    #expect(picture(1920, 1080, box(100, 50, 960, 720), .fit) == box(100, 140, 960, 540))
  }

  @Test("fit centres a taller picture between bars left and right")
  func fitTall() {
    #expect(picture(600, 800, box(0, 0, 800, 400), .fit) == box(250, 0, 300, 400))
  }

  @Test("fit of the same proportions has no bars")
  func fitSame() {
    #expect(picture(1920, 1080, box(7, 9, 640, 360), .fit) == box(7, 9, 640, 360))
  }

  @Test("fill covers the area")
  func fill() {
    #expect(picture(1920, 1080, box(100, 50, 960, 720), .fill) == box(100, 50, 960, 720))
    #expect(picture(600, 800, box(0, 0, 800, 400), .fill) == box(0, 0, 800, 400))
  }

  @Test("fill shows the middle of the picture")
  func fillCentre() {
    let projection = Projection(source: Size(width: 100, height: 100), area: box(0, 0, 100, 50), mode: .fill)
    #expect(!projection.isScaled)
    #expect(projection.vertical.source(at: 0) == 25)
    #expect(projection.horizontal.source(at: 0) == 0)
  }

  @Test("none keeps pixels, cut at the area's edge")
  func none() {
    #expect(picture(50, 500, box(10, 20, 100, 100), .none) == box(10, 20, 50, 100))
  }

  @Test("extreme proportions stay visible and inside")
  func extreme() {
    #expect(picture(16_384, 1, box(0, 0, 100, 100), .fit) == box(0, 49, 100, 1))
    #expect(picture(1, 16_384, box(0, 0, 100, 100), .fit) == box(49, 0, 1, 100))
    let most = UInt32.max
    for mode in ScaleMode.allCases {
      let area = box(most, most, most, most)
      let projection = Projection(source: Size(width: most, height: 1), area: area, mode: mode)
      _ = projection.image(left: .max, top: .min, width: .max, height: .max)
    }
  }

  @Test("a damaged pixel is seen wherever the filter mixes it in")
  func damageMargin() {
    let projection = Projection(source: Size(width: 100, height: 100), area: box(0, 0, 200, 200), mode: .fit)
    let image = Rectangle(projection.image(left: 10, top: 20, width: 1, height: 1))
    #expect(image == box(18, 38, 6, 6))
  }

  @Test("an unscaled damaged pixel is one pixel")
  func exactDamage() {
    let projection = Projection(source: Size(width: 100, height: 100), area: box(5, 6, 50, 50), mode: .none)
    #expect(Rectangle(projection.image(left: 10, top: 20, width: 1, height: 1)) == box(15, 26, 1, 1))
    #expect(projection.image(left: 60, top: 20, width: 9, height: 1).isEmpty)
  }
}
