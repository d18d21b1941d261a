import Buffers
import Glibc
import MuntinGuest
import Platform

/// Frames by TCP, one after the other, with nothing around them.
enum Network {
  private static let port: UInt16 = 5000
  /// More than a frame, so that drawing and sending go on side by side.
  private static let bufferByteCount: Int32 = 16 << 20

  static func send(to text: String, _ layout: PixelLayout) throws {
    let socket = try open()
    var address = try address(text)
    for attempt in 0..<100 {
      let result = with(&address) { connect(socket, $0, $1) }
      if result == 0 { break }
      guard attempt < 99 else { throw Failure("\(SystemError.last("connect"))") }
      usleep(50_000)
    }
    let picture = UnsafeMutableRawBufferPointer.allocate(byteCount: layout.byteCount, alignment: 4096)
    var frame: UInt64 = 0
    while true {
      frame += 1
      FlatPicture.draw(frame, into: picture)
      var rest = UnsafeRawBufferPointer(picture)
      while !rest.isEmpty {
        let count = write(socket, rest.baseAddress, rest.count)
        guard count > 0 else { return }
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      }
    }
  }

  static func receive(_ layout: PixelLayout) throws {
    let listener = try open()
    var address = try address("0.0.0.0")
    guard with(&address, { bind(listener, $0, $1) }) == 0, listen(listener, 1) == 0 else {
      throw Failure("\(SystemError.last("bind"))")
    }
    let socket = accept(listener, nil, nil)
    guard socket >= 0 else { throw Failure("\(SystemError.last("accept"))") }
    let picture = UnsafeMutableRawBufferPointer.allocate(byteCount: layout.byteCount, alignment: 4096)
    var counter = FrameCount()
    while true {
      var filled = 0
      while filled < picture.count {
        let count = read(socket, picture.baseAddress?.advanced(by: filled), picture.count - filled)
        guard count > 0 else { return }
        filled += count
      }
      counter.add(isWhole: FlatPicture.isWhole(UnsafeRawBufferPointer(picture)))
    }
  }

  private static func open() throws -> Int32 {
    let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard raw >= 0 else { throw Failure("\(SystemError.last("socket"))") }
    var one: Int32 = 1, room = bufferByteCount
    setsockopt(raw, SOL_SOCKET, SO_REUSEADDR, &one, 4)
    // Of root's: beyond what the system's limits are.
    setsockopt(raw, SOL_SOCKET, SO_SNDBUFFORCE, &room, 4)
    setsockopt(raw, SOL_SOCKET, SO_RCVBUFFORCE, &room, 4)
    return raw
  }

  private static func address(_ text: String) throws -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    guard inet_pton(AF_INET, text, &address.sin_addr) == 1 else { throw Failure("no address: \(text)") }
    return address
  }

  private static func with(
    _ address: inout sockaddr_in, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
  }
}
