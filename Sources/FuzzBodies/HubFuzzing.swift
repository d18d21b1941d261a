import Buffers
import Hub
import HubProtocol
import Platform

/// Takes a packet apart, with up to three descriptors; what is understood must read the same when written again.
@Sendable public func fuzzHubPacket(_ input: UnsafeRawBufferPointer) {
  var input = FuzzInput(input)
  let descriptors = (0..<input.next(below: 4)).compactMap { _ in
    try? SharedMemory.create(name: "fuzz", count: 4096).release()
  }
  // The parser reads private memory only: a copy.
  withUnsafeTemporaryAllocation(byteCount: Wire.maximumPacketByteCount, alignment: 8) { room in
    let packet = input.take(room.count)
    room.copyMemory(from: packet)
    try? PacketParser.parse(UnsafeRawBufferPointer(rebasing: room[..<packet.count]), descriptors: descriptors) {
      message, serial, descriptor in
      expectSame(message, serial, carriesDescriptor: descriptor != nil)
      return true
    }
  }
}

private func expectSame(_ message: Message, _ serial: UInt64, carriesDescriptor: Bool) {
  withUnsafeTemporaryAllocation(byteCount: Wire.maximumPacketByteCount, alignment: 8) { room in
    guard let count = message.encode(serial: serial, carriesDescriptor: carriesDescriptor, into: room) else {
      fatalError("a message does not fit a packet")
    }
    let descriptors =
      carriesDescriptor ? [try? SharedMemory.create(name: "fuzz", count: 4096).release()].compactMap { $0 } : []
    var again: Message?
    try? PacketParser.parse(UnsafeRawBufferPointer(rebasing: room[..<count]), descriptors: descriptors) {
      again = $0
      precondition($1 == serial)
      _ = $2
      return true
    }
    precondition(again == message, "a message changes when it is written and read")
  }
}

/// Lets peers of all roles say anything, in any order, to a hub; in the end nothing of them may be left in it.
@Sendable public func fuzzHubSession(_ input: UnsafeRawBufferPointer) {
  // The machine's own resources may run out; that says nothing about the hub.
  guard let machine = try? HubMachine(FuzzInput(input)) else { return }
  machine.run()
}

/// A hub with four peers. The input: actions of one byte each with their operands.
private final class HubMachine {
  private static let names = ["a", "b", "c"].compactMap { PeerName($0) }
  private static let buffers = (1...4).map { BufferID(high: 0x4000, low: 2 << 62 | UInt64($0)) }

  private var input: FuzzInput
  private let fuzzed: FuzzedHub
  private let sealed: FileDescriptor
  private let writable: FileDescriptor
  private let table: FileDescriptor

  init(_ input: FuzzInput) throws(SystemError) {
    self.input = input
    fuzzed = try FuzzedHub {
      $0.guestMemoryReaders = .only([Self.names[0]])
      $0.grants = (0..<2).map { Self.grant(ScanoutIndex($0)) }
    }
    let file = try SharedMemoryFile(name: "fuzz", count: 65_536)
    sealed = try file.readOnly()
    writable = file.takeWritable()
    table = try Self.makeTable()
  }

  private static func grant(_ scanout: ScanoutIndex) -> GrantRequest {
    GrantRequest(owner: Party(.vm, names[0]), to: Party(.vm, names[0]), object: .scanout(scanout))
  }

  /// Eight pages of the memory that every producer calls 1.
  private static func makeTable() throws(SystemError) -> FileDescriptor {
    let page = UInt64(SharedMemory.pageSize)
    let ranges = [5, 1, 9, 3, 11, 7, 13, 0].map { (index: UInt64) in
      MemoryRange(memory: MemoryFileID(rawValue: 1), offset: index * page, length: page)
    }
    guard let table = try? RangeTable(checking: ranges) else { fatalError("a table that is right") }
    return try table.makeFile()
  }

