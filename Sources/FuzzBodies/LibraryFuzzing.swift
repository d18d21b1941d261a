import CMuntin
import Glibc
import Platform

/// Lets a hub say anything to libmuntin while a program uses all of it; in the end nothing may be left open.
@Sendable public func fuzzLibrary(_ input: UnsafeRawBufferPointer) {
  // The machine's own resources may run out; that says nothing about the library.
  guard let machine = try? LibraryMachine(FuzzInput(input)) else { return }
  machine.run()
}

/// Until the library wants to connect or to ask again: a private function of it.
@_silgen_name("muntin__skip_time")
private func skipTime(_ milliseconds: UInt64)

/// A connection over a transport that takes its packets from the input: actions of one byte each with their operands.
private final class LibraryMachine {
  private static let types: [UInt16] = [
    0x0002, 0x0003, 0x0183, 0x0185, 0x0481, 0x0482, 0x0483, 0x0484, 0x0485, 0x0486, 0x0487, 0x0488, 0x0489, 0x048a,
    0x048b, 0x048c,
  ]
  private static let sizes: [UInt16: Int] = [
    0x0002: 32, 0x0003: 128, 0x0183: 16, 0x0185: 16, 0x0481: 8, 0x0482: 376, 0x0483: 40, 0x0484: 24, 0x0485: 24,
    0x0486: 304, 0x0487: 248, 0x0488: 16, 0x0489: 32, 0x048a: 248, 0x048b: 24,
    0x048c: 32,
  ]
  /// An answer of application "camera" about a buffer, as MessageBytes of the tests have it.
  private static let info: [UInt8] = {
    var bytes = [UInt8](repeating: 0, count: 376)
    func put(_ offset: Int, _ word: UInt32) {
      withUnsafeBytes(of: word.littleEndian) { for (index, byte) in $0.enumerated() { bytes[offset + index] = byte } }
    }
    for (index, word) in [64, 48, 0x3432_5258, 256].enumerated() { put(16 + 4 * index, UInt32(word)) }
    for (index, word) in [1, 2, 2, 0, 12288].enumerated() { put(48 + 4 * index, UInt32(word)) }
    for (offset, text) in [(88, "camera"), (152, "front"), (248, "lens"), (280, "wide")] {
      bytes.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8)
    }
    put(80, 2)
    for (index, word) in [2, 1, 1, 1].enumerated() { put(224 + 4 * index, UInt32(word)) }
    bytes[0] = 1
    return bytes
  }()

  private var input: FuzzInput
  private var connection: OpaquePointer?
  private var buffers: [OpaquePointer?] = []
  private var leases: [OpaquePointer?] = []
  private var grants: [OpaquePointer?] = []
  private let file: FileDescriptor
  private var (readEnd, writeEnd): (Int32, Int32) = (-1, -1)

  fileprivate var packets: [(bytes: [UInt8], descriptors: [Int32])] = []
  fileprivate var isConnected = false
  fileprivate var isFull = false

  init(_ input: FuzzInput) throws(SystemError) {
    self.input = input
    file = try SharedMemoryFile(name: "fuzz", count: 12288).readOnly()
    (readEnd, writeEnd) = try UnixSocket.pair(.stream).take()
  }

  func run() {
    open()
    while !input.isEmpty {
      act()
      dispatch()
    }
    muntin_close(connection)
    for packet in packets { packet.descriptors.forEach { _ = close($0) } }
    close(writeEnd)
    var end = pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)
    precondition(poll(&end, 1, 0) == 1 && end.revents & Int16(POLLHUP) != 0, "a descriptor is left open")
    close(readEnd)
  }

  private func open() {
    let reconnects = input.byte() & 1 != 0
    let result = "tester".withCString { name in
      var options = muntin_options(name: name, path: nil, reconnect: reconnects)
      return muntin_open_transport(
        &options, fuzzTransport, Unmanaged.passUnretained(self).toOpaque(), &connection)
    }
    precondition(result == 0)
  }

  private func dispatch() {
    var event = muntin_event()
    for _ in 0..<100 {
      guard muntin_dispatch(connection, &event) == 1 else { return }
      guard event.has_fence, input.byte() & 1 != 0 else { continue }
      close(muntin_take_fence(connection))
    }
  }

  // MARK: What the hub does

  private func act() {
    switch input.byte() % 24 {
    case 0: queue(Array(input.take(input.next(below: 600))))
    case 1...9: queue(message())
    case 10: queue(message() + message() + message())
    case 11: isConnected = false
    case 12: isFull.toggle()
    case 13: queue(message(0x0002))
    case 14: queue(message(0x0482))
    case 15: skipTime(UInt64(max(0, muntin_timeout(connection))))
    default: call()
    }
  }

  private func queue(_ bytes: [UInt8]) {
    let count = input.next(below: 4) == 0 ? input.next(below: 18) : bytes.count > 2 ? Int(bytes[2] & 1) : 0
    let descriptors = (0..<count).map { _ in fcntl(input.byte() & 1 == 0 ? file.raw : writeEnd, F_DUPFD_CLOEXEC, 0) }
      .filter { $0 >= 0 }
    packets.append((bytes, descriptors))
  }

  /// A message that is right except for what the input changes.
  private func message(_ given: UInt16? = nil) -> [UInt8] {
    let type = given ?? Self.types[input.next(below: Self.types.count)]
    var payload = [UInt8](repeating: 0, count: Self.sizes[type] ?? 0)
    if type == 0x0482 { payload = Self.info }
    if type == 0x0487 { payload = Array(Self.info[..<236]) + [UInt8](repeating: 0, count: 12) }
    if type == 0x0002 { payload[0] = 1 }
    if type == 0x0003 { payload[0] = input.byte() % 14 }
    payload.withUnsafeMutableBytes { name($0) }
    for _ in 0..<input.next(below: 4) where !payload.isEmpty {
      payload[input.next(below: payload.count)] = input.byte()
    }
    let hasDescriptor: UInt8 = type == 0x0482 || (type == 0x0483 || type == 0x0489) && input.byte() & 1 != 0 ? 1 : 0
    let length = UInt16(16 + payload.count)
    return [UInt8(type & 0xff), UInt8(type >> 8), hasDescriptor, 0, UInt8(length & 0xff), UInt8(length >> 8), 0, 0]
      + [input.byte() % 32, 0, 0, 0, 0, 0, 0, 0] + payload
  }

  /// Makes the message one about a buffer that is known.
  private func name(_ payload: UnsafeMutableRawBufferPointer) {
    guard payload.count >= 16, input.byte() & 1 != 0 else { return }
    let buffer = buffers.isEmpty ? nil : buffers[input.next(below: buffers.count)]
    guard let buffer, let id = muntin_buffer_id(buffer) else {
      payload[0] = 1
      return
    }
    payload.copyMemory(from: UnsafeRawBufferPointer(start: id, count: 16))
  }

  // MARK: What the program does

  private func call() {
    switch input.byte() % 14 {
    case 0: offer()
    case 1: acquire()
    case 2: grant()
    case 3: pick(&buffers) { muntin_buffer_destroy($0) }
    case 4: pick(&leases) { muntin_lease_release($0) }
    case 5: pick(&grants) { muntin_grant_revoke($0) }
    case 6: use(buffers) { _ = muntin_buffer_withdraw($0) }
    case 7: use(buffers) { _ = muntin_buffer_scrub($0) }
    case 8, 9:
      var part = muntin_rectangle(x: input.next(), y: input.next(), width: input.next(), height: input.next())
      let fence = input.byte() & 1 != 0 ? writeEnd : -1
      use(buffers) {
        if let image = muntin_buffer_image($0, muntin_buffer_next($0)) { memset(image, 0, 64 * 48 * 4) }
        _ = muntin_buffer_update($0, &part, 0, fence)
      }
    case 10:
      let fence = input.byte() & 1 != 0 ? writeEnd : -1
      use(leases) { _ = muntin_lease_done($0, 1, fence) }
    case 11:
      var pixels: UnsafeMutableRawPointer?
      use(leases) { if muntin_lease_map($0, &pixels) == 0 { precondition(pixels?.load(as: UInt8.self) == 0) } }
    case 12: _ = muntin_list(connection, nil, 0, nil)
    default: _ = muntin_set_constraints(connection, nil)
    }
  }

  private func use(_ list: [OpaquePointer?], _ body: (OpaquePointer?) -> Void) {
    if !list.isEmpty { body(list[input.next(below: list.count)]) }
  }

  private func pick(_ list: inout [OpaquePointer?], _ body: (OpaquePointer?) -> Void) {
    if !list.isEmpty { body(list.remove(at: input.next(below: list.count))) }
  }

  private func offer() {
    guard buffers.count < 4 else { return }
    var offer = muntin_offer()
    offer.layout = muntin_layout(width: 64, height: 48, format: 0x3432_5258, stride: 0, offset: 0, modifier: 0)
    let choice = input.byte()
    offer.writable = choice & 1 != 0
    offer.images = UInt32(choice >> 1 & 3)
    var buffer: OpaquePointer?
    if muntin_buffer_offer(connection, &offer, &buffer) == 0 { buffers.append(buffer) }
  }

  private func acquire() {
    guard leases.count < 4 else { return }
    let id = [1] + [UInt8](repeating: 0, count: 15)
    let choice = input.byte()
    let isByID = choice & 1 != 0
    let flags =
      MUNTIN_UPDATES | (choice & 6 == 2 ? MUNTIN_WAIT_FOR_IT : 0) | (choice & 8 == 0 ? 0 : MUNTIN_KEEPS)
    var lease: OpaquePointer?
    let result = "camera".withCString { owner in
      "front".withCString { name in
        id.withUnsafeBufferPointer {
          var selector = muntin_selector(
            id: isByID ? $0.baseAddress : nil, owner_kind: MUNTIN_APPLICATION, owner: owner, name: name)
          return muntin_lease_acquire(connection, &selector, MUNTIN_READ, UInt32(flags), &lease)
        }
      }
    }
    if result == 0 { leases.append(lease) }
  }

  private func grant() {
    guard grants.count < 4 else { return }
    let buffer = buffers.isEmpty ? nil : buffers[input.next(below: buffers.count)]
    var grant: OpaquePointer?
    let result = "viewer".withCString {
      var right = muntin_right(
        buffer: buffer, name: nil, grantee_kind: MUNTIN_APPLICATION, grantee: $0, access: MUNTIN_READ)
      return muntin_grant_give(connection, &right, &grant)
    }
    if result == 0 { grants.append(grant) }
  }
}

