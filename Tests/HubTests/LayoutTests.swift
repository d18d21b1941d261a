import Buffers
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

@Suite struct LayoutTests {
  private func area(_ world: DisplayLog, _ vm: String) -> Rectangle? { world.layer(vm)?.layer.area }

  @Test func `a row of cells covers the display without gap or overlap`() {
    for count in 1...20 {
      let cells = (0..<count).map { (vm: PeerName("vm\($0)")!, scanout: ScanoutIndex(0)) }
      let display = Layout.Display(name: PeerName("main")!, size: Size(width: 1921, height: 700))
      let row = Layout.row(of: cells, on: display)
      #expect(row.map(\.vm) == cells.map(\.vm))
      var left: UInt32 = 0
      for place in row {
        #expect(place.area.x == left)
        #expect(place.area.height == 700)
        #expect(place.area.width >= 1921 / UInt32(count))
        left += place.area.width
      }
      #expect(left == 1921)
    }
  }

  @Test func `without a layout VMs stand side by side in order of their names, whoever comes first`() throws {
    let world = try World()
    let display = world.display(size: Size(width: 1920, height: 720))
    let second = world.producer("b")
    try second.client.show(try picture())
    try world.wait("alone") { area(display.log, "b") == Rectangle(x: 0, y: 0, width: 1920, height: 720) }
    let first = world.producer("a")
    try first.client.show(try picture())
    try world.wait("two") { display.log.layers.count == 2 }
    #expect(area(display.log, "a") == Rectangle(x: 0, y: 0, width: 960, height: 720))
    #expect(area(display.log, "b") == Rectangle(x: 960, y: 0, width: 960, height: 720))
  }

  @Test func `each screen of a VM has its cell`() throws {
    let world = try World()
    let display = world.display(size: Size(width: 900, height: 300))
    let producer = world.producer("a")
    for index in 0..<3 { producer.client.setMode(Size(width: 640, height: 480), of: ScanoutIndex(index)) }
    try world.wait("three cells") { display.log.layers.count == 3 }
    #expect(display.log.layers.values.map(\.layer.area.x).sorted() == [0, 300, 600])
  }

  @Test func `a VM that is gone keeps its cell for a while, then the others take it`() throws {
    let world = try World({ $0.goneRetention = .milliseconds(200) })
    let display = world.display()
    let a = world.producer("a")
    let b = world.producer("b")
    try a.client.show(try picture())
    try b.client.show(try picture())
    try world.wait("both") { display.log.buffer("a") != nil && display.log.buffer("b") != nil }
    let place = area(display.log, "b")
    a.client.stop()
    try world.wait("gone") { display.log.absence("a") == .gone }
    #expect(area(display.log, "b") == place)
    try world.wait("forgotten") { display.log.layer("a") == nil }
    #expect(area(display.log, "b")?.width == 1920)
  }

  private func placement(
    _ vm: String, _ area: Rectangle, display: String = "main", mode: Size? = nil
  ) -> Layout.Placement {
    Layout.Placement(
      vm: PeerName(vm)!, display: PeerName(display)!, area: area, z: 3, scaleMode: .fill, opacity: 99, mode: mode)
  }

  @Test func `a given layout is what displays get, VMs that are not there included`() throws {
    let area = Rectangle(x: 10, y: 20, width: 300, height: 200)
    let layout = Layout(placements: [placement("a", area), placement("b", area, display: "other")])
    let world = try World({ $0.layout = layout })
    let display = world.display()
    let stranger = world.producer("stranger")
    try stranger.client.show(try picture())
    try world.wait("gone") { display.log.absence("a") == .gone }
    #expect(display.log.layers.count == 1)
    let layer = try #require(display.log.layer("a")?.layer)
    #expect(layer.area == area)
    #expect(layer.z == 3 && layer.scaleMode == .fill && layer.opacity == 99)
    let producer = world.producer("a")
    try producer.client.show(try picture(5))
    try world.wait("shown") { display.log.buffer("a")?.mark == 5 }
  }

