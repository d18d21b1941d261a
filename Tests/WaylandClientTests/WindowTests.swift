import Buffers
import Platform
import Testing

@testable import WaylandClient

/// Objects of a window as they are numbered: 3 wl_compositor, 4 xdg_wm_base, 5 wl_surface, 6 xdg_surface, 7 xdg_toplevel.
@Suite struct WindowTests {
  typealias Request = ScriptedCompositor.Request

  static let layout = PixelLayout(size: Size(width: 8, height: 4), format: .xrgb8888, stride: 64, offset: 16)!

  static func window(
    _ globals: [String: Int] = ScriptedCompositor.everything, isFullscreen: Bool = false
  ) throws -> (ScriptedCompositor, WaylandConnection, WaylandWindow) {
    let (compositor, connection) = try ScriptedCompositor.greeted(globals)
    let identity = WaylandWindow.Identity(title: "ivi:map", appID: "muntin-guest", isFullscreen: isFullscreen)
    return (compositor, connection, try WaylandWindow(connection, size: layout.size, identity))
  }

  private func configure(_ compositor: ScriptedCompositor, _ connection: WaylandConnection) throws {
    try compositor.say(7, 0, words: 0, 0, 0)
    try compositor.say(6, 0, words: 77)
    try connection.dispatch()
  }

  // MARK: The window

  @Test func `a window says what it is and is not shown before it is configured`() throws {
    let (compositor, connection, window) = try Self.window()
    let requests = try compositor.requests()
    #expect(requests.filter { $0.object == 7 }.map(\.opcode) == [2, 3, 7, 8])
    #expect(requests.contains(Request(object: 7, opcode: 7, words: [8, 4])))
    #expect(requests.last == Request(object: 5, opcode: 6, words: []))
    #expect(!window.takesFrames)
    try configure(compositor, connection)
    #expect(window.takesFrames)
    #expect(try compositor.requests() == [Request(object: 6, opcode: 4, words: [77])])
  }

  @Test func `a window may ask for a whole screen`() throws {
    let (compositor, _, _) = try Self.window(isFullscreen: true)
    let requests = try compositor.requests()
    #expect(requests.contains(Request(object: 7, opcode: 11, words: [0])))
    #expect(!requests.contains { $0.object == 7 && $0.opcode == 7 })
  }

  @Test func `a window that somebody closes is closed`() throws {
    let (compositor, connection, window) = try Self.window()
    #expect(!window.isClosed)
    try compositor.say(7, 1)
    try connection.dispatch()
    #expect(window.isClosed)
  }

  @Test func `a compositor that asks whether the client lives is answered`() throws {
    let (compositor, connection, window) = try Self.window()
    _ = try compositor.requests()
    try compositor.say(4, 0, words: 1234)
    try connection.dispatch()
    #expect(try compositor.requests() == [Request(object: 4, opcode: 3, words: [1234])])
    #expect(!window.isClosed)
  }

  @Test(arguments: ["wl_compositor", "xdg_wm_base"])
  func `a compositor without windows is named with what it lacks`(interface: String) throws {
    var globals = ScriptedCompositor.everything
    globals[interface] = nil
    #expect(throws: WaylandError.missing(interface)) { try Self.window(globals) }
  }

  // MARK: The connection

