import Buffers
import Glibc
import Platform
import TestSupport
import Testing

@testable import HubProtocol

/// Parses a packet without descriptors.
private func parse(_ packet: [UInt8], descriptors: [Int32] = []) throws(ProtocolError) -> [(Message, UInt64)] {
  var found: [(Message, UInt64)] = []
  let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: packet.count, alignment: 8)
  defer { copy.deallocate() }
  copy.copyBytes(from: packet)
  try PacketParser.parse(UnsafeRawBufferPointer(copy), descriptors: descriptors) { message, serial, _ in
    found.append((message, serial))
    return true
  }
  return found
}

private func openFile() throws -> Int32 {
  try SharedMemory.create(name: "test", count: 4096).release()
}

/// A descriptor to give away, and whether its taker closed it: a test beside this one may get the same number again.
private final class GivenDescriptor {
  /// One end of a pair of sockets.
  let raw: Int32
  private let other: SharedDescriptor

  init() throws {
    let (given, kept) = try UnixSocket.pair(.stream).take()
    raw = given
    other = SharedDescriptor(FileDescriptor(adopting: kept))
  }

  var isClosed: Bool {
    var entry = pollfd(fd: other.raw, events: 0, revents: 0)
    return poll(&entry, 1, 0) == 1 && entry.revents & Int16(POLLHUP) != 0
  }
}

@Suite struct MessageTests {
  @Test func `every message comes back as it was sent, with its serial`() throws {
    for sample in MessageSamples.all {
      let bytes = MessageSamples.bytes(of: sample.message, serial: 0x8000_0000_0000_0001, descriptor: sample.descriptor)
      let found = try parse(bytes, descriptors: sample.descriptor ? [try openFile()] : [])
      #expect(found.count == 1)
      #expect(found.first?.0 == sample.message)
      #expect(found.first?.1 == 0x8000_0000_0000_0001)
    }
  }

  @Test func `the samples cover every type`() {
    let covered = Set(MessageSamples.all.map(\.message.type))
    #expect(covered == Set(MessageType.allCases))
  }

  @Test func `every message has the length that the documentation says`() {
    for sample in MessageSamples.all { #expect(sample.message.byteCount == sample.documented) }
  }

  @Test func `a flush has its fields where the documentation says`() {
    let bytes = MessageSamples.bytes(of: .flush(ScanoutIndex(3), damage: MessageSamples.rectangle), serial: 0x0a0b)
    #expect(
      bytes == [
        0x04, 0x01, 0, 0, 40, 0, 0, 0, 0x0b, 0x0a, 0, 0, 0, 0, 0, 0,
        3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 30, 0, 0, 0, 40, 0, 0, 0,
      ])
  }

  @Test func `a packet holds several messages in order`() throws {
    let messages: [Message] = [.layersSettled, .flushLatched(ScanoutIndex(1)), .vmState(connected: false)]
    let packet = messages.flatMap { MessageSamples.bytes(of: $0) }
    #expect(try parse(packet).map(\.0) == messages)
  }

  @Test func `a message cut at any byte is refused`() {
    for sample in MessageSamples.all where !sample.descriptor && sample.message.byteCount < 1000 {
      let bytes = MessageSamples.bytes(of: sample.message)
      for count in 1..<bytes.count {
        #expect(throws: ProtocolError.self) { try parse(Array(bytes[..<count])) }
      }
    }
  }

  @Test func `a message whose header claims another length is refused`() {
    for sample in MessageSamples.all where !sample.descriptor && sample.message.byteCount < 1000 {
      for length in stride(from: 16, to: 400, by: 8) where length != sample.message.byteCount {
        var bytes = MessageSamples.bytes(of: sample.message) + [UInt8](repeating: 0, count: 400)
        bytes[4] = UInt8(length & 0xff)
        bytes[5] = UInt8(length >> 8)
        #expect(throws: ProtocolError.self) { try parse(Array(bytes[..<length])) }
      }
    }
  }