extension LibraryMachine {
  /// Hands over the next packet: its length, or a negative errno.
  fileprivate func receive(
    _ bytes: UnsafeMutableRawPointer?, _ room: Int, _ descriptors: UnsafeMutablePointer<Int32>?,
    _ count: UnsafeMutablePointer<Int>?
  ) -> Int {
    guard let bytes, let descriptors, let count else { return -Int(EIO) }
    let capacity = count.pointee
    count.pointee = 0
    guard let packet = packets.first else { return isConnected ? -Int(EAGAIN) : 0 }
    packets.removeFirst()
    for raw in packet.descriptors {
      guard count.pointee < capacity else {
        close(raw)
        continue
      }
      descriptors[count.pointee] = raw
      count.pointee += 1
    }
    guard packet.descriptors.count <= capacity, packet.bytes.count <= room else { return -Int(EMSGSIZE) }
    packet.bytes.withUnsafeBytes { source in
      if let start = source.baseAddress { bytes.copyMemory(from: start, byteCount: source.count) }
    }
    return packet.bytes.count
  }

  fileprivate func send() -> Int32 { isFull ? -EAGAIN : 0 }
}

private func machine(_ context: UnsafeMutableRawPointer?) -> LibraryMachine? {
  context.map { Unmanaged<LibraryMachine>.fromOpaque($0).takeUnretainedValue() }
}

/// Kept for good: a connection keeps a pointer to it.
nonisolated(unsafe) private let fuzzTransport: UnsafeMutablePointer<muntin_transport> = {
  let table = UnsafeMutablePointer<muntin_transport>.allocate(capacity: 1)
  table.initialize(to: muntin_transport())
  table.pointee.connect = {
    machine($0)?.isConnected = true
    return 0
  }
  table.pointee.send = { context, _, _, _, _ in machine(context)?.send() ?? -EPIPE }
  table.pointee.receive = { machine($0)?.receive($1, $2, $3, $4) ?? 0 }
  table.pointee.descriptor = { _ in -1 }
  table.pointee.disconnect = { machine($0)?.isConnected = false }
  return table
}()