  @Test func `a VM twice on one display gets its flushes latched when both places have them`() throws {
    let places = [Rectangle(x: 0, y: 0, width: 64, height: 32), Rectangle(x: 64, y: 0, width: 64, height: 32)]
    let world = try World({ $0.layout = Layout(placements: places.map { placement("a", $0) }) })
    let consumer = try world.raw()
    try consumer.becomeConsumer()
    let producer = try world.raw()
    _ = try producer.becomeProducer("a")
    _ = try consumer.shownLayer()
    let layers = Set(
      try consumer.all { message, _ in if case .layerSet(let layer) = message { layer.id } else { nil } })
    #expect(layers.count == 2)
    try producer.flush(1)
    try world.wait("damage") { try consumer.damages().count == 2 }
    for (index, layer) in layers.enumerated() {
      #expect(try producer.latched().isEmpty, "before layer \(index)")
      try consumer.send(.layerLatched(layer), serial: 1)
      try world.turn()
    }
    #expect(try producer.latched() == [1])
  }

  @Test func `a layout replaced while everything runs moves, adds and removes layers`() throws {
    let small = Rectangle(x: 0, y: 0, width: 100, height: 100)
    let large = Rectangle(x: 0, y: 0, width: 500, height: 500)
    let world = try World({ $0.layout = Layout(placements: [placement("a", small), placement("b", small)]) })
    let display = world.display()
    let producer = world.producer("a")
    try producer.client.show(try picture(9))
    try world.wait("shown") { display.log.buffer("a") != nil && display.log.layers.count == 2 }
    let id = try #require(display.log.layer("a")?.layer.id)
    display.log.history = []
    world.hub?.setLayout(Layout(placements: [placement("a", large), placement("c", small)]))
    try world.wait("moved") { area(display.log, "a") == large && display.log.layer("c") != nil }
    #expect(display.log.layer("b") == nil)
    #expect(display.log.layer("a")?.layer.id == id)
    #expect(!display.log.history.contains("a shown"))
    #expect(display.log.buffer("a")?.mark == 9)
  }

  @Test func `a guest is asked for the mode that the layout says, once`() throws {
    let area = Rectangle(x: 0, y: 0, width: 640, height: 480)
    let world = try World({ $0.layout = Layout(placements: [placement("a", area)]) })
    let producer = world.producer("a")
    try producer.client.show(try picture())
    try world.run(for: .milliseconds(20))
    #expect(producer.log.modes.isEmpty)
    let wanted = Size(width: 640, height: 480)
    world.hub?.setLayout(Layout(placements: [placement("a", area, mode: wanted)]))
    try world.wait("asked") { producer.log.modes == [wanted] }
    producer.client.setMode(wanted, of: ScanoutIndex(0))
    try world.run(for: .milliseconds(20))
    world.hub?.setLayout(Layout(placements: [placement("a", area, mode: wanted)]))
    try world.run(for: .milliseconds(20))
    #expect(producer.log.modes == [wanted])
  }

  @Test func `a display of another size gets other cells`() throws {
    let world = try World()
    let display = world.display(size: Size(width: 800, height: 600))
    let producer = world.producer("a")
    try producer.client.show(try picture())
    try world.wait("placed") { area(display.log, "a")?.width == 800 }
    display.client.announce(
      DisplayDescription(size: Size(width: 400, height: 300), refreshMillihertz: 60_000, output: "test"))
    try world.wait("placed anew") { area(display.log, "a") == Rectangle(x: 0, y: 0, width: 400, height: 300) }
  }

  @Test func `a VM that a replaced layout expected in vain is not expected any more`() throws {
    let main = PeerName("main")!
    func layout(_ vm: String) -> Layout {
      Layout(placements: [
        .init(vm: PeerName(vm)!, display: main, area: Rectangle(x: 0, y: 0, width: 64, height: 64))
      ])
    }
    let world = try World { $0.layout = layout("first") }
    #expect(world.hub?.machines.keys.map(\.text) == ["first"])
    world.hub?.setLayout(layout("second"))
    #expect(world.hub?.machines.keys.map(\.text) == ["second"])
  }
}
