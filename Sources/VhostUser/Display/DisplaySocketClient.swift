import Buffers
import Platform

/// The back-end's end of the display socket that QEMU hands over (vhost-user-gpu.rst): it shows scanouts and the cursor.
///
/// It never waits for the front-end. What the front-end does not read now is kept as state, not as messages: damage
/// grows into one rectangle per scanout, only the last position of the cursor counts, and pixels are read when they are
/// sent. A new socket, which QEMU makes whenever the guest's driver starts, is told the whole state again.
public final class DisplaySocketClient {
  /// Messages sent, and answers read, in one go before others on the loop have their turn.
  private static let messagesPerWake = 64
  /// Called when everything that was to be shown of a scanout has left, after `damage` had to leave some behind.
  public var delivered: ((_ scanout: UInt32) -> Void)?
  /// Called when the front-end has closed the socket or broken its rules.
  public var lost: (() -> Void)?

  private let loop: EventLoop
  private let sendBufferBytes: Int32
  private var socket: SharedDescriptor?
  private var token: EventLoop.Token?
  private var waitsForRoom = false
  private var isPumping = false
  private let output = DisplayOutput()
  private var reader = MessageReader(.displayReplies, payloadLimit: DisplayProtocol.replyBytes)
  private let questions: DisplayQuestions
  private var scanouts = [DisplayScanout](repeating: DisplayScanout(), count: DisplayProtocol.scanouts)
  /// The scanout whose update is on its way.
  private var sending: Int?
  /// The scanouts, bit by bit, of which `delivered` has yet to tell.
  private var owed: UInt32 = 0
  /// Where the search for the next update begins, so that all scanouts get their turn.
  private var turn = 0
  private var cursor = DisplayCursor()
  private var protocolFeatures: UInt64 = 0
  /// The answer to SET_PROTOCOL_FEATURES that is still to be sent.
  private var acceptedFeatures: UInt64?

  /// A client without a socket. Each socket gets a buffer of about `sendBufferBytes`: with more the kernel takes more of a
  /// frame at once, but out of cold memory, which was measured to be slower.
  public init(loop: EventLoop, sendBufferBytes: Int32 = 256 << 10) {
    self.loop = loop
    self.sendBufferBytes = sendBufferBytes
    questions = DisplayQuestions(loop: loop)
    questions.ready = { [unowned self] in pump() }
  }

  deinit {
    if let token { loop.unwatch(token) }
  }

  /// Whether there is a front-end to show anything.
  public var isAttached: Bool { socket != nil }

  // MARK: Socket

  /// Takes a display socket, in the place of any earlier one, and tells it everything.
  public func attach(_ descriptor: consuming FileDescriptor) throws(SystemError) {
    detach()
    let socket = SharedDescriptor(descriptor)
    setSendBuffer(of: socket.raw, to: sendBufferBytes)
    token = try loop.watch(socket.raw, for: .readable) { [unowned self] _ in serve() }
    self.socket = socket
    for index in scanouts.indices { scanouts[index].forgetFrontend() }
    cursor.forgetFrontend()
    questions.add(.protocolFeatures) { [unowned self] reply in
      guard case .protocolFeatures(let offered)? = reply else { return }
      protocolFeatures = offered & DisplayProtocol.edid
      acceptedFeatures = protocolFeatures
    }
    pump()
  }

  /// Lets the socket go; what waited for the front-end waits no longer.
  public func detach() {
    guard socket != nil else { return }
    if let token { loop.unwatch(token) }
    token = nil
    socket = nil
    waitsForRoom = false
    output.reset()
    reader = MessageReader(.displayReplies, payloadLimit: DisplayProtocol.replyBytes)
    protocolFeatures = 0
    acceptedFeatures = nil
    questions.abandonAll()
    sending = nil
    settle()
  }

  // MARK: What to show

  /// Shows `size` pixels on a scanout, or turns it off (nil). Nothing is drawn before `damage` says so.
  public func setScanout(_ id: UInt32, _ size: Size, _ pixels: DisplayPixels?) {
    guard id < DisplayProtocol.scanouts else { return }
    scanouts[Int(id)].show(size, pixels)
    pump()
  }

  /// Says that pixels of a scanout have changed. True when they have been sent already, or nobody is there to see them;
  /// else `delivered` tells.
  @discardableResult
  public func damage(_ id: UInt32, _ area: Rectangle) -> Bool {
    guard socket != nil, id < DisplayProtocol.scanouts else { return true }
    scanouts[Int(id)].add(damage: area)
    pump()
    guard isPending(Int(id)) else { return true }
    owed |= 1 << id
    return false
  }

  /// Shows a cursor; `image` holds 64 x 64 pixels a8r8g8b8 and is copied.
  public func setCursor(
    scanout: UInt32, x: UInt32, y: UInt32, hotX: UInt32, hotY: UInt32, image: UnsafeRawBufferPointer
  ) {
    cursor.define(scanout: scanout, x: x, y: y, hotX: hotX, hotY: hotY, image: image)
    pump()
  }

