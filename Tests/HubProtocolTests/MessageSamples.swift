import Buffers

@testable import HubProtocol

/// One message of each kind, with every field set to something that could be confused.
enum MessageSamples {
  static let id = BufferID(high: 0x0102_0304_0506_4708, low: 0x8910_1112_1314_1516)
  static let name = PeerName("alpha")!
  static let layer = LayerID(rawValue: 0x1122_3344_5566_7788)
  static let scanout = ScanoutIndex(3)
  static let rectangle = Rectangle(x: 1, y: 2, width: 30, height: 40)
  static let buffer = BufferDescription(
    id: id,
    layout: PixelLayout(size: Size(width: 100, height: 50), format: .xrgb8888, stride: 512, offset: 4096)!)
  static let image = CursorImage(pixels: (0..<4096).map { UInt32($0) &* 0x01020304 })!
  static let cursor = CursorState(image: image, x: -5, y: 7, hotX: 1, hotY: 2)

  static let vm = VMRecord(
    name: name, socketPath: "/run/a.sock", memoryLimit: 1 << 28, bytes: 4_096_000, flushes: 77, buffers: 3,
    state: .offline, processID: 4711,
    scanouts: [
      VMRecord.Scanout(
        scanout: scanout, isOn: true, mode: Size(width: 800, height: 600), shown: Size(width: 640, height: 480),
        flushes: 9)
    ])
  static let memory = MemoryDescription(
    kind: .file, side: .host, reason: .memoryWithheld, byteCount: 40_960, offset: 8192, isContiguous: true)
  static let ranges = MemoryDescription(kind: .ranges, side: .guest, reason: .udmabufListLimit, byteCount: 40_960)
  static let space = MemorySpace(rawValue: 0x0102_0304_0506_0708)
  static let key = MemoryKey(space: space, memory: MemoryFileID(rawValue: 0x0a0b_0c0d))
  static let bufferRecord = BufferRecord(
    buffer: buffer, memory: ranges, owner: Party(.vm, name), name: name, bytes: 8192, state: .leased, leases: 2,
    trouble: "display wall cannot use format XR24")
  static let displayRecord = DisplayRecord(
    name: name, output: "headless", size: Size(width: 1920, height: 720), refreshMillihertz: 60_000, processID: 12,
    layers: 2, hasFrame: true)
  static let client = ClientRecord(
    name: name, role: .consumer, processID: 5, userID: 1000, messagesReceived: 6, messagesSent: 7)

  /// With its total length as Documentation/protocol.md has it.
  static let all: [(message: Message, documented: Int, descriptor: Bool)] =
    [
      (.hello(Hello(role: .producer, name: name, memoryLimit: 1 << 28, socketPath: "/run/a.sock")), 208, false),
      (.welcome(Welcome(processID: 99, instance: 0xdead_beef)), 48, false),
      (.error(Refusal(.badBuffer, about: 0x101, reason: "not sealed")), 144, false),
      (.bufferRegister(buffer, memory), 96, true),
      (.bufferRegister(buffer, ranges), 96, true),
      (.bufferUnregister(id), 32, false),
      (.scanoutSet(ScanoutState(scanout: scanout, mode: Size(width: 640, height: 480), content: nil)), 64, false),
      (
        .scanoutSet(
          ScanoutState(
            scanout: scanout, mode: Size(width: 640, height: 480), content: .init(buffer: id, source: rectangle))), 64,
        false
      ),
      (.flush(scanout, damage: rectangle), 40, false),
      (.cursorSet(scanout, cursor), 16_424, false),
      (.cursorSet(scanout, CursorState(image: nil, x: 1, y: -1)), 40, false),
      (.cursorMove(scanout, x: -3, y: 4), 32, false),
      (.vmState(connected: true), 24, false),
      (.memoryRegister(key.memory, byteCount: 1 << 40), 32, true),
      (.memoryUnregister(key.memory), 24, false),
      (.flushLatched(scanout), 24, false),
      (.scanoutMode(scanout, Size(width: 1024, height: 768)), 32, false),
      (.bufferFreed(id), 32, false),
      (.scanoutRequirements(scanout, ScanoutRequirements(constraints: constraints, isWithheld: true)), 448, false),
      (
        .scanoutRequirements(
          scanout, ScanoutRequirements(constraints: .unstated, disagreement: "display a and display b disagree")), 448,
        false
      ),
      (
        .displayAnnounce(
          DisplayDescription(size: Size(width: 1920, height: 720), refreshMillihertz: 60_000, output: "vnc 127.0.0.1")),
        160, false
      ),
      (.frameRegister(buffer), 64, true),
      (.layerLatched(layer), 24, false),
      (.producerLinkReady, 16, false),
      (.linkRoute(LinkID(rawValue: 7), ScanoutSet(rawValue: 0x8001)), 32, false),
      (.flushesLinked(scanout, count: 0x1_0000_0002), 32, false),
      (.producerLink(LinkID(rawValue: 8), display: name), 88, true),
      (.linkScanouts(LinkID(rawValue: 9), .all), 32, false),
      (.flushesWanted(ScanoutSet(scanout)), 24, false),
      (.linkDamage(scanout, generation: 0x0102_0304_0506_0708, rectangle), 48, false),
      (.consumerLinkReady, 16, false),
      (.consumerLink(LinkID(rawValue: 10), vm: name), 88, true),
      (.linkLatched(scanout), 24, false),
      (.bufferRelease(id), 32, false),
      (.layerRecall(LayerRecall(id: layer, vm: name, scanout: scanout)), 96, false),
      (
        .layerSet(
          LayerDescription(
            id: layer, vm: name, scanout: scanout, area: rectangle, z: -2, scaleMode: .fill, opacity: 128)), 120, false
      ),
      (.layerRemove(layer), 24, false),
      (.layerContent(layer, .shown(buffer, memory, space: nil, source: rectangle)), 136, true),
      (.layerContent(layer, .shown(buffer, ranges, space: space, source: rectangle)), 136, false),
      (.layerContent(layer, .absent(.withheld)), 136, false),
      (.layerDamage(layer, rectangle), 40, false),
      (.layerCursor(layer, cursor), 16_432, false),
      (.layerCursor(layer, CursorState(image: nil, x: 1, y: -1)), 48, false),
      (.layerCursorMove(layer, x: 9, y: -9), 32, false),
      (.bufferRetired(id), 32, false),
      (.layersSettled, 16, false),
      (.memorySet(key, byteCount: 1 << 40), 40, true),
      (.memoryRemove(key), 32, false),
      (.consumerConstraints(constraints), 320, false),
      (.list(.buffers, cursor: 1 << 40), 32, false),
      (.screenshot(name), 80, false),
      (.screenshot(nil), 80, false),
      (.listEnd(count: 3, next: 1 << 40), 32, false),
      (.vmRecord(vm), 432, false),
      (.bufferRecord(bufferRecord), 376, false),
      (.displayRecord(displayRecord), 232, false),
      (.clientRecord(client), 120, false),
      (.frame(buffer, display: name), 128, true),
    ] + applications

  static func bytes(of message: Message, serial: UInt64 = 42, descriptor: Bool = false) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xee, count: message.byteCount)
    let count = bytes.withUnsafeMutableBytes {
      message.encode(serial: serial, carriesDescriptor: descriptor, into: $0)
    }
    precondition(count == bytes.count)
    return bytes
  }
}
