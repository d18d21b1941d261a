import Buffers
import Glibc
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

@Suite struct GuardTests {
  @Test func `a producer that takes its memory away ends nobody: consumers see zeros`() throws {
    let world = try World()
    let display = world.display()
    let layout = try #require(PixelLayout(size: Size(width: 64, height: 32), format: .xrgb8888))
    let file = try SharedMemoryFile(name: "test", count: layout.byteCount)
    let own = try MemoryMapping(descriptor: file.writable.raw, count: layout.byteCount, access: .readWrite)
    withExtendedLifetime(own) { own.mutableBytes[0] = 9 }
    let peer = try world.raw()
    try peer.hello(.producer, "a")
    try peer.send(.vmState(connected: true))
    let description = BufferDescription(id: .random(), layout: layout)
    let view = try file.readOnly()
    let memory = MemoryDescription(hostFileOf: layout)
    try peer.send(.bufferRegister(description, memory), descriptors: [view.raw])
    let content = ScanoutState.Content(buffer: description.id, source: Rectangle(layout.size))
    try peer.send(.scanoutSet(ScanoutState(scanout: ScanoutIndex(0), mode: layout.size, content: content)))
    try world.wait("shown") { display.log.buffer("a")?.bytes[0] == 9 }
    #expect(ftruncate(file.writable.raw, 0) == 0)
    let shown = try #require(display.log.buffer("a"))
    #expect(shown.bytes.allSatisfy { $0 == 0 })
    #expect(shown.isLost)
    try world.turn()
    #expect(display.log.buffer("a") != nil)
  }
}