  @Test(arguments: [0, 8, 15, 17, 24 + 4, 65_544, 0xffff_fff8, 0xffff_ffff] as [UInt32])
  func `a length that cannot be is refused`(length: UInt32) {
    var bytes = MessageSamples.bytes(of: .vmState(connected: true))
    withUnsafeBytes(of: length.littleEndian) { bytes.replaceSubrange(4..<8, with: $0) }
    #expect(throws: ProtocolError.badLength(length)) { try parse(bytes) }
  }

  @Test func `an unknown type and unknown flags are refused`() {
    var bytes = MessageSamples.bytes(of: .layersSettled)
    bytes[1] = 0x7f
    #expect(throws: ProtocolError.unknownType(0x7f88)) { try parse(bytes) }
    bytes = MessageSamples.bytes(of: .layersSettled)
    bytes[2] = 2
    #expect(throws: ProtocolError.badFlags(2)) { try parse(bytes) }
  }

  @Test func `a descriptor that a message does not want is refused and closed`() throws {
    let file = try GivenDescriptor()
    let bytes = MessageSamples.bytes(of: .layersSettled, descriptor: true)
    #expect(throws: ProtocolError.descriptorMismatch(type: 0x0288)) { try parse(bytes, descriptors: [file.raw]) }
    #expect(file.isClosed)
  }

  @Test func `a message without the descriptor that it needs is refused`() {
    let unflagged = MessageSamples.bytes(of: .bufferRegister(MessageSamples.buffer, MessageSamples.memory))
    #expect(throws: ProtocolError.descriptorMismatch(type: 0x0101)) { try parse(unflagged) }
    let missing = MessageSamples.bytes(
      of: .bufferRegister(MessageSamples.buffer, MessageSamples.memory), descriptor: true)
    #expect(throws: ProtocolError.descriptorMismatch(type: 0x0101)) { try parse(missing) }
  }

  @Test func `surplus descriptors are refused and closed`() throws {
    let files = [try GivenDescriptor(), try GivenDescriptor(), try GivenDescriptor()]
    let bytes = MessageSamples.bytes(
      of: .bufferRegister(MessageSamples.buffer, MessageSamples.memory), descriptor: true)
    #expect(throws: ProtocolError.surplusDescriptors(2)) { try parse(bytes, descriptors: files.map(\.raw)) }
    #expect(files.allSatisfy { $0.isClosed })
  }

  /// Each is a sample with one field overwritten (offset from the end of the header).
  @Test(arguments: [
    ("role 0", 4, 0),
    ("role 7", 4, 7),
    ("empty name", 8, 0),
    ("bytes after the end of the name", 70, 65),
    ("control character in the name", 8, 7),
    ("name that is no UTF-8", 8, 0xff),
  ])
  func `a hello with a bad field is refused`(what: String, offset: Int, value: Int) {
    var bytes = MessageSamples.bytes(of: MessageSamples.all[0].message)
    bytes[16 + offset] = UInt8(value)
    #expect(throws: ProtocolError.self, "\(what)") { try parse(bytes) }
  }

  @Test func `a name without an end is refused`() {
    var bytes = MessageSamples.bytes(of: .screenshot(MessageSamples.name))
    for index in 16..<80 { bytes[index] = 65 }
    #expect(throws: ProtocolError.badField(type: 0x0302, field: "name")) { try parse(bytes) }
  }

