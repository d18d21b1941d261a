import Buffers
import Glibc
import Platform
import Testing
import VhostUser

/// A picture of our own whose pixels can be told apart.
private final class Picture {
  let size: Size
  let stride: Int
  let bytes: UnsafeMutableRawBufferPointer

  init(_ width: UInt32, _ height: UInt32, gap: Int = 0, seed: UInt32 = 1) {
    size = Size(width: width, height: height)
    stride = 4 * Int(width) + gap
    bytes = .allocate(byteCount: stride * Int(height), alignment: 16)
    fill(seed)
  }

  deinit { bytes.deallocate() }

  func fill(_ seed: UInt32) {
    for row in 0..<Int(size.height) {
      for column in 0..<Int(size.width) {
        let value = (seed &* 0x9e37_79b9) ^ UInt32(row << 16 | column)
        bytes.storeBytes(of: value, toByteOffset: row * stride + 4 * column, as: UInt32.self)
      }
    }
  }

  func pixel(_ row: Int, _ column: Int) -> UInt32 {
    bytes.load(fromByteOffset: row * stride + 4 * column, as: UInt32.self)
  }

  var pixels: [UInt32] {
    (0..<Int(size.height)).flatMap { row in (0..<Int(size.width)).map { pixel(row, $0) } }
  }

  /// As it lies in memory.
  var direct: DisplayPixels {
    .memory(base: UnsafeRawPointer(bytes.baseAddress.unsafelyUnwrapped), stride: stride, owner: self)
  }

  /// Through a conversion.
  var converted: DisplayPixels {
    .converted { [self] area, target in
      var place = 0
      for row in Int(area.y)..<Int(area.maxY) {
        for column in Int(area.x)..<Int(area.maxX) {
          target.storeBytes(of: pixel(row, column), toByteOffset: place, as: UInt32.self)
          place += 4
        }
      }
      #expect(place == target.count)
    }
  }
}

/// A client and the front-end's end of its socket.
private final class Display {
  let loop: EventLoop
  let client: DisplaySocketClient
  var peer: DisplaySocketPeer
  var delivered: [UInt32] = []
  var losses = 0

  init(modes: [DisplayMode] = []) throws {
    loop = try EventLoop()
    client = DisplaySocketClient(loop: loop, sendBufferBytes: 32 << 10)
    let (ours, theirs) = try UnixSocket.pair(.stream).take()
    peer = DisplaySocketPeer(FileDescriptor(adopting: theirs), modes: modes)
    client.delivered = { [unowned self] in delivered.append($0) }
    client.lost = { [unowned self] in losses += 1 }
    try client.attach(FileDescriptor(adopting: ours))
  }

  /// Lets both ends work until nothing moves any more.
  func settle() {
    for _ in 0..<400 {
      peer.read()
      try? loop.runOnce(timeout: .zero)
    }
    peer.read()
  }

  func replaceSocket() throws {
    let (ours, theirs) = try UnixSocket.pair(.stream).take()
    peer = DisplaySocketPeer(FileDescriptor(adopting: theirs))
    try client.attach(FileDescriptor(adopting: ours))
  }
}

@Suite("display socket")
struct DisplaySocketTests {
  private let whole = Rectangle(x: 0, y: 0, width: .max, height: .max)

  @Test("the front-end is asked for its features and told ours")
  func features() throws {
    let display = try Display()
    display.settle()
    #expect(display.peer.acceptedFeatures == DisplayProtocol.edid)
    #expect(display.peer.violations.isEmpty)
  }

  /// Width, height, and bytes between rows.
  private static let shapes: [(UInt32, UInt32, Int)] = [
    (64, 64, 0), (64, 64, 12), (300, 200, 0), (301, 203, 20), (1920, 1080, 0), (5000, 90, 0), (5000, 90, 64),
    (1, 9000, 4),
  ]

  @Test("pixels arrive as they are: small, large, with gaps, converted", arguments: shapes)
  func pixels(_ width: UInt32, _ height: UInt32, _ gap: Int) throws {
    let display = try Display()
    let picture = Picture(width, height, gap: gap)
    for pixels in [picture.direct, picture.converted] {
      display.client.setScanout(0, picture.size, nil)
      display.client.setScanout(0, picture.size, pixels)
      display.client.damage(0, whole)
      display.settle()
      #expect(display.peer.surfaces[0]?.pixels == picture.pixels)
      #expect(display.peer.violations.isEmpty)
    }
  }

