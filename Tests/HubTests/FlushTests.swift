import Buffers
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

@Suite struct FlushTests {
  @Test func `a flush is latched at once when nobody shows the scanout`() throws {
    let world = try World()
    let producer = try world.raw()
    _ = try producer.becomeProducer()
    try producer.flush(1)
    try producer.flush(2)
    try world.wait("both flushes are latched") { try producer.latched().last == 2 }
  }

  @Test func `a flush is latched when its consumer has latched it, not before`() throws {
    let world = try World()
    let producer = try world.raw()
    let consumer = try world.raw()
    try consumer.becomeConsumer()
    _ = try producer.becomeProducer()
    let layer = try consumer.shownLayer()
    try producer.flush(5)
    try world.wait("the damage arrives") { try consumer.damages().map(\.serial) == [5] }
    try world.turn()
    #expect(try producer.latched().isEmpty)
    try consumer.send(.layerLatched(layer), serial: 5)
    try world.wait("the flush is latched") { try producer.latched() == [5] }
  }

  @Test func `a flush on two displays waits for the slower one`() throws {
    let world = try World()
    let producer = try world.raw()
    let consumers = [try world.raw(), try world.raw()]
    try consumers[0].becomeConsumer("left")
    try consumers[1].becomeConsumer("right")
    _ = try producer.becomeProducer()
    let layers = try consumers.map { try $0.shownLayer() }
    try producer.flush(1)
    try producer.flush(2)
    for consumer in consumers { try world.wait("damage") { try consumer.damages().last?.serial == 2 } }
    try consumers[0].send(.layerLatched(layers[0]), serial: 2)
    try consumers[1].send(.layerLatched(layers[1]), serial: 1)
    try world.wait("the common part is latched") { try producer.latched().last == 1 }
    try world.turn()
    #expect(try producer.latched().last == 1)
    try consumers[1].send(.layerLatched(layers[1]), serial: 2)
    try world.wait("all is latched") { try producer.latched().last == 2 }
  }

  @Test func `a consumer that leaves counts as done`() throws {
    let world = try World()
    let producer = try world.raw()
    var consumer: RawPeer? = try world.raw()
    try consumer?.becomeConsumer()
    _ = try producer.becomeProducer()
    _ = try consumer?.shownLayer()
    try producer.flush(1)
    try world.turn()
    #expect(try producer.latched().isEmpty)
    consumer = nil
    try world.wait("the flush is latched") { try producer.latched() == [1] }
  }

  @Test func `a display that comes later is not waited for`() throws {
    let world = try World()
    let producer = try world.raw()
    _ = try producer.becomeProducer()
    try producer.flush(1)
    try world.wait("latched") { try producer.latched() == [1] }
    let consumer = try world.raw()
    try consumer.becomeConsumer()
    _ = try consumer.shownLayer()
    try producer.show(nil)
    try producer.flush(2)
    try world.wait("latched") { try producer.latched() == [1, 2] }
  }

  @Test func `turning the scanout off ends the waiting`() throws {
    let world = try World()
    let producer = try world.raw()
    let consumer = try world.raw()
    try consumer.becomeConsumer()
    _ = try producer.becomeProducer()
    _ = try consumer.shownLayer()
    try producer.flush(1)
    try world.turn()
    try producer.show(nil)
    try world.wait("latched") { try producer.latched() == [1] }
  }

  @Test func `latching more than was sent counts as what was sent`() throws {
    let world = try World()
    let producer = try world.raw()
    let consumer = try world.raw()
    try consumer.becomeConsumer()
    _ = try producer.becomeProducer()
    let layer = try consumer.shownLayer()
    try producer.flush(1)
    try world.wait("damage") { try consumer.damages().count == 1 }
    try consumer.send(.layerLatched(layer), serial: .max)
    try world.wait("latched") { try producer.latched() == [1] }
    try producer.flush(2)
    try world.turn()
    #expect(try producer.latched() == [1])
  }

  @Test func `damage is clipped to what the scanout shows`() throws {
    let world = try World()
    let producer = try world.raw()
    let consumer = try world.raw()
    try consumer.becomeConsumer()
    _ = try producer.becomeProducer()
    _ = try consumer.shownLayer()
    try producer.flush(1, Rectangle(x: 60, y: 30, width: .max, height: .max))
    try producer.flush(2, Rectangle(x: .max, y: .max, width: .max, height: .max))
    try world.wait("damage") { try consumer.damages().last?.serial == 2 }
    #expect(try consumer.damages().last?.rectangle == Rectangle(x: 60, y: 30, width: 4, height: 2))
  }

