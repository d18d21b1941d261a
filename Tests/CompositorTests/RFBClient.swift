import Glibc
import Testing

/// The other end of RFB (RFC 6143) as far as the tests need it: blocking, raw encoding only.
final class RFBClient {
  struct Closed: Error {}

  let socket: Int32
  private(set) var width = 0
  private(set) var height = 0

  private static let version = Array("RFB 003.008\n".utf8)
  private let isEager: Bool

  /// Connects to a port of 127.0.0.1; if `eager`, says its version at once, so that the library need not wait whether a
  /// web browser calls.
  init(port: UInt16, eager: Bool = true) throws {
    isEager = eager
    socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    name.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let result = withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(result == 0)
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    if eager { try send(Self.version) }
  }

  deinit { close(socket) }

  func send(_ bytes: [UInt8]) throws {
    guard Glibc.send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else { throw Closed() }
  }

  func receive(_ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var have = 0
    while have < count {
      let more = bytes.withUnsafeMutableBytes { recv(socket, $0.baseAddress! + have, count - have, 0) }
      guard more > 0 else { throw Closed() }
      have += more
    }
    return bytes
  }

  /// Whether the server hangs up before it sends anything more.
  func isHungUp() -> Bool {
    var byte: UInt8 = 0
    let count = recv(socket, &byte, 1, 0)
    return count == 0 || (count < 0 && errno != EAGAIN)
  }

  /// The handshake without a password, up to ServerInit.
  func handshake() throws {
    try negotiate(security: 1)
    try initialise()
  }

  /// Versions, and the choice of a security type; the types that were offered.
  @discardableResult
  func negotiate(security: UInt8) throws -> [UInt8] {
    #expect(try receive(12) == Self.version)
    if !isEager { try send(Self.version) }
    let types = try receive(Int(try receive(1)[0]))
    try send([security])
    return types
  }

  /// SecurityResult, ClientInit, ServerInit.
  func initialise() throws {
    guard try receive(4) == [0, 0, 0, 0] else { throw Closed() }
    try send([1])
    let start = try receive(24)
    width = Int(start[0]) << 8 | Int(start[1])
    height = Int(start[2]) << 8 | Int(start[3])
    _ = try receive(Int(start[22]) << 8 | Int(start[23]))
  }

  func request(incremental: Bool) throws {
    let (w, h) = (UInt16(width), UInt16(height))
    try send([3, incremental ? 1 : 0, 0, 0, 0, 0, UInt8(w >> 8), UInt8(w & 255), UInt8(h >> 8), UInt8(h & 255)])
  }

  /// One update: rectangles with their pixels as words.
  func update() throws -> [(x: Int, y: Int, width: Int, height: Int, pixels: [UInt32])] {
    let head = try receive(4)
    guard head[0] == 0 else { throw Closed() }
    return try (0..<(Int(head[2]) << 8 | Int(head[3]))).map { _ in
      let area = try receive(12)
      let numbers = stride(from: 0, to: 8, by: 2).map { Int(area[$0]) << 8 | Int(area[$0 + 1]) }
      #expect(Array(area[8...]) == [0, 0, 0, 0])
      let bytes = try receive(numbers[2] * numbers[3] * 4)
      let pixels = stride(from: 0, to: bytes.count, by: 4).map {
        UInt32(bytes[$0]) | UInt32(bytes[$0 + 1]) << 8 | UInt32(bytes[$0 + 2]) << 16
      }
      return (numbers[0], numbers[1], numbers[2], numbers[3], pixels)
    }
  }
}
