import Buffers
import Glibc
import Platform
import WaylandClient

/// A compositor that says whatever it likes to a client with one window: it offers all that a window needs, and goes on
/// with pieces of the input, one at each step. Nothing is said after the input's end.
@Sendable public func fuzzWayland(_ bytes: UnsafeRawBufferPointer) {
  var input = FuzzInput(bytes)
  guard let ends = try? UnixSocket.pair(.stream).take() else { return }
  let compositor = FileDescriptor(adopting: ends.0)
  let socket = FileDescriptor(adopting: ends.1)
  for number in 1...4 { say(global: UInt32(number), version: UInt32(input.byte()), to: compositor.raw) }
  say(3, 0, [0, 0, 0, 0], to: compositor.raw)
  say(1, 1, [3, 0, 0, 0], to: compositor.raw)
  say(&input, to: compositor.raw)
  guard let connection = try? WaylandConnection(socket, patience: .zero) else { return }
  try? use(connection, compositor.raw, &input)
}

private func use(_ connection: WaylandConnection, _ compositor: Int32, _ input: inout FuzzInput) throws {
  guard let layout = PixelLayout(size: Size(width: 5, height: 3), format: .xrgb8888) else { return }
  let identity = WaylandWindow.Identity(title: "fuzz", appID: "fuzz", isFullscreen: input.byte() & 1 == 1)
  let window = try WaylandWindow(connection, size: layout.size, identity)
  say(&input, to: compositor)
  let pixels = [UInt8](repeating: 7, count: layout.byteCount)
  try pixels.withUnsafeBytes { pixels in
    let content: any WindowContent
    do {
      let file = try SharedMemory.create(name: "fuzz", count: 4096)
      content = try DMABufContent(window, descriptor: file.raw, layout)
    } catch is DMABufRefusal {
      content = try SharedMemoryContent(window, pixels: pixels, layout)
    }
    while !input.isEmpty {
      say(&input, to: compositor)
      try connection.dispatch()
      let damage = Rectangle(x: input.next(), y: input.next(), width: input.next(), height: input.next())
      if content.isRead { try content.update(damage) }
      drain(compositor)
    }
  }
}

// MARK: What the compositor says

/// Events of the input: an object, an opcode, up to 15 words; or bytes that are no events.
private func say(_ input: inout FuzzInput, to socket: Int32) {
  for _ in 0..<input.byte() % 8 {
    let kind = input.byte()
    guard kind < 250 else {
      send([UInt8](input.take(Int(input.byte()))), to: socket)
      continue
    }
    // The numbers of the window's objects, or of those that the compositor makes.
    let object = kind < 200 ? UInt32(kind % 24) : 0xff00_0000 | UInt32(kind % 4)
    say(object, UInt16(input.byte() % 4), [UInt8](input.take(4 * Int(input.byte() % 16))), to: socket)
  }
}

private func say(global number: UInt32, version: UInt32, to socket: Int32) {
  let names = ["wl_compositor", "wl_shm", "xdg_wm_base", "zwp_linux_dmabuf_v1"]
  let name = Array(names[Int(number - 1)].utf8) + [0]
  var bytes = words(number, UInt32(name.count)) + name
  while bytes.count % 4 != 0 { bytes.append(0) }
  say(2, 0, bytes + words(version), to: socket)
}

private func say(_ object: UInt32, _ opcode: UInt16, _ arguments: [UInt8], to socket: Int32) {
  send(words(object, UInt32(8 + arguments.count) << 16 | UInt32(opcode)) + arguments, to: socket)
}

private func words(_ words: UInt32...) -> [UInt8] {
  words.flatMap { word in withUnsafeBytes(of: word.littleEndian) { Array($0) } }
}

private func send(_ bytes: [UInt8], to socket: Int32) {
  _ = bytes.withUnsafeBytes { try? UnixSocket.send(socket, $0) }
}

/// Takes what the client said, so that it never waits.
private func drain(_ socket: Int32) {
  var room = [UInt8](repeating: 0, count: 65_536)
  var descriptors: [Int32] = []
  while case .bytes? = try? room.withUnsafeMutableBytes({
    try UnixSocket.receive(socket, into: $0, descriptors: &descriptors)
  }) {}
  closeAll(descriptors)
}
