import Buffers
import Platform

/// The front-end's end of a display socket: keeps what a window would show. For tests, benchmarks and fuzzers.
///
/// It trusts nothing: what a back-end must not send is noted in `violations`.
public final class DisplaySocketPeer {
  /// What a back-end did wrong.
  public enum Violation: Equatable, Sendable {
    /// A message that does not exist, or of a wrong size.
    case malformed(request: UInt32, size: UInt32)
    /// An update of a scanout that has not been announced. QEMU would read through a null pointer.
    case updateOfNothing(scanout: UInt32)
    /// An update that sticks out of its scanout.
    case updateOutside(scanout: UInt32, Rectangle)
  }

  /// One scanout as it is shown.
  public struct Surface: Equatable, Sendable {
    /// Its size in pixels.
    public var size: Size
    /// Its pixels, row after row, x8r8g8b8; those never updated are 0xdead_beef.
    public var pixels: [UInt32]
    /// How many updates it has had.
    public var updates = 0
  }

  /// The cursor as it is shown.
  public struct Cursor: Equatable, Sendable {
    /// Where it is.
    public var scanout: UInt32 = 0, x: UInt32 = 0, y: UInt32 = 0
    /// Its hot spot.
    public var hotX: UInt32 = 0, hotY: UInt32 = 0
    /// Whether it can be seen.
    public var isVisible = false
    /// Its picture, a8r8g8b8.
    public var image: [UInt8] = []

    /// A cursor that has not been shown.
    public init() {}
  }

  /// What is shown; nil where nothing is.
  public private(set) var surfaces = [Surface?](repeating: nil, count: DisplayProtocol.scanouts)
  /// The cursor.
  public private(set) var cursor = Cursor()
  /// How many messages of each kind came.
  public private(set) var counts: [UInt32: Int] = [:]
  /// What the back-end did wrong.
  public private(set) var violations: [Violation] = []
  /// What SET_PROTOCOL_FEATURES said.
  public private(set) var acceptedFeatures: UInt64?
  /// Whether the back-end has closed the socket.
  public private(set) var isClosed = false

  /// What is offered.
  public var offeredFeatures: UInt64 = 3
  /// What GET_DISPLAY_INFO answers.
  public var modes: [DisplayMode]
  /// The requests that are not answered.
  public var unanswered: Set<UInt32> = []

  private let socket: FileDescriptor
  private var bytes: [UInt8] = []

  /// Speaks over a connected socket.
  public init(_ socket: consuming FileDescriptor, modes: [DisplayMode] = []) {
    self.socket = socket
    self.modes = modes
  }

