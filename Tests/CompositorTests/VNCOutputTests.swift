import Buffers
import Glibc
import HubProtocol
import TestSupport
import Testing

@testable import Compositor

@Suite("VNC output", .serialized)
struct VNCOutputTests {
  private let frame: FrameMemory
  private static let size = Size(width: 64, height: 48)

  init() throws {
    VNCLog.route(to: nil as VNCLog.Sink?)
    frame = try FrameMemory(size: Self.size)
    draw(Rectangle(Self.size), 0x11_2233)
  }

  private func draw(_ rectangle: Rectangle, _ color: UInt32) {
    frame.beginFrame()
    for y in rectangle.y..<rectangle.y + rectangle.height {
      for x in rectangle.x..<rectangle.x + rectangle.width {
        frame.pixels.storeBytes(of: color, toByteOffset: Int(y * Self.size.width + x) * 4, as: UInt32.self)
      }
    }
    frame.endFrame()
  }

  private func open(password: String? = nil) throws -> VNCOutput {
    try VNCOutput(
      frame: frame, address: try VNCAddress(parsing: "127.0.0.1::0"), display: try #require(PeerName("main")),
      password: password)
  }

  /// Waits until `condition` holds, at most some seconds.
  private func eventually(_ condition: () -> Bool) -> Bool {
    for _ in 0..<1500 {
      if condition() { return true }
      usleep(10_000)
    }
    return false
  }

  /// A client that has seen the whole display and waits for changes.
  private func viewer(of output: VNCOutput) throws -> RFBClient {
    let client = try RFBClient(port: output.address.port)
    try client.handshake()
    try client.request(incremental: false)
    _ = try client.update()
    try client.request(incremental: true)
    return client
  }

  @Test("a client sees the display's size and colours")
  func colours() throws {
    let output = try open()
    let client = try RFBClient(port: output.address.port, eager: false)
    try client.handshake()
    #expect(client.width == 64 && client.height == 48)
    try client.request(incremental: false)
    let update = try client.update()
    #expect(update.flatMap(\.pixels).count == 64 * 48)
    #expect(Set(update.flatMap(\.pixels)) == [0x11_2233])
  }

  @Test("a client that asked is sent what changes, and only that")
  func damage() throws {
    let output = try open()
    let client = try viewer(of: output)
    draw(box(10, 20, 5, 6), 0xaa_bbcc)
    output.present(Region(box(10, 20, 5, 6)))
    let update = try client.update()
    #expect(update.count == 1)
    #expect(update.first.map { [$0.x, $0.y, $0.width, $0.height] } == [10, 20, 5, 6])
    #expect(Set(update.flatMap(\.pixels)) == [0xaa_bbcc])
  }

  @Test("a frame that is being drawn is not sent before it is whole")
  func whole() throws {
    let output = try open()
    frame.beginFrame()
    let client = try RFBClient(port: output.address.port)
    try client.handshake()
    try client.request(incremental: false)
    usleep(50_000)
    frame.pixels.storeBytes(of: 0x99_0000, as: UInt32.self)
    frame.endFrame()
    #expect(try client.update().first?.pixels.first == 0x99_0000)
  }

  @Test("one who comes after a change sees it too")
  func latecomer() throws {
    let output = try open()
    do {
      let first = try RFBClient(port: output.address.port)
      try first.handshake()
    }
    #expect(eventually { output.clientCount == 0 })
    draw(Rectangle(Self.size), 0x44_5566)
    output.present(Region(Rectangle(Self.size)))
    let second = try RFBClient(port: output.address.port)
    try second.handshake()
    try second.request(incremental: false)
    #expect(Set(try second.update().flatMap(\.pixels)) == [0x44_5566])
  }

