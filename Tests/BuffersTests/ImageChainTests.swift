import Platform
import TestSupport
import Testing

@testable import Buffers

@Suite struct ImageChainTests {
  private let layout = PixelLayout(size: Size(width: 100, height: 50), format: .xrgb8888)!
  private var share: UInt64 { UInt64(HostMemory.wholePages(layout.byteCount)!) }

  @Test(arguments: 1...3) func `images follow each other in equal shares, and a generation has its place`(
    count: Int
  ) throws {
    let chain = try #require(ImageChain(count: count, of: layout))
    #expect(chain.byteCount == UInt64(count) * share)
    for generation in 0..<7 as Range<UInt64> {
      #expect(chain.offset(ofGeneration: generation) == generation % UInt64(count) * share)
    }
    #expect(chain.image(of: .max) == Int(UInt64.max % UInt64(count)))
  }

  @Test func `memory that is not made of images is none`() {
    #expect(ImageChain(count: 0, byteCount: share, layout: layout) == nil)
    #expect(ImageChain(count: 4, byteCount: 4 * share, layout: layout) == nil)
    #expect(ImageChain(count: 2, byteCount: 2 * share + 8, layout: layout) == nil)
    #expect(ImageChain(count: 2, byteCount: share, layout: layout) == nil)
    #expect(ImageChain(count: 1, byteCount: UInt64(layout.byteCount), layout: layout) != nil)
    #expect(ImageChain(count: 3, byteCount: .max, layout: layout) == nil)
  }

  @Test func `an owner leaves the newest image alone, and what is held or may still be given`() {
    var turns = ImageTurns(count: 3)
    #expect(turns.next == 1)
    turns.publish(1)
    #expect(turns.next == 2)
    turns.publish(2)
    turns.publish(3)
    #expect(turns.next == nil, "nothing is acknowledged")
    turns.note(acknowledged: 3, held: 0b010)
    #expect(turns.next == 5, "image 0 is the newest, image 1 is held")
    turns.note(acknowledged: 3, held: 0b110)
    #expect(turns.next == nil)
    turns.note(acknowledged: 3, held: 0)
    #expect(turns.next == 4)
  }

  @Test func `what was damaged is in one of the rectangles, and apart pieces stay apart`() {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SplitMix(seed: seed)
    for _ in 0..<200 {
      var area = DamagedArea()
      var added: [Rectangle] = []
      for _ in 0..<random.next() % 20 {
        let rectangle = Rectangle(
          x: UInt32(random.next() % 90), y: UInt32(random.next() % 90), width: UInt32(random.next() % 10),
          height: UInt32(random.next() % 10))
        added.append(rectangle)
        area.add(rectangle)
        #expect(area.rectangles.count <= DamagedArea.maximumCount)
      }
      for rectangle in added where !rectangle.isEmpty {
        // Each pixel of it is in one of the area's.
        for x in rectangle.x..<rectangle.x + rectangle.width {
          for y in rectangle.y..<rectangle.y + rectangle.height {
            let pixel = Rectangle(x: x, y: y, width: 1, height: 1)
            #expect(area.rectangles.contains { $0.contains(pixel) }, "seed \(seed)")
          }
        }
      }
    }
    var corners = DamagedArea(Rectangle(x: 0, y: 0, width: 64, height: 64))
    corners.add(Rectangle(x: 3000, y: 2000, width: 64, height: 64))
    #expect(corners.pixelCount == 2 * 64 * 64)
  }
}