  /// Reads and handles what has come, at most `limit` bytes of it.
  public func read(limit: Int = .max) {
    var left = limit
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 8)
    defer { room.deallocate() }
    while left > 0 {
      let part = UnsafeMutableRawBufferPointer(rebasing: room[..<min(left, room.count)])
      var descriptors: [Int32] = []
      let received = try? UnixSocket.receive(socket.raw, into: part, descriptors: &descriptors)
      closeAll(descriptors)
      guard case .bytes(let count, _)? = received, count > 0 else {
        if received != .wouldBlock { isClosed = true }
        break
      }
      bytes.append(contentsOf: part[..<count])
      left -= count
    }
    handleMessages()
  }

  /// Sends bytes of any kind, as a hostile front-end does.
  public func send(bytes: [UInt8]) {
    bytes.withUnsafeBytes { _ = try? UnixSocket.send(socket.raw, $0) }
  }

  private func handleMessages() {
    var place = 0
    bytes.withUnsafeBytes { buffer in
      while let header = MessageHeader(UnsafeRawBufferPointer(rebasing: buffer[place...])) {
        let start = place + MessageHeader.byteCount
        guard buffer.count - start >= Int(header.payloadSize) else { break }
        let end = start + Int(header.payloadSize)
        handle(header.request, UnsafeRawBufferPointer(rebasing: buffer[start..<end]))
        place = end
      }
    }
    bytes.removeSubrange(..<place)
  }

  private func handle(_ request: UInt32, _ payload: UnsafeRawBufferPointer) {
    counts[request, default: 0] += 1
    var reader = ByteReader(payload)
    let isKnown: Bool =
      switch DisplayRequest(rawValue: request) {
      case .getProtocolFeatures: answer(request) { $0.append(word: offeredFeatures) }
      case .setProtocolFeatures: setFeatures(&reader, payload.count)
      case .getDisplayInfo: answer(request, encodeModes)
      case .getEdid: payload.count == 4 && answer(request, encodeEDID)
      case .scanout: payload.count == 12 && setScanout(&reader)
      case .update: update(&reader, payload.count)
      case .cursorPos: payload.count == 12 && moveCursor(&reader, isVisible: true)
      case .cursorPosHide: payload.count == 12 && moveCursor(&reader, isVisible: false)
      case .cursorUpdate: payload.count == 20 + DisplayProtocol.cursorBytes && setCursor(&reader)
      case .dmabufScanout, .dmabufUpdate, .dmabufScanout2, nil: false
      }
    if !isKnown { violations.append(.malformed(request: request, size: UInt32(clamping: payload.count))) }
  }

  // MARK: Answers

  private func answer(_ request: UInt32, _ encode: (inout [UInt8]) -> Void) -> Bool {
    guard !unanswered.contains(request) else { return true }
    var payload: [UInt8] = []
    encode(&payload)
    var message: [UInt8] = []
    MessageHeader(request: request, flags: MessageHeader.Flag.reply, payloadSize: UInt32(payload.count))
      .encode(into: &message)
    send(bytes: message + payload)
    return true
  }

  private func encodeModes(_ payload: inout [UInt8]) {
    payload.append(word: UInt32(0x1101))
    payload.append(contentsOf: [UInt8](repeating: 0, count: DisplayProtocol.responseHeaderBytes - 4))
    for index in 0..<DisplayProtocol.scanouts {
      let mode = index < modes.count ? modes[index] : DisplayMode(area: .empty, isEnabled: false)
      for word in [mode.area.x, mode.area.y, mode.area.width, mode.area.height, mode.isEnabled ? 1 : 0, 0] {
        payload.append(word: word)
      }
    }
  }

  private func encodeEDID(_ payload: inout [UInt8]) {
    payload.append(word: UInt32(0x1104))
    payload.append(contentsOf: [UInt8](repeating: 0, count: DisplayProtocol.responseHeaderBytes - 4))
    payload.append(word: UInt32(128))
    payload.append(word: UInt32(0))
    payload.append(contentsOf: (0..<1024).map { $0 < 128 ? UInt8($0) : 0 })
  }

  // MARK: What is shown

  private func setFeatures(_ reader: inout ByteReader, _ count: Int) -> Bool {
    acceptedFeatures = reader.next()
    return count == 8
  }

  private func setScanout(_ reader: inout ByteReader) -> Bool {
    guard let id: UInt32 = reader.next(), let width: UInt32 = reader.next(), let height: UInt32 = reader.next(),
      id < DisplayProtocol.scanouts, width <= DisplayProtocol.largestSide, height <= DisplayProtocol.largestSide
    else { return false }
    surfaces[Int(id)] =
      width == 0 || height == 0
      ? nil
      : Surface(
        size: Size(width: width, height: height),
        pixels: Array(repeating: 0xdead_beef, count: Int(width) * Int(height)))
    return true
  }

  private func update(_ reader: inout ByteReader, _ count: Int) -> Bool {
    guard let id: UInt32 = reader.next(), let x: UInt32 = reader.next(), let y: UInt32 = reader.next(),
      let width: UInt32 = reader.next(), let height: UInt32 = reader.next(), id < DisplayProtocol.scanouts,
      UInt64(count) == 20 + 4 * UInt64(width) * UInt64(height)
    else { return false }
    let area = Rectangle(x: x, y: y, width: width, height: height)
    guard let size = surfaces[Int(id)]?.size else {
      violations.append(.updateOfNothing(scanout: id))
      return true
    }
    guard area.fits(in: size) else {
      violations.append(.updateOutside(scanout: id, area))
      return true
    }
    surfaces[Int(id)]?.updates += 1
    let rowBytes = 4 * Int(width)
    let source = reader.rest
    surfaces[Int(id)]?.pixels.withUnsafeMutableBytes { target in
      for row in 0..<Int(height) {
        let start = 4 * ((Int(y) + row) * Int(size.width) + Int(x))
        UnsafeMutableRawBufferPointer(rebasing: target[start..<start + rowBytes])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[row * rowBytes..<(row + 1) * rowBytes]))
      }
    }
    return true
  }

  private func moveCursor(_ reader: inout ByteReader, isVisible: Bool) -> Bool {
    guard let id: UInt32 = reader.next(), let x: UInt32 = reader.next(), let y: UInt32 = reader.next() else {
      return false
    }
    cursor.scanout = id
    cursor.x = x
    cursor.y = y
    cursor.isVisible = isVisible
    return true
  }

  private func setCursor(_ reader: inout ByteReader) -> Bool {
    guard moveCursor(&reader, isVisible: true), let hotX: UInt32 = reader.next(), let hotY: UInt32 = reader.next()
    else { return false }
    cursor.hotX = hotX
    cursor.hotY = hotY
    cursor.image = Array(reader.rest)
    return true
  }
}