  @Test("a client's keys and pointer change nothing and hurt nobody")
  func input() throws {
    let output = try open()
    let client = try RFBClient(port: output.address.port)
    try client.handshake()
    try client.send([4, 1, 0, 0, 0, 0, 0xff, 0x0d, 5, 1, 0, 60, 0, 40, 5, 0, 0xff, 0xff, 0xff, 0xff])
    try client.send([6, 0, 0, 0, 0, 0, 0, 3, 97, 98, 99])
    try client.request(incremental: false)
    #expect(Set(try client.update().flatMap(\.pixels)) == [0x11_2233])
  }

  @Test("an address that others reach needs a password")
  func refusal() throws {
    let display = try #require(PeerName("main"))
    for text in ["0.0.0.0::0", "[::]::0"] {
      let address = try VNCAddress(parsing: text)
      #expect(throws: CompositorError.passwordNeeded(address: address.description)) {
        try VNCOutput(frame: frame, address: address, display: display, password: nil)
      }
    }
    _ = try VNCOutput(frame: frame, address: try VNCAddress(parsing: "0.0.0.0::0"), display: display, password: "pass")
  }

  @Test("a port in use is a clear error")
  func portInUse() throws {
    let output = try open()
    #expect(throws: CompositorError.addressInUse(output.address.description)) {
      try VNCOutput(frame: frame, address: output.address, display: try #require(PeerName("b")), password: nil)
    }
  }

  @Test("with a password, VNC authentication is the only way in")
  func password() throws {
    let output = try open(password: "secret")
    let none = try RFBClient(port: output.address.port)
    #expect(try none.negotiate(security: 1) == [2])
    #expect(none.isHungUp())
    let wrong = try RFBClient(port: output.address.port)
    try wrong.negotiate(security: 2)
    let challenge = try wrong.receive(16)
    try wrong.send(challenge)
    #expect(try wrong.receive(4) == [0, 0, 0, 1])
    let right = try RFBClient(port: output.address.port)
    try right.negotiate(security: 2)
    var response = try right.receive(16)
    try encrypt(&response, "secret")
    try right.send(response)
    try right.initialise()
    #expect(right.width == 64)
  }

  /// DES as VNC uses it, by the library.
  private func encrypt(_ bytes: inout [UInt8], _ password: String) throws {
    typealias Function = @convention(c) (UnsafeMutablePointer<UInt8>, UnsafePointer<CChar>) -> Void
    let library = try #require(dlopen("libvncserver.so.1", RTLD_NOW))
    let symbol = try #require(dlsym(library, "rfbEncryptBytes"))
    unsafeBitCast(symbol, to: Function.self)(&bytes, password)
  }

  @Test("a password is the first line of its file")
  func passwordFile() throws {
    let path = "/tmp/compositor-test-password-\(getpid())"
    let file = Glibc.open(path, O_CREAT | O_WRONLY | O_TRUNC, 0o600)
    defer { unlink(path) }
    #expect(throws: CompositorError.passwordFile(path: path, reason: "is empty")) {
      try VNCOutput.readPassword(path: path)
    }
    write(file, "top secret\r\nmore", 16)
    close(file)
    #expect(try VNCOutput.readPassword(path: path) == "top secret")
    #expect(throws: CompositorError.passwordFile(path: "/nowhere/x", reason: "open: No such file or directory")) {
      try VNCOutput.readPassword(path: "/nowhere/x")
    }
  }

  @Test("garbage at every stage ends that client only", arguments: 1...20 as ClosedRange<UInt64>)
  func garbage(seed: UInt64) throws {
    let output = try open()
    let good = try RFBClient(port: output.address.port)
    try good.handshake()
    var random = SplitMix(seed: seed)
    for stage in 0..<4 {
      let bad = try RFBClient(port: output.address.port, eager: stage > 1)
      let noise = (0..<Int.random(in: 1...3000, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      do {
        if stage == 1 { try bad.send(Array("GET / HTTP/1.1\r\n".utf8)) }
        if stage == 2 { try bad.negotiate(security: UInt8.random(in: 0...255, using: &random)) }
        if stage == 3 { try bad.handshake() }
        try bad.send(noise)
      } catch is RFBClient.Closed {}
    }
    try good.request(incremental: false)
    #expect(Set(try good.update().flatMap(\.pixels)) == [0x11_2233])
  }

  @Test("each message with a hostile body leaves the server alive")
  func hostileMessages() throws {
    let output = try open()
    let bodies: [[UInt8]] = [
      [], [UInt8](repeating: 0, count: 40), [UInt8](repeating: 255, count: 40),
      [0, 0, 0, 8, 8, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 0, 0, 0],
      [0, 0, 0, 32, 24, 1, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255],
    ]
    for kind in UInt8.min...UInt8.max {
      for body in bodies {
        let client = try RFBClient(port: output.address.port)
        try client.handshake()
        do {
          try client.send([kind] + body)
          try client.request(incremental: false)
        } catch is RFBClient.Closed {}
        if kind > 12 && kind % 16 != 0 { break }
      }
    }
    let good = try RFBClient(port: output.address.port)
    try good.handshake()
    try good.request(incremental: false)
    #expect(Set(try good.update().flatMap(\.pixels)) == [0x11_2233])
  }

  @Test("dialects of other servers are not served", arguments: [1, 7, 8, 11, 15, 255] as [UInt8])
  func dialects(kind: UInt8) throws {
    let output = try open()
    let client = try RFBClient(port: output.address.port)
    try client.handshake()
    try client.send([kind, 2, 0, 0])
    #expect(client.isHungUp())
  }

  @Test("a client that reads nothing keeps neither the compositor nor another client waiting for long")
  func stalled() throws {
    let stalled: RFBClient
    let big = try FrameMemory(size: Size(width: 4096, height: 4096))
    let output = try VNCOutput(
      frame: big, address: try VNCAddress(parsing: "127.0.0.1::0"), display: try #require(PeerName("big")),
      password: nil)
    stalled = try RFBClient(port: output.address.port)
    try stalled.handshake()
    try stalled.request(incremental: false)
    usleep(300_000)
    let clock = ContinuousClock()
    let presenting = clock.measure {
      for _ in 0..<100 { output.present(Region(box(0, 0, 4096, 4096))) }
    }
    #expect(presenting < .milliseconds(100))
    let good = try RFBClient(port: output.address.port)
    try good.handshake()
    #expect(good.width == 4096)
  }

  @Test("more clients than are served are turned away, and the others go on")
  func crowd() throws {
    let output = try open()
    let clients = try (0..<16).map { _ in try RFBClient(port: output.address.port) }
    for client in clients { try client.handshake() }
    #expect(try RFBClient(port: output.address.port).isHungUp())
    try clients[0].request(incremental: false)
    #expect(try !clients[0].update().isEmpty)
  }

  @Test("nothing runs while nothing changes, clients or not")
  func idle() throws {
    let output = try open()
    let client = try viewer(of: output)
    try withExtendedLifetime(client) {
      usleep(100_000)
      let before = try sleeps()
      usleep(500_000)
      #expect(try sleeps() == before)
      #expect(output.clientCount == 1)
    }
  }

  /// How often the thread that serves clients went to sleep.
  private func sleeps() throws -> String {
    for entry in try #require(list("/proc/self/task")) {
      guard text("/proc/self/task/\(entry)/comm") == "muntin-vnc\n" else { continue }
      let status = text("/proc/self/task/\(entry)/status")
      return String(try #require(status.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt_switches") }))
    }
    Issue.record("no such thread")
    return ""
  }

  private func list(_ path: String) -> [String]? {
    guard let folder = opendir(path) else { return nil }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      names.append(withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
    }
    return names
  }

  private func text(_ path: String) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 8192)
    let count = fread(&bytes, 1, 8192, file)
    return String(decoding: bytes.prefix(count), as: UTF8.self)
  }
}