  @Test func `a display that does not read gets merged damage later, and nobody waits for it to read`() throws {
    let world = try World()
    let producer = try world.raw()
    let slow = try world.raw()
    let quick = world.display("quick")
    try slow.becomeConsumer("slow")
    _ = try producer.becomeProducer()
    _ = try slow.shownLayer()
    try world.wait("the other display shows it") { quick.log.layer("a")?.content != nil }
    let flushes: UInt64 = 20_000
    for serial in 1...flushes {
      let x = UInt32(serial % 60)
      while true {
        let sent = try producer.send(
          .flush(ScanoutIndex(0), damage: Rectangle(x: x, y: 0, width: 1, height: 1)), serial: serial)
        if sent { break }
        try world.turn(1)
      }
      if serial % 4 == 0 { try world.turn(1) }
    }
    try world.wait("the other display has everything") { quick.log.layer("a")?.damages.last?.serial == flushes }
    try world.wait("the slow one too") { try slow.damages().last?.serial == flushes }
    let damages = try slow.damages()
    #expect(damages.count < Int(flushes) / 4)
    #expect(damages.reduce(Rectangle.empty) { $0.union($1.rectangle) } == Rectangle(x: 0, y: 0, width: 60, height: 1))
  }

  @Test(arguments: [0, 4, 5] as [UInt64])
  func `a flush serial that does not rise ends the producer`(serial: UInt64) throws {
    let world = try World()
    let producer = try world.raw()
    _ = try producer.becomeProducer()
    try producer.flush(5)
    try producer.flush(serial)
    #expect(try producer.refusal()?.code == .malformed)
  }
}

@Suite struct ProducerClientTests {
  @Test func `a flush that no display latches is done when its time is over`() throws {
    let world = try World()
    let display = world.display()
    display.log.latchesAtOnce = false
    let producer = world.producer("a", latchLimit: .milliseconds(40))
    try producer.client.show(try picture())
    try world.wait("shown") { display.log.buffer("a") != nil }
    let start = MonotonicTime.now
    let serial = producer.client.flush(ScanoutIndex(0), damage: .empty)
    #expect(serial != nil)
    try world.wait("latched") { producer.log.latched.last?.serial == serial }
    #expect(MonotonicTime.now - start >= .milliseconds(40))
  }

  @Test func `a flush without a hub waits for nobody`() throws {
    let world = try World(startsHub: false)
    let producer = world.producer("a")
    try producer.client.show(try picture())
    #expect(producer.client.flush(ScanoutIndex(0), damage: .empty) == nil)
  }

  @Test func `the flushes of one turn become one message to the hub`() throws {
    let world = try World()
    let display = world.display(takesLinks: false)
    let producer = world.producer("a")
    try producer.client.show(try picture())
    try world.wait("shown") { display.log.buffer("a") != nil }
    for x in 0..<60 as Range<UInt32> {
      _ = producer.client.flush(ScanoutIndex(0), damage: Rectangle(x: x, y: 1, width: 1, height: 1))
    }
    try world.wait("latched") { producer.log.latched.last?.serial == 60 }
    #expect(display.log.layer("a")?.damages.map(\.serial) == [60])
    #expect(display.log.layer("a")?.damages.first?.rectangle == Rectangle(x: 0, y: 1, width: 60, height: 1))
  }

  @Test func `losing the hub ends every flush that waits for it`() throws {
    let world = try World()
    let display = world.display(takesLinks: false)
    display.log.latchesAtOnce = false
    let producer = world.producer("a")
    try producer.client.show(try picture())
    try world.wait("shown") { display.log.buffer("a") != nil }
    let serial = producer.client.flush(ScanoutIndex(0), damage: .empty)
    world.killHub()
    try world.turn()
    #expect(producer.log.latched.last?.serial == serial)
  }

  @Test func `a cursor's picture and its moves reach the display`() throws {
    let world = try World()
    let display = world.display()
    let producer = world.producer("a")
    try producer.client.show(try picture())
    let image = try #require(CursorImage(pixels: [UInt32](repeating: 0xff12_3456, count: 4096)))
    producer.client.setCursor(CursorState(image: image, x: 10, y: 11, hotX: 1, hotY: 2), of: ScanoutIndex(0))
    try world.wait("cursor") { display.log.layer("a")?.cursor?.image == image }
    producer.client.moveCursor(of: ScanoutIndex(0), x: -3, y: 40)
    try world.wait("move") { display.log.layer("a")?.cursor?.x == -3 }
    #expect(display.log.layer("a")?.cursor == CursorState(image: image, x: -3, y: 40, hotX: 1, hotY: 2))
  }
}