  @Test("only what is damaged is sent, cut to the scanout")
  func damage() throws {
    let display = try Display()
    let picture = Picture(100, 80)
    display.client.setScanout(2, picture.size, picture.direct)
    display.client.damage(2, Rectangle(x: 90, y: 70, width: 50, height: 50))
    display.client.damage(2, Rectangle(x: 200, y: 0, width: 5, height: 5))
    display.client.damage(2, Rectangle(x: .max, y: .max, width: .max, height: .max))
    display.settle()
    let surface = try #require(display.peer.surfaces[2])
    #expect(surface.updates == 1)
    for row in 0..<80 {
      for column in 0..<100 {
        let expected = row >= 70 && column >= 90 ? picture.pixel(row, column) : 0xdead_beef
        #expect(surface.pixels[row * 100 + column] == expected)
      }
    }
  }

  @Test("nothing is updated before it is announced, nor after it is off")
  func order() throws {
    let display = try Display()
    let picture = Picture(10, 10)
    display.client.damage(0, whole)
    display.client.damage(99, whole)
    display.client.setScanout(0, picture.size, picture.direct)
    display.client.setScanout(0, Size(width: 0, height: 0), nil)
    display.client.damage(0, whole)
    display.settle()
    #expect(display.peer.counts[DisplayRequest.update.rawValue] == nil)
    #expect(display.peer.surfaces[0] == nil)
    #expect(display.peer.violations.isEmpty)
  }

  @Test("another picture of the same size is no new scanout")
  func flip() throws {
    let display = try Display()
    let pictures = [Picture(50, 40, seed: 1), Picture(50, 40, seed: 2)]
    for round in 0..<10 {
      display.client.setScanout(0, pictures[round % 2].size, pictures[round % 2].direct)
      display.client.damage(0, whole)
      display.settle()
      #expect(display.peer.surfaces[0]?.pixels == pictures[round % 2].pixels)
    }
    #expect(display.peer.counts[DisplayRequest.scanout.rawValue] == 1)
  }

  @Test("while the front-end does not read, damage is merged and nothing is held up")
  func merged() throws {
    let display = try Display()
    let picture = Picture(640, 480)
    display.settle()
    display.client.setScanout(0, picture.size, picture.direct)
    #expect(!display.client.damage(0, whole))
    for round in 2..<500 as Range<UInt32> {
      #expect(!display.client.damage(0, Rectangle(x: round, y: round, width: 64, height: 64)))
      if round % 100 == 0 { try display.loop.runOnce(timeout: .zero) }
    }
    picture.fill(7)
    display.client.damage(0, whole)
    #expect(display.delivered.isEmpty)
    display.settle()
    #expect(display.peer.surfaces[0]?.pixels == picture.pixels)
    #expect(display.delivered == [0])
    #expect((display.peer.surfaces[0]?.updates ?? 0) <= 3)
  }

  @Test("what leaves at once is told at once")
  func immediate() throws {
    let display = try Display()
    let picture = Picture(64, 64)
    display.settle()
    display.client.setScanout(0, picture.size, picture.direct)
    #expect(display.client.damage(0, whole))
    #expect(display.delivered.isEmpty)
  }

