import Buffers
import Glibc
import Hub
import HubProtocol
import Logging
import Platform
import Testing

@testable import Compositor

/// Two VMs' ends of the hub, a real hub, and a compositor, on one loop.
@Suite("Producers, hub and compositor", .serialized)
final class EndToEndTests: ProducerClientDelegate {
  private let loop: EventLoop
  private let path: String
  private var hub: Hub?
  private let compositor: Compositor
  private var latched: UInt64 = 0
  private static let screen = Size(width: 64, height: 48)

  init() throws {
    loop = try EventLoop()
    path = "/tmp/compositor-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
    compositor = try Compositor(
      options: CompositorOptions(
        hubPath: path, display: try #require(PeerName("main")), size: Size(width: 128, height: 48)),
      loop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    try startHub()
    try compositor.start()
  }

  deinit { unlink(path) }

  private func startHub() throws {
    var configuration = Hub.Configuration()
    configuration.grace = .milliseconds(200)
    hub = Hub(loop: loop, configuration: configuration)
    try hub?.listen(path: path)
  }

  private func producer(_ name: String, _ color: UInt32) throws -> (client: ProducerClient, buffer: TestBuffer) {
    let client = ProducerClient(hubPath: path, vm: try #require(PeerName(name)), loop: loop)
    let buffer = try TestBuffer(Self.screen.width, Self.screen.height) { _, _ in color }
    client.delegate = self
    client.setVMConnected(true)
    client.setMode(Self.screen, of: ScanoutIndex(0))
    try client.show(buffer.host, source: Rectangle(Self.screen), on: ScanoutIndex(0))
    client.start()
    return (client, buffer)
  }

  private func pixel(_ x: Int, _ y: Int) -> UInt32 {
    let frame = compositor.output.frame
    return frame.pixels.load(fromByteOffset: y * Int(frame.buffer.layout.stride) + x * 4, as: UInt32.self) & 0xff_ffff
  }

  private func run(
    atMost limit: Duration = .seconds(5), line: Int = #line, until condition: () -> Bool
  ) throws {
    let end = MonotonicTime.now + limit
    while !condition() {
      try #require(MonotonicTime.now < end, "timed out at line \(line)")
      try loop.runOnce(timeout: .milliseconds(20))
    }
  }

  func producer(_ client: ProducerClient, latched scanout: ScanoutIndex, through serial: UInt64) { latched = serial }
  func producer(_ client: ProducerClient, wants mode: Size, of scanout: ScanoutIndex) {}
  func producer(_ client: ProducerClient, link: HubLinkState) {}

  @Test("two VMs stand side by side; a flush is answered with its pixels in the frame")
  func sideBySide() throws {
    let (first, buffer) = try producer("a", 0xff_0000)
    let (second, _) = try producer("b", 0x00_00ff)
    try run { pixel(10, 10) == 0xff_0000 && pixel(100, 10) == 0x00_00ff }
    buffer.draw(box(3, 4, 1, 1)) { _, _ in 0x00_ff00 }
    let serial = try #require(first.flush(ScanoutIndex(0), damage: box(3, 4, 1, 1)))
    try run { latched == serial }
    #expect(pixel(3, 4) == 0x00_ff00)
    #expect(pixel(4, 4) == 0xff_0000)
    second.stop()
  }

  @Test("a VM that is gone becomes a label within a second, and the other one goes on")
  func gone() throws {
    let (first, buffer) = try producer("a", 0xff_0000)
    let (second, _) = try producer("b", 0x00_00ff)
    try run { pixel(10, 10) == 0xff_0000 && pixel(100, 10) == 0x00_00ff }
    second.stop()
    try run(atMost: .seconds(1)) { pixel(66, 2) == 0x20_242a }
    buffer.draw(box(0, 0, 1, 1)) { _, _ in 0x00_ff00 }
    let serial = try #require(first.flush(ScanoutIndex(0), damage: box(0, 0, 1, 1)))
    try run { latched == serial }
    #expect(pixel(0, 0) == 0x00_ff00)
  }

  @Test("a restarted hub changes nothing that is seen")
  func hubRestart() throws {
    let (first, buffer) = try producer("a", 0xff_0000)
    // Alone it has the whole display, with bars left and right.
    try run { pixel(64, 10) == 0xff_0000 }
    let frames = compositor.composer.counters.frames
    hub?.close()
    hub = nil
    try run { !first.isLinked }
    try startHub()
    try run { first.isLinked }
    buffer.draw(box(5, 5, 1, 1)) { _, _ in 0x00_ff00 }
    _ = first.flush(ScanoutIndex(0), damage: box(5, 5, 1, 1))
    try run {
      #expect(pixel(64, 10) == 0xff_0000)
      return pixel(37, 5) == 0x00_ff00
    }
    #expect(compositor.composer.counters.frames > frames)
  }
}
