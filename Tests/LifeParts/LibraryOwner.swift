import CMuntin
import Glibc

/// An owner that uses libmuntin: offers a buffer, all of it 7, says "changed" when somebody else writes it, and gives it up
/// when a reader does not let go.
struct LibraryOwner {
  private let hub: OpaquePointer
  private var buffer: OpaquePointer?

  init(hub path: String, name: String, buffer bufferName: String, isWritable: Bool) {
    var connection: OpaquePointer?
    let result = path.withCString { path in
      name.withCString { name in
        var options = muntin_options(name: name, path: path, reconnect: true)
        return muntin_open(&options, &connection)
      }
    }
    guard result == 0, let connection else { exit(1) }
    hub = connection
    let layout = muntin_layout(width: 64, height: 64, format: 0x3432_5258, stride: 256, offset: 0, modifier: 0)
    bufferName.withCString {
      var offer = muntin_offer(
        id: nil, layout: layout, name: $0, properties: nil, property_count: 0, writable: isWritable, images: 1)
      if muntin_buffer_offer(hub, &offer, &buffer) != 0 { exit(1) }
    }
    memset(muntin_buffer_pixels(buffer), 7, Self.byteCount)
  }

  static let byteCount = 64 * 256

  mutating func run() -> Never {
    var event = muntin_event()
    while true {
      while muntin_dispatch(hub, &event) > 0 { handle(event) }
      check()
      muntin_wait(hub, 20)
    }
  }

  private mutating func handle(_ event: muntin_event) {
    switch event.kind {
    case MUNTIN_EVENT_OFFERED: say("offered")
    case MUNTIN_EVENT_STILL_MAPPED:
      muntin_buffer_destroy(buffer)
      buffer = nil
      say("destroyed")
    default: break
    }
  }

  private func check() {
    guard let buffer, let pixels = muntin_buffer_pixels(buffer) else { return }
    let bytes = UnsafeRawBufferPointer(start: pixels, count: Self.byteCount)
    if bytes.contains(where: { $0 != 7 }) {
      say("changed")
      memset(pixels, 7, Self.byteCount)
    }
  }
}
