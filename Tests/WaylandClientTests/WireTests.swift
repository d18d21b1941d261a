import Testing

@testable import WaylandClient

@Suite struct WireTests {
  private func message(_ words: UInt32..., object: UInt32 = 7, opcode: UInt16 = 3) -> WaylandMessage {
    var writer = ArgumentWriter()
    for word in words { writer.word(word) }
    return WaylandMessage(object: object, opcode: opcode, arguments: writer.bytes)
  }

  private func parse(_ parts: [[UInt8]]) throws -> [WaylandMessage] {
    var parser = MessageParser()
    var found: [WaylandMessage] = []
    for part in parts {
      part.withUnsafeBytes { parser.append($0) }
      while let message = try parser.next() { found.append(message) }
    }
    return found
  }

  @Test func `messages come whole wherever the stream is cut`() throws {
    let messages = [message(1, 2), message(object: 1, opcode: 0), message(9, object: .max, opcode: .max)]
    let bytes = messages.flatMap { $0.encoded ?? [] }
    for cut in 0...bytes.count {
      #expect(try parse([Array(bytes[..<cut]), Array(bytes[cut...])]) == messages)
    }
    #expect(try parse(bytes.map { [$0] }) == messages)
  }

  @Test(arguments: [0, 4, 7, 9, 10, 11, 65_535])
  func `a length that no message has is refused`(count: UInt32) {
    let bytes = message(object: 1, opcode: 0).encoded ?? []
    #expect(throws: WaylandError.malformed("a message of \(count) bytes")) {
      try parse([bytes.prefix(4) + [0, 0, UInt8(count & 255), UInt8(count >> 8)]])
    }
  }

  @Test func `a message longer than a length can say is not written`() {
    #expect(WaylandMessage(object: 1, opcode: 0, arguments: [UInt8](repeating: 0, count: 65_524)).encoded != nil)
    #expect(WaylandMessage(object: 1, opcode: 0, arguments: [UInt8](repeating: 0, count: 65_528)).encoded == nil)
  }

  @Test(arguments: ["", "a", "abc", "abcd", "Füße"])
  func `a text is read as it was written`(text: String) throws {
    var writer = ArgumentWriter()
    writer.string(text)
    writer.word(5)
    #expect(writer.bytes.count % 4 == 0)
    var reader = ArgumentReader(writer.bytes)
    #expect(try reader.string() == text)
    #expect(try reader.word() == 5)
    try reader.finish()
  }

  @Test func `a text without an end or longer than its message is refused`() {
    for (count, bytes): (UInt32, [UInt8]) in [
      (4, [65, 65, 65, 65]), (5, [65, 65, 65, 0]), (.max, []), (0x7fff_ffff, []),
    ] {
      var writer = ArgumentWriter()
      writer.word(count)
      var reader = ArgumentReader(writer.bytes + bytes)
      #expect(throws: WaylandError.self) { try reader.string() }
    }
  }

  @Test func `events are read as the protocol says`() throws {
    #expect(try WaylandEvent.decode(.display, message(3, opcode: 1)) == .deleted(3))
    #expect(try WaylandEvent.decode(.callback, message(3, opcode: 0)) == .done)
    #expect(try WaylandEvent.decode(.sharedMemory, message(1, opcode: 0)) == .sharedMemoryFormat(1))
    #expect(try WaylandEvent.decode(.buffer, message(opcode: 0)) == .released)
    #expect(try WaylandEvent.decode(.windowManager, message(8, opcode: 0)) == .ping(8))
    #expect(try WaylandEvent.decode(.windowSurface, message(9, opcode: 0)) == .configured(9))
    #expect(try WaylandEvent.decode(.window, message(640, 480, 0, opcode: 0)) == .other)
    #expect(try WaylandEvent.decode(.window, message(opcode: 1)) == .closed)
    #expect(try WaylandEvent.decode(.dmabuf, message(5, opcode: 0)) == .dmabufFormat(5))
    #expect(
      try WaylandEvent.decode(.dmabuf, message(5, 1, 2, opcode: 1))
        == .dmabufModifier(format: 5, modifier: 0x1_0000_0002))
    #expect(try WaylandEvent.decode(.dmabufParameters, message(0xff00_0000, opcode: 0)) == .bufferCreated(0xff00_0000))
    #expect(try WaylandEvent.decode(.dmabufParameters, message(opcode: 1)) == .bufferFailed)
    #expect(try WaylandEvent.decode(.surface, message(5, opcode: 0)) == .other)
  }

  @Test func `an event with too few or too many arguments is refused`() {
    for wrong in [message(opcode: 0), message(1, 2, opcode: 0)] {
      #expect(throws: WaylandError.self) { try WaylandEvent.decode(.windowManager, wrong) }
    }
  }

  @Test func `a number is used again when the compositor has forgotten it, and not before`() throws {
    var table = ObjectTable()
    let first = table.add(.callback)
    #expect(throws: WaylandError.self) { try table.forget(first) }
    table.destroy(first)
    #expect(table.add(.buffer) != first)
    try table.forget(first)
    #expect(throws: WaylandError.self) { try table.forget(first) }
    #expect(table.add(.buffer) == first)
  }

  @Test func `numbers that are not the compositor's to give are refused`() throws {
    var table = ObjectTable()
    #expect(throws: WaylandError.self) { try table.adopt(1, .buffer) }
    #expect(throws: WaylandError.self) { try table.adopt(0xfeff_ffff, .buffer) }
    try table.adopt(0xff00_0000, .buffer)
    #expect(throws: WaylandError.self) { try table.adopt(0xff00_0000, .buffer) }
    #expect(throws: WaylandError.self) { try table.forget(0xff00_0000) }
  }

  @Test func `a compositor's socket is where the environment says`() throws {
    #expect(try CompositorSocket.path(display: nil, folder: "/run/user/1") == "/run/user/1/wayland-0")
    #expect(try CompositorSocket.path(display: "wayland-3", folder: "/run/user/1") == "/run/user/1/wayland-3")
    #expect(try CompositorSocket.path(display: "/a/b", folder: nil) == "/a/b")
    #expect(throws: WaylandError.self) { try CompositorSocket.path(display: "wayland-3", folder: nil) }
  }
}