  func run() {
    if input.byte() % 4 != 0 { begin() }
    while !input.isEmpty {
      let slot = input.next(below: fuzzed.count)
      switch input.byte() % 16 {
      case 0: fuzzed.drop(slot)
      case 1: fuzzed.turn()
      case 2: fuzzed.drain(slot)
      case 3: fuzzed.send(input.take(input.next(below: 600)), to: slot)
      case 4: changeLayout()
      default: say(message(), to: slot)
      }
    }
    fuzzed.expectNothingLeft(Self.names.first)
  }

  /// A VM that shows a picture of each kind, two displays of which one may see its memory, and one who asks: not every
  /// input has to find that by itself.
  private func begin() {
    let size = Size(width: 16, height: 16)
    guard let layout = PixelLayout(size: size, format: .xrgb8888) else { return }
    let display = DisplayDescription(size: Size(width: 64, height: 32), refreshMillihertz: 1, output: "")
    let screen = ScreenKey(vm: Self.names[0], scanout: ScanoutIndex(0))
    var setting: [(Message, Int32?, Int)] = [
      (.hello(Hello(role: .producer, name: Self.names[0])), nil, 0), (.vmState(connected: true), nil, 0),
      (.memoryRegister(MemoryFileID(rawValue: 1), byteCount: 65_536), sealed.raw, 0),
      (.bufferRegister(BufferDescription(id: Self.buffers[0], layout: layout), Self.memory(.file)), sealed.raw, 0),
      (.bufferRegister(BufferDescription(id: Self.buffers[1], layout: layout), Self.memory(.ranges)), table.raw, 0),
      (.hello(Hello(role: .consumer, name: Self.names[0])), nil, 1), (.displayAnnounce(display), nil, 1),
      (.hello(Hello(role: .consumer, name: Self.names[1])), nil, 2), (.displayAnnounce(display), nil, 2),
      (.producerLinkReady, nil, 0), (.consumerLinkReady, nil, 1),
    ]
    if input.byte() % 2 == 0 {
      setting += [
        (.scanoutSet(ScanoutState(scanout: screen.scanout, mode: size, content: nil)), nil, 0),
        (.hello(Hello(role: .viewer, name: Self.names[0])), nil, 3), (.application(.view(screen)), nil, 3),
      ]
    } else {
      setting.append((.hello(Hello(role: .control, name: Self.names[2])), nil, 3))
    }
    for (message, file, slot) in setting { fuzzed.say(message, descriptor: file, to: slot) }
    for index in 0..<2 {
      let content = ScanoutState.Content(buffer: Self.buffers[index], source: Rectangle(size))
      let state = ScanoutState(scanout: ScanoutIndex(index), mode: Size(width: 64, height: 64), content: content)
      fuzzed.say(.scanoutSet(state), serial: 1, to: 0)
    }
    fuzzed.turn()
  }

  private static func memory(_ kind: MemoryKind) -> MemoryDescription {
    MemoryDescription(kind: kind, side: .guest, reason: .noUDMABuf, byteCount: 32_768)
  }

  private func say(_ message: Message, to slot: Int) {
    let file: Int32? =
      switch message {
      case .bufferRegister(_, let memory) where memory.kind == .ranges && input.byte() % 8 != 0: table.raw
      case .bufferRegister, .frameRegister, .memoryRegister: input.byte() % 8 == 0 ? writable.raw : sealed.raw
      default: nil
      }
    fuzzed.say(message, serial: UInt64(input.byte()), descriptor: file, to: slot)
  }

  private func changeLayout() {
    let places = (0..<input.next(below: 6)).map { _ in
      Layout.Placement(vm: name(), scanout: scanout(), display: name(), area: rectangle())
    }
    fuzzed.hub.setLayout(input.byte() % 2 == 0 ? nil : Layout(placements: places))
  }

  // MARK: Messages