  @Test(
    arguments: [
      (16, 0), (16, 16_385), (20, 0), (20, 0xffff_ffff), (24, 0), (24, 0x3131_3131), (28, 0), (28, 399),
      (36, 0xffff_ffff),
      (40, 1),
    ] as [(Int, UInt32)])
  func `a layout that cannot be is refused`(offset: Int, value: UInt32) throws {
    var bytes = MessageSamples.bytes(
      of: .bufferRegister(MessageSamples.buffer, MessageSamples.memory), descriptor: true)
    withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(16 + offset..<20 + offset, with: $0) }
    let file = try GivenDescriptor()
    #expect(throws: ProtocolError.self) { try parse(bytes, descriptors: [file.raw]) }
    #expect(file.isClosed)
  }

  @Test func `scanout 16, opacity 256, scale mode 3 and the zero buffer id are refused`() {
    var flush = MessageSamples.bytes(of: .flush(ScanoutIndex(0), damage: .empty))
    flush[16] = 16
    #expect(throws: ProtocolError.badField(type: 0x0104, field: "scanout")) { try parse(flush) }
    let layer = LayerDescription(
      id: MessageSamples.layer, vm: MessageSamples.name, scanout: ScanoutIndex(0), area: .empty)
    var set = MessageSamples.bytes(of: .layerSet(layer))
    set[16 + 21] = 1
    #expect(throws: ProtocolError.badField(type: 0x0281, field: "opacity")) { try parse(set) }
    set = MessageSamples.bytes(of: .layerSet(layer))
    set[16 + 16] = 3
    #expect(throws: ProtocolError.badField(type: 0x0281, field: "scale mode")) { try parse(set) }
    var retired = MessageSamples.bytes(of: .bufferRetired(MessageSamples.id))
    for index in 16..<32 { retired[index] = 0 }
    #expect(throws: ProtocolError.badField(type: 0x0287, field: "buffer id")) { try parse(retired) }
  }

  @Test func `a scanout that is off but names a buffer is refused`() {
    let state = ScanoutState(
      scanout: ScanoutIndex(0), mode: Size(width: 64, height: 64),
      content: .init(buffer: MessageSamples.id, source: MessageSamples.rectangle))
    var bytes = MessageSamples.bytes(of: .scanoutSet(state))
    bytes[20] = 0
    #expect(throws: ProtocolError.badField(type: 0x0103, field: "content")) { try parse(bytes) }
  }

  @Test func `random damage to a packet never does worse than an error`() {
    let seed = UInt64.random(in: 0...UInt64.max)
    var generator = SplitMix(seed: seed)
    for _ in 0..<20_000 {
      let sample = MessageSamples.all[Int(generator.next() % UInt64(MessageSamples.all.count))]
      guard sample.message.byteCount < 1000 else { continue }
      var bytes = MessageSamples.bytes(of: sample.message, descriptor: false)
      for _ in 0..<Int(generator.next() % 4 + 1) {
        bytes[Int(generator.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: generator.next())
      }
      for (message, serial) in (try? parse(bytes)) ?? [] {
        let again = MessageSamples.bytes(of: message, serial: serial)
        #expect((try? parse(again))?.first?.0 == message, "seed \(seed)")
      }
    }
  }

  @Test func `text that is too long is cut at a character`() throws {
    let refusal = Refusal(.limit, reason: String(repeating: "é", count: 100))
    guard case .error(let read)? = try parse(MessageSamples.bytes(of: .error(refusal))).first?.0 else {
      Issue.record("no error message")
      return
    }
    #expect(read.reason == String(repeating: "é", count: 59))
  }

  @Test(arguments: [("", false), ("a", true), ("bell\u{7}", false), ("nul\0", false), ("vm ä 1", true)])
  func `names have 1 to 63 bytes without control characters`(text: String, isName: Bool) {
    #expect((PeerName(text) != nil) == isName)
    #expect(PeerName(String(repeating: "x", count: 63)) != nil)
    #expect(PeerName(String(repeating: "x", count: 64)) == nil)
  }

  @Test func `a layer's id depends on VM, scanout, display and ordinal only`() {
    let a = PeerName("a")!
    let b = PeerName("b")!
    let id = LayerID(vm: a, scanout: ScanoutIndex(0), display: b)
    #expect(id == LayerID(vm: a, scanout: ScanoutIndex(0), display: b))
    #expect(id.rawValue == 0xb450_a63a_9c04_e2d2)
    let others = [
      LayerID(vm: b, scanout: ScanoutIndex(0), display: a), LayerID(vm: a, scanout: ScanoutIndex(1), display: b),
      LayerID(vm: a, scanout: ScanoutIndex(0), display: b, ordinal: 1),
      LayerID(vm: a, scanout: ScanoutIndex(0), display: a),
    ]
    #expect(Set(others + [id]).count == 5)
  }
}
