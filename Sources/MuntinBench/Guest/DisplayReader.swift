import Glibc
import Platform
import Synchronization

/// The monitor's end of a display socket (vhost-user-gpu.rst): reads as fast as it can, counts pictures, keeps nothing.
final class DisplayReader: Sendable {
  private enum Request {
    static let protocolFeatures: UInt32 = 1
    static let displayInfo: UInt32 = 3
    static let update: UInt32 = 8
    static let edid: UInt32 = 11
  }

  /// VHOST_USER_GPU_PROTOCOL_F_EDID.
  private static let edidFeature: UInt32 = 1 << 0

  private let socket = Mutex<SharedDescriptor?>(nil)
  private let thread = Mutex<BackgroundThread?>(nil)
  private let updateCount = Atomic<Int>(0)
  private let lastUpdate = Atomic<Int64>(0)
  private let bell: Doorbell
  private let ringsBell = Atomic<Bool>(false)

  init() throws(BenchError) {
    bell = try system { () throws(SystemError) in try Doorbell() }
  }

  /// How many pictures, or parts of them, have come in whole.
  var count: Int { updateCount.load(ordering: .acquiring) }
  /// When the last one was complete, in nanoseconds.
  var lastTime: Int64 { lastUpdate.load(ordering: .acquiring) }

  /// Whether each picture rings a bell, for `wait`.
  func announce(_ on: Bool) { ringsBell.store(on, ordering: .releasing) }

  /// Sleeps until more than `count` pictures have come.
  func wait(beyond count: Int) throws(BenchError) {
    while self.count <= count {
      var file = pollfd(fd: bell.waiting.raw, events: Int16(POLLIN), revents: 0)
      guard poll(&file, 1, 5000) > 0 else { throw .timedOut("no picture for 5 s") }
      bell.drain()
    }
  }

  /// Reads on a thread of its own until `finish`.
  func start(_ descriptor: consuming FileDescriptor) {
    let socket = SharedDescriptor(descriptor)
    self.socket.withLock { $0 = socket }
    thread.withLock { $0 = BackgroundThread { self.read(socket.raw) } }
  }

  /// Ends the thread.
  func finish() {
    socket.withLock { if let socket = $0 { _ = shutdown(socket.raw, Int32(SHUT_RDWR)) } }
    thread.withLock { $0.take()?.join() }
  }

  private func read(_ socket: Int32) {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { room.deallocate() }
    let header = UnsafeMutableRawBufferPointer.allocate(byteCount: 12, alignment: 4)
    defer { header.deallocate() }
    var headerFilled = 0
    var payload = 0
    while case let count = recv(socket, room.baseAddress, room.count, 0), count > 0 {
      var place = 0
      while place < count {
        if headerFilled < 12 {
          let part = min(12 - headerFilled, count - place)
          UnsafeMutableRawBufferPointer(rebasing: header[headerFilled..<headerFilled + part])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: room[place..<place + part]))
          headerFilled += part
          place += part
          guard headerFilled == 12 else { continue }
          payload = Int(header.load(fromByteOffset: 8, as: UInt32.self))
        }
        let part = min(payload, count - place)
        payload -= part
        place += part
        guard payload == 0 else { continue }
        headerFilled = 0
        complete(header.load(as: UInt32.self), socket)
      }
    }
  }

  private func complete(_ request: UInt32, _ socket: Int32) {
    switch request {
    case Request.update:
      lastUpdate.store(Stopwatch.now, ordering: .releasing)
      updateCount.add(1, ordering: .releasing)
      if ringsBell.load(ordering: .acquiring) { bell.ring() }
    case Request.protocolFeatures: answer(request, byteCount: 8, firstWord: Self.edidFeature, socket)
    case Request.displayInfo: answer(request, byteCount: 408, socket)
    case Request.edid: answer(request, byteCount: 1056, socket)
    default: break
    }
  }

  /// Answers with zeros behind the first word.
  private func answer(_ request: UInt32, byteCount: Int, firstWord: UInt32 = 0, _ socket: Int32) {
    var words = [UInt32](repeating: 0, count: 3 + byteCount / 4)
    words[0] = request
    words[1] = 4
    words[2] = UInt32(byteCount)
    words[3] = firstWord
    _ = words.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
  }
}