  @Test("several scanouts get their turn while the front-end is slow")
  func fair() throws {
    let display = try Display()
    let pictures = (0..<3).map { Picture(320, 240, seed: UInt32($0)) }
    for round in 0..<20 {
      for index in 0..<3 {
        display.client.setScanout(UInt32(index), pictures[index].size, pictures[index].direct)
        display.client.damage(UInt32(index), whole)
      }
      display.peer.read(limit: 20_000 + round)
      try display.loop.runOnce(timeout: .zero)
    }
    display.settle()
    for index in 0..<3 { #expect(display.peer.surfaces[index]?.pixels == pictures[index].pixels) }
    #expect(Set(display.delivered) == [0, 1, 2])
    #expect(display.peer.violations.isEmpty)
  }

  @Test("a scanout turned off or resized in the middle of an update is finished, and then what it should be")
  func changeInTheMiddle() throws {
    let display = try Display()
    let small = Picture(30, 20, seed: 5)
    for size: UInt32 in [0, 30] {
      var large: Picture? = Picture(400, 300, seed: 3)
      display.client.setScanout(0, Size(width: 400, height: 300), large?.direct)
      display.client.damage(0, whole)
      display.peer.read(limit: 100_000)
      large = nil
      display.client.setScanout(0, Size(width: size, height: size == 0 ? 0 : 20), size == 0 ? nil : small.direct)
      display.client.damage(0, whole)
      display.settle()
      #expect(display.peer.surfaces[0]?.pixels == (size == 0 ? nil : small.pixels))
      #expect(display.peer.violations.isEmpty)
    }
  }

  @Test("a new socket is told everything again")
  func newSocket() throws {
    let display = try Display()
    let picture = Picture(60, 50)
    let image = [UInt8](repeating: 9, count: DisplayProtocol.cursorBytes)
    display.client.setScanout(1, picture.size, picture.direct)
    image.withUnsafeBytes { display.client.setCursor(scanout: 1, x: 5, y: 6, hotX: 1, hotY: 2, image: $0) }
    display.settle()
    try display.replaceSocket()
    display.settle()
    #expect(display.peer.surfaces[1]?.pixels == picture.pixels)
    #expect(display.peer.surfaces[0] == nil)
    #expect(display.peer.cursor.image == image)
    #expect(display.peer.cursor.x == 5 && display.peer.cursor.hotY == 2 && display.peer.cursor.isVisible)
    #expect(display.losses == 0)
  }

  @Test("a socket replaced in the middle of a message begins with a whole one")
  func replacedInTheMiddle() throws {
    let display = try Display()
    let picture = Picture(400, 300)
    display.client.setScanout(0, picture.size, picture.direct)
    #expect(!display.client.damage(0, whole))
    try display.replaceSocket()
    display.settle()
    #expect(display.peer.surfaces[0]?.pixels == picture.pixels)
    #expect(display.delivered == [0])
  }

  @Test("a front-end that goes is told, and nobody waits for it")
  func lost() throws {
    let display = try Display()
    let picture = Picture(400, 300)
    display.client.setScanout(0, picture.size, picture.direct)
    #expect(!display.client.damage(0, whole))
    let (_, theirs) = try UnixSocket.pair(.stream).take()
    display.peer = DisplaySocketPeer(FileDescriptor(adopting: theirs))
    for _ in 0..<5 { try display.loop.runOnce(timeout: .milliseconds(1)) }
    #expect(display.losses == 1)
    #expect(display.delivered == [0])
    #expect(!display.client.isAttached)
    #expect(display.client.damage(0, whole))
  }

  @Test("only the last position of the cursor counts while the front-end is slow")
  func cursor() throws {
    let display = try Display()
    let image = [UInt8]((0..<DisplayProtocol.cursorBytes).map { UInt8(truncatingIfNeeded: $0) })
    image.withUnsafeBytes { display.client.setCursor(scanout: 0, x: 1, y: 2, hotX: 3, hotY: 4, image: $0) }
    for index: UInt32 in 0..<100_000 { display.client.moveCursor(scanout: 0, x: index, y: index / 2) }
    display.settle()
    let shown = display.peer.cursor
    #expect(shown.x == 99_999 && shown.y == 49_999 && shown.hotX == 3 && shown.hotY == 4 && shown.isVisible)
    #expect(shown.image == image)
    display.client.hideCursor(scanout: 0, x: 7, y: 8)
    display.settle()
    #expect(!display.peer.cursor.isVisible)
    try display.replaceSocket()
    display.settle()
    #expect(!display.peer.cursor.isVisible)
    display.client.moveCursor(scanout: 0, x: 1, y: 1)
    display.settle()
    #expect(display.peer.cursor.isVisible)
  }

  @Test("display info and EDID are asked for and answered")
  func questions() throws {
    let mode = DisplayMode(area: Rectangle(x: 0, y: 0, width: 1280, height: 800), isEnabled: true)
    let display = try Display(modes: [mode])
    var modes: [DisplayMode]?
    var edid: [UInt8]?
    display.client.requestDisplayInfo { modes = $0 }
    display.client.requestEDID(scanout: 0) { edid = $0 }
    display.settle()
    #expect(modes?.count == 16)
    #expect(modes?.first == mode)
    #expect(modes?.last?.isEnabled == false)
    #expect(edid?.count == 128)
  }

  @Test("without the EDID feature, or for a scanout that cannot be, there is no EDID")
  func noEDID() throws {
    let display = try Display()
    display.peer.offeredFeatures = 0
    var answers: [[UInt8]?] = []
    display.client.requestEDID(scanout: 0) { answers.append($0) }
    display.client.requestEDID(scanout: 16) { answers.append($0) }
    display.settle()
    #expect(answers == [nil, nil])
    #expect(display.peer.counts[DisplayRequest.getEdid.rawValue] == nil)
  }

  @Test("a question without an answer is given up, and the next one is asked")
  func unanswered() throws {
    let display = try Display()
    display.peer.unanswered = [DisplayRequest.getEdid.rawValue]
    var edid: [UInt8]? = [1]
    var modes: [DisplayMode]?
    display.client.requestEDID(scanout: 3) { edid = $0 }
    display.client.requestDisplayInfo { modes = $0 }
    let start = MonotonicTime.now
    while modes == nil && MonotonicTime.now - start < .seconds(5) {
      display.peer.read()
      try display.loop.runOnce(timeout: .milliseconds(10))
    }
    #expect(edid == nil)
    #expect(modes != nil)
  }

  /// Headers of answers: request, flags, size.
  private static let badHeaders: [[UInt32]] = [
    [3, 4, 500], [3, 4, 0], [8, 4, 0], [3, 0, 408], [11, 4, 2000], [1, 4, 0xffff_ffff],
  ]

  @Test("answers that break the rules end the socket, not the process", arguments: badHeaders)
  func badAnswers(_ words: [UInt32]) throws {
    let display = try Display()
    var modes: [DisplayMode]? = []
    display.peer.unanswered = [DisplayRequest.getDisplayInfo.rawValue]
    display.client.requestDisplayInfo { modes = $0 }
    display.settle()
    display.peer.send(bytes: words.flatMap { word in withUnsafeBytes(of: word) { Array($0) } })
    display.peer.send(bytes: [UInt8](repeating: 0, count: Int(min(words[2], 1000))))
    for _ in 0..<10 { try display.loop.runOnce(timeout: .milliseconds(1)) }
    #expect(display.losses == 1)
    #expect(modes == nil)
    try display.replaceSocket()
    display.settle()
    #expect(display.peer.acceptedFeatures == 1)
  }

  @Test("answers without end leave others on the loop their turn")
  func flood() throws {
    let (theirs, ours) = try UnixSocket.pair(.stream).take()
    let peer = FileDescriptor(adopting: theirs)
    let loop = try EventLoop()
    let client = DisplaySocketClient(loop: loop)
    try client.attach(FileDescriptor(adopting: ours))
    let answer = message(DisplayRequest.getProtocolFeatures.rawValue, flags: 4, [UInt8](repeating: 0, count: 8))
    for _ in 0..<200 { try #require(try answer.withUnsafeBytes { try UnixSocket.send(peer.raw, $0) } == answer.count) }
    func unread() -> Int32 {
      var count: Int32 = 0
      return ioctl(peer.raw, UInt(TIOCOUTQ), &count) == 0 ? count : -1
    }
    try loop.runOnce(timeout: .milliseconds(100))
    #expect(unread() > 0)
    for _ in 0..<5 { try loop.runOnce(timeout: .zero) }
    #expect(unread() == 0 && client.isAttached)
  }

  @Test("scanouts too large to show are off")
  func tooLarge() throws {
    let display = try Display()
    let picture = Picture(1, 1)
    display.client.setScanout(0, Size(width: 40_000, height: 1), picture.direct)
    display.client.damage(0, whole)
    display.settle()
    #expect(display.peer.surfaces[0] == nil)
    #expect(display.peer.violations.isEmpty)
  }

  @Test("a reset turns everything off")
  func reset() throws {
    let display = try Display()
    let picture = Picture(20, 20)
    let image = [UInt8](repeating: 1, count: DisplayProtocol.cursorBytes)
    display.client.setScanout(0, picture.size, picture.direct)
    image.withUnsafeBytes { display.client.setCursor(scanout: 0, x: 0, y: 0, hotX: 0, hotY: 0, image: $0) }
    display.client.damage(0, whole)
    display.client.reset()
    display.settle()
    #expect(display.peer.surfaces[0] == nil)
    #expect(!display.peer.cursor.isVisible)
  }
}