  /// Moves the cursor, and shows it.
  public func moveCursor(scanout: UInt32, x: UInt32, y: UInt32) {
    cursor.move(scanout: scanout, x: x, y: y, isVisible: true)
    pump()
  }

  /// Hides the cursor.
  public func hideCursor(scanout: UInt32, x: UInt32, y: UInt32) {
    cursor.move(scanout: scanout, x: x, y: y, isVisible: false)
    pump()
  }

  /// Forgets scanouts and cursor, as after a reset of the device.
  public func reset() {
    for index in scanouts.indices { scanouts[index].show(Size(width: 0, height: 0), nil) }
    cursor.move(scanout: cursor.scanout, x: cursor.x, y: cursor.y, isVisible: false)
    pump()
  }

  // MARK: Questions

  /// Asks which displays there are; nil when there is nobody to answer.
  public func requestDisplayInfo(_ answer: @escaping ([DisplayMode]?) -> Void) {
    guard socket != nil else { return answer(nil) }
    questions.add(.displayInfo) { reply in
      if case .displayInfo(let modes)? = reply { answer(modes) } else { answer(nil) }
    }
    pump()
  }

  /// Asks for a display's EDID; nil when there is none to be had. Ask only for displays that there are: QEMU does not
  /// answer for others.
  public func requestEDID(scanout: UInt32, _ answer: @escaping ([UInt8]?) -> Void) {
    guard socket != nil, scanout < DisplayProtocol.scanouts else { return answer(nil) }
    questions.add(.edid(scanout)) { reply in
      if case .edid(let bytes)? = reply { answer(bytes) } else { answer(nil) }
    }
    pump()
  }

  // MARK: Events

  private func serve() {
    guard let socket else { return }
    do throws(VhostUserError) {
      for _ in 0..<Self.messagesPerWake where self.socket === socket {
        switch try reader.read(from: socket.raw) {
        case .message: try takeReply()
        case .incomplete: return pump()
        case .closed: return lose()
        }
      }
      pump()
    } catch {
      lose()
    }
  }

  private func takeReply() throws(VhostUserError) {
    guard let header = reader.header else { return }
    let reply = DisplayReply(request: header.request, payload: reader.payload)
    reader.finish()
    guard let reply else { throw .unexpectedReply(request: header.request) }
    questions.take(reply, to: header.request)
  }

  private func lose() {
    detach()
    lost?()
  }

  private func isPending(_ index: Int) -> Bool {
    socket != nil && (scanouts[index].isPending || sending == index)
  }

  // MARK: Sending

  /// Sends what there is to say until the socket is full.
  private func pump() {
    // A callback may ask for more: the loop below sees it.
    guard !isPumping, let socket else { return }
    isPumping = true
    defer { isPumping = false }
    do throws(SystemError) {
      for _ in 0..<Self.messagesPerWake {
        guard output.isBusy || beginNext() else {
          waitForRoom(false)
          return settle()
        }
        guard try output.flush(to: socket.raw) else { return waitForRoom(true) }
        sending = nil
        if owed != 0 { settle() }
        guard self.socket === socket else { return }
      }
      waitForRoom(true)
    } catch {
      isPumping = false
      lose()
    }
  }

  /// Tells of scanouts that have nothing left to send.
  private func settle() {
    while let index = scanouts.indices.first(where: { owed & 1 << $0 != 0 && !isPending($0) }) {
      owed &= ~(1 << index)
      delivered?(UInt32(index))
    }
  }

  private func waitForRoom(_ waits: Bool) {
    guard waits != waitsForRoom, let token else { return }
    waitsForRoom = waits
    loop.change(token, to: waits ? [.readable, .writable] : .readable)
  }

  /// Begins the most urgent message; false when everything has been said.
  private func beginNext() -> Bool {
    if let features = acceptedFeatures {
      acceptedFeatures = nil
      output.begin(.setProtocolFeatures, [UInt32(truncatingIfNeeded: features), UInt32(features >> 32)])
      return true
    }
    return beginQuestion() || beginScanout() || beginCursor() || beginUpdate()
  }

  private func beginQuestion() -> Bool {
    while let question = questions.next {
      questions.markAsked()
      if case .edid = question, protocolFeatures & DisplayProtocol.edid == 0 {
        questions.take(nil, to: question.request.rawValue)
        continue
      }
      output.begin(question.request, question.words)
      return true
    }
    return false
  }

  private func beginScanout() -> Bool {
    guard let index = scanouts.firstIndex(where: \.needsAnnouncement) else { return false }
    let size = scanouts[index].announce()
    output.begin(.scanout, [UInt32(index), size.width, size.height])
    sending = index
    return true
  }

  private func beginCursor() -> Bool {
    guard cursor.isPending else { return false }
    cursor.begin(in: output)
    return true
  }

  private func beginUpdate() -> Bool {
    for step in 0..<scanouts.count {
      let index = (turn + step) % scanouts.count
      guard scanouts[index].needsUpdate, let pixels = scanouts[index].pixels else { continue }
      let part = output.beginUpdate(UInt32(index), scanouts[index].damage, pixels)
      scanouts[index].sent(part)
      sending = index
      turn = index + 1
      return true
    }
    return false
  }
}