  @Test func `a compositor's own words about an error are told`() throws {
    let (compositor, connection, window) = try Self.window()
    try compositor.say(1, 0) {
      $0.word(5)
      $0.word(2)
      $0.string("no such thing")
    }
    #expect(throws: WaylandError.refused(object: "wl_surface@5", code: 2, reason: "no such thing")) {
      try connection.dispatch()
    }
    #expect(!window.isClosed)
  }

  @Test func `an event of an object that there is not ends the connection`() throws {
    let (compositor, connection, _) = try Self.window()
    try compositor.say(99, 0)
    #expect(throws: WaylandError.malformed("an event of object 99")) { try connection.dispatch() }
  }

  @Test func `a compositor that goes is said to be gone`() throws {
    var (compositor, connection): (ScriptedCompositor?, WaylandConnection) = try ScriptedCompositor.greeted()
    #expect(compositor != nil)
    compositor = nil
    #expect(throws: WaylandError.closed) { try connection.dispatch() }
  }

  @Test func `a compositor that says nothing is given up`() throws {
    let (compositor, socket) = try ScriptedCompositor.connected()
    #expect(throws: WaylandError.silent) {
      try WaylandConnection(FileDescriptor(adopting: socket), patience: .milliseconds(20))
    }
    _ = compositor
  }

  // MARK: wl_shm (8, with the callback 9; then 9 is the pool, 10 to 12 are buffers, 13 the first frame's callback)

  private func sharedContent(
    _ pixels: UnsafeRawBufferPointer, formats: [UInt32] = [0, 1]
  ) throws -> (ScriptedCompositor, WaylandConnection, WaylandWindow, SharedMemoryContent) {
    let (compositor, connection, window) = try Self.window()
    // What an object says before it is there would be an error: the answers wait in the socket until it is.
    for format in formats { try compositor.say(8, 0, words: format) }
    try compositor.answerSync(9)
    let content = try SharedMemoryContent(window, pixels: pixels, Self.layout)
    return (compositor, connection, window, content)
  }

  private static func copy(_ index: Int, of compositor: ScriptedCompositor) throws -> [UInt8] {
    let file = try #require(compositor.descriptors.first).raw
    let mapping = try MemoryMapping(descriptor: file, count: 3 * 128, access: .readOnly)
    return Array(mapping.bytes[index * 128..<(index + 1) * 128])
  }

  @Test func `what changed is copied and shown, and is read at once`() throws {
    var memory = [UInt8](repeating: 0, count: Self.layout.byteCount)
    for index in memory.indices { memory[index] = UInt8(index & 255) }
    try memory.withUnsafeMutableBytes { bytes in
      let (compositor, connection, _, content) = try sharedContent(UnsafeRawBufferPointer(bytes))
      try configure(compositor, connection)
      _ = try compositor.requests()
      try content.update(Rectangle(Self.layout.size))
      #expect(content.isRead)
      let rows = (0..<4).map { 16 + 64 * $0 }
      let whole = rows.flatMap { row in (row..<row + 32).map { UInt8($0 & 255) } }
      #expect(try Self.copy(0, of: compositor) == whole)
      #expect(
        try compositor.requests() == [
          Request(object: 5, opcode: 1, words: [10, 0, 0]), Request(object: 5, opcode: 9, words: [0, 0, 8, 4]),
          Request(object: 5, opcode: 3, words: [13]), Request(object: 5, opcode: 6, words: []),
        ])
      // The first is read by the compositor; what changes now goes to the second, with all that it lacks.
      bytes[Self.layout.byteOffset(x: 3, y: 2)] = 99
      try content.update(Rectangle(x: 3, y: 2, width: 1, height: 1))
      #expect(content.isRead)
      #expect(try compositor.requests() == [])
      try compositor.answerSync(13)
      try connection.dispatch()
      let requests = try compositor.requests()
      #expect(requests.prefix(2).map(\.words) == [[11, 0, 0], [3, 2, 1, 1]])
      var expected = whole
      expected[2 * 32 + 3 * 4] = 99
      #expect(try Self.copy(1, of: compositor) == expected)
      #expect(try Self.copy(0, of: compositor) == whole)
    }
  }

  @Test func `while the compositor reads all copies the picture is not read`() throws {
    let memory = [UInt8](repeating: 1, count: Self.layout.byteCount)
    try memory.withUnsafeBytes { bytes in
      let (compositor, connection, _, content) = try sharedContent(bytes)
      try configure(compositor, connection)
      for _ in 0..<3 {
        try content.update(Rectangle(Self.layout.size))
        #expect(content.isRead)
        try compositor.answerSync(13)
        try connection.dispatch()
      }
      try content.update(Rectangle(Self.layout.size))
      #expect(!content.isRead)
      try compositor.say(11, 0)
      try connection.dispatch()
      #expect(content.isRead)
      #expect(try compositor.requests().last { $0.opcode == 1 && $0.object == 5 }?.words == [11, 0, 0])
    }
  }

  @Test func `a window that is not shown yet does not keep the owner waiting`() throws {
    let memory = [UInt8](repeating: 1, count: Self.layout.byteCount)
    try memory.withUnsafeBytes { bytes in
      let (compositor, connection, _, content) = try sharedContent(bytes)
      for _ in 0..<5 {
        try content.update(Rectangle(Self.layout.size))
        #expect(content.isRead)
      }
      _ = try compositor.requests()
      try configure(compositor, connection)
      #expect(try compositor.requests().filter { $0.object == 5 }.map(\.opcode) == [1, 9, 3, 6])
    }
  }

  @Test func `a format that the compositor does not know is refused`() throws {
    let memory = [UInt8](repeating: 1, count: Self.layout.byteCount)
    memory.withUnsafeBytes { bytes in
      _ = #expect(throws: WaylandError.unshowable(.xrgb8888)) { try sharedContent(bytes, formats: [0]) }
    }
  }

  // MARK: linux-dmabuf (8)

  /// A window's content by linux-dmabuf: the compositor makes buffers 0xff000000 and 0xff000001, or fails.
  private func dmabufContent(
    _ compositor: ScriptedCompositor, _ window: WaylandWindow, modifier: UInt32 = 0, fails: Bool = false
  ) throws -> DMABufContent {
    let file = try SharedMemory.create(name: "test", count: 4096)
    var hasOffered = false
    var next: UInt32 = 0xff00_0000
    return try compositor.serve { request in
      switch (request.object, request.opcode, request.words.count) {
      case (1, 0, 1):
        if !hasOffered { try compositor.say(8, 1, words: PixelFormat.xrgb8888.rawValue, 0, modifier) }
        hasOffered = true
        try compositor.answerSync(request.words[0])
      case (_, 2, 4) where request.words == [8, 4, PixelFormat.xrgb8888.rawValue, 0]:
        guard !fails else { return try compositor.say(request.object, 1) }
        try compositor.say(request.object, 0, words: next)
        next += 1
      case (_, 0, 0): try compositor.say(1, 1, words: request.object)
      default: break
      }
    } during: {
      try DMABufContent(window, descriptor: file.raw, Self.layout)
    }
  }

  @Test func `a dma-buf is shown by two buffers in turn, and is read when it has been shown`() throws {
    let (compositor, connection, window) = try Self.window()
    let content = try dmabufContent(compositor, window)
    #expect(compositor.descriptors.count == 2)
    try configure(compositor, connection)
    for round in 0..<3 {
      _ = try compositor.requests()
      try content.update(Rectangle(x: 1, y: 2, width: 3, height: 1))
      #expect(!content.isRead)
      let requests = try compositor.requests()
      #expect(requests.map(\.opcode) == [1, 9, 3, 6])
      #expect(requests.map(\.words).prefix(2) == [[0xff00_0000 + UInt32(round % 2), 0, 0], [1, 2, 3, 1]])
      try compositor.answerSync(try #require(requests[2].words.first))
      try connection.dispatch()
      #expect(content.isRead)
    }
  }

  @Test func `a dma-buf that the compositor releases is read`() throws {
    let (compositor, connection, window) = try Self.window()
    let content = try dmabufContent(compositor, window)
    try configure(compositor, connection)
    try content.update(Rectangle(Self.layout.size))
    try compositor.say(0xff00_0001, 0)
    try connection.dispatch()
    #expect(!content.isRead)
    try compositor.say(0xff00_0000, 0)
    try connection.dispatch()
    #expect(content.isRead)
  }

  @Test func `a dma-buf that the compositor cannot use is said to be so`() throws {
    let (compositor, _, window) = try Self.window()
    #expect(throws: DMABufRefusal.failed) { try dmabufContent(compositor, window, fails: true) }
  }

  @Test func `a compositor without linux-dmabuf is said to have none`() throws {
    var globals = ScriptedCompositor.everything
    globals["zwp_linux_dmabuf_v1"] = nil
    let (_, _, window) = try Self.window(globals)
    #expect(throws: DMABufRefusal.notOffered) { try DMABufContent(window, descriptor: 0, Self.layout) }
  }

  @Test func `a compositor that takes only other layouts is said to do so`() throws {
    let (compositor, _, window) = try Self.window()
    #expect(throws: DMABufRefusal.format(.xrgb8888)) { try dmabufContent(compositor, window, modifier: 5) }
  }
}