  private func message() -> Message {
    switch input.next(below: 32) {
    case 0: .hello(Hello(role: .producer, name: name()))
    case 1: .hello(Hello(role: .consumer, name: name()))
    case 2: .hello(Hello(role: .control, name: name()))
    case 3: .vmState(connected: input.byte() % 4 != 0)
    case 4: .bufferRegister(buffer(), memory())
    case 5: .bufferUnregister(bufferID())
    case 6, 7: .scanoutSet(ScanoutState(scanout: scanout(), mode: Size(width: 64, height: 64), content: content()))
    case 8, 9: .flush(scanout(), damage: rectangle())
    case 10: .cursorMove(scanout(), x: Int32(input.byte()), y: 0)
    case 11: .cursorSet(scanout(), .hidden)
    case 12, 13:
      .displayAnnounce(
        DisplayDescription(size: Size(width: UInt32(input.byte()) + 1, height: 9), refreshMillihertz: 1, output: ""))
    case 14: .frameRegister(buffer())
    case 15, 16: .layerLatched(LayerID(vm: name(), scanout: scanout(), display: name()))
    case 17: .bufferRelease(bufferID())
    case 18: .list(ListKind(rawValue: UInt32(input.next(below: 4) + 1)) ?? .vms, cursor: UInt64(input.byte()))
    case 19: .producerLinkReady
    case 20: .consumerLinkReady
    case 21, 22: .linkRoute(LinkID(rawValue: UInt64(input.byte()) % 4), ScanoutSet(rawValue: UInt16(input.byte())))
    case 23: .flushesLinked(scanout(), count: UInt64(input.byte()) << 56)
    case 24: .linkDamage(scanout(), generation: UInt64(input.byte()), rectangle())
    case 25: .screenshot(name())
    case 26, 27: .memoryRegister(MemoryFileID(rawValue: UInt32(input.byte() % 3)), byteCount: 65_536)
    case 28: .memoryUnregister(MemoryFileID(rawValue: UInt32(input.byte() % 3)))
    case 29, 30: .consumerConstraints(constraints())
    case 31:
      switch input.byte() % 4 {
      case 0: .hello(Hello(role: .viewer, name: name()))
      case 1: .application(.view(ScreenKey(vm: name(), scanout: scanout())))
      case 2: .application(.grant(Self.grant(scanout())))
      default: .application(.revoke(GrantID(rawValue: UInt64(input.byte() % 4))))
      }
    default: .bufferRegister(buffer(), memory())
    }
  }

  private func name() -> PeerName { Self.names[input.next(below: Self.names.count)] }
  private func scanout() -> ScanoutIndex { ScanoutIndex(input.next(below: 3)) }
  private func bufferID() -> BufferID { Self.buffers[input.next(below: Self.buffers.count)] }

  private func rectangle() -> Rectangle {
    Rectangle(x: UInt32(input.byte()) % 20, y: input.next(), width: UInt32(input.byte()) % 40, height: 8)
  }

  private func content() -> ScanoutState.Content? {
    guard input.byte() % 4 != 0 else { return nil }
    return ScanoutState.Content(buffer: bufferID(), source: Rectangle(x: 0, y: 0, width: 16, height: 16))
  }

  private func memory() -> MemoryDescription {
    let kinds: [MemoryKind] = [.file, .ranges, .ranges, .dmaBuf]
    return Self.memory(kinds[input.next(below: 4)])
  }

  private func constraints() -> Constraints {
    var constraints = Constraints.unstated
    constraints.memoryKinds = MemoryKind(rawValue: UInt32(input.next(below: 7) + 1))
    constraints.strideAlignment = UInt32(input.byte() % 3) * 60 + 4
    return constraints
  }

  private func buffer() -> BufferDescription {
    let offset = UInt64(input.next(below: 4)) * 4096
    let layout = PixelLayout(size: Size(width: 16, height: 16), format: .xrgb8888, offset: offset)
    guard let layout else { fatalError("a layout that is right") }
    return BufferDescription(id: bufferID(), layout: layout)
  }
}
