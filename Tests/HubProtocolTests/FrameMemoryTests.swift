import Buffers
import Platform
import Testing

@testable import HubProtocol

@Suite struct FrameMemoryTests {
  private let size = Size(width: 20, height: 10)

  private func reader(_ memory: FrameMemory) throws -> FrameReader {
    let descriptor = try memory.buffer.readOnlyDescriptor()
    return try FrameReader(memory.description, display: PeerName("main")!, descriptor: descriptor.raw)
  }

  private func copy(_ reader: FrameReader) -> (generation: UInt64?, pixels: [UInt32]) {
    var pixels = [UInt32](repeating: 0, count: 200)
    let generation = pixels.withUnsafeMutableBytes { reader.copyPixels(into: $0, attempts: 2) }
    return (generation, pixels)
  }

  @Test func `a reader sees whole frames and their generation`() throws {
    let memory = try FrameMemory(size: size)
    let reader = try reader(memory)
    #expect(reader.generation == 0)
    for frame in 1...3 as ClosedRange<UInt32> {
      memory.beginFrame()
      memory.pixels.withMemoryRebound(to: UInt32.self) { $0.update(repeating: frame) }
      memory.endFrame()
      let (generation, pixels) = copy(reader)
      #expect(generation == UInt64(frame) * 2)
      #expect(pixels == [UInt32](repeating: frame, count: 200))
    }
  }

  @Test func `a frame that is being drawn is not taken for whole`() throws {
    let memory = try FrameMemory(size: size)
    let reader = try reader(memory)
    memory.beginFrame()
    #expect(copy(reader).generation == nil)
    memory.endFrame()
    #expect(copy(reader).generation == 2)
  }

  @Test func `memory without the header is no frame`() throws {
    let layout = try #require(PixelLayout(size: size, format: .xrgb8888, offset: 4096))
    let buffer = try HostBuffer(layout: layout)
    let descriptor = try buffer.readOnlyDescriptor()
    let description = BufferDescription(id: buffer.id, layout: layout)
    #expect(throws: ReadOnlyBuffer.Refusal.self) {
      try FrameReader(description, display: PeerName("main")!, descriptor: descriptor.raw)
    }
  }
}
