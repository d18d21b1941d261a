import Buffers
import HubProtocol
import Platform

/// A control program's connection: answers questions, one at a time (protocol.md section 5).
final class ControlSession: Session {
  let hello: Hello
  private unowned let peer: Peer
  private unowned let hub: Hub

  init(_ hello: Hello, peer: Peer, hub: Hub) {
    self.hello = hello
    self.peer = peer
    self.hub = hub
  }

  func received(
    _ message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) throws(Refusal) {
    // An answer is one packet: the one before must have gone.
    peer.connection.transmit()
    guard !peer.connection.hasUnsent else { throw Refusal(.limit, reason: "answers are not read") }
    switch message {
    case .list(let kind, let cursor): answer(records(kind), from: cursor, serial)
    case .screenshot(let display): try answerFrame(of: display, serial)
    default: throw Refusal(.notPermitted, reason: "not a control program's message")
    }
    pump()
  }

  func pump() {
    peer.connection.transmit()
    if peer.connection.hasUnsent { peer.connection.pauseReading(true) }
  }

  func ended() {}

  private func answer(_ records: [Message], from cursor: UInt32, _ serial: UInt64) {
    let end = Message.listEnd(count: 0, next: 0).byteCount
    var room = Wire.maximumPacketByteCount - end
    var index = Int(cursor)
    var count: UInt32 = 0
    while index < records.count, records[index].byteCount <= room {
      room -= records[index].byteCount
      _ = peer.send(records[index], serial: serial)
      index += 1
      count += 1
    }
    let next = index < records.count ? UInt32(clamping: index) : 0
    _ = peer.send(.listEnd(count: count, next: next), serial: serial)
  }

  private func records(_ kind: ListKind) -> [Message] {
    switch kind {
    case .vms:
      let buffers = Dictionary(grouping: hub.registry.all, by: \.owner)
      return hub.machines.values.sorted { $0.name < $1.name }.map {
        .vmRecord($0.record(buffers: buffers[$0.name] ?? []))
      }
    case .buffers:
      return hub.registry.all.sorted { ($0.owner, $0.id.high, $0.id.low) < ($1.owner, $1.id.high, $1.id.low) }
        .map { .bufferRecord($0.record) }
    case .displays: return displays.map { .displayRecord($0) }
    case .clients:
      return hub.clients.sorted {
        ($0.role.rawValue, $0.name, $0.processID) < ($1.role.rawValue, $1.name, $1.processID)
      }
      .map { .clientRecord($0) }
    }
  }

  /// The displays that are connected, and those that the layout expects.
  private var displays: [DisplayRecord] {
    var records = hub.displays.values.map(\.record)
    for expected in hub.configuration.layout?.displays ?? [] where hub.displays[expected.name] == nil {
      records.append(
        DisplayRecord(
          name: expected.name, output: "", size: expected.size ?? Size(width: 0, height: 0), refreshMillihertz: 0,
          processID: 0, layers: 0, hasFrame: false))
    }
    return records.sorted { $0.name < $1.name }
  }

  private func answerFrame(of name: PeerName?, _ serial: UInt64) throws(Refusal) {
    let candidates = hub.displays.values.filter { name == nil || $0.name == name }.sorted { $0.name < $1.name }
    guard let display = candidates.first(where: { $0.frame != nil }) ?? candidates.first else {
      throw Refusal(.notFound, reason: name.map { "no display \($0) is connected" } ?? "no display is connected")
    }
    guard let frame = display.frame else {
      throw Refusal(.notFound, reason: "display \(display.name) has no frame yet")
    }
    _ = peer.send(.frame(frame.description, display: display.name), serial: serial, descriptor: frame.descriptor)
  }
}

extension VirtualMachine {
  /// What LIST shows of it.
  func record(buffers: [BufferEntry]) -> VMRecord {
    VMRecord(
      name: name, socketPath: socketPath, memoryLimit: memoryLimit, bytes: buffers.reduce(0) { $0 &+ $1.bytes },
      flushes: scanouts.reduce(0) { $0 + $1.flushes }, buffers: UInt32(clamping: buffers.count), state: state,
      processID: producer?.peer.processID ?? 0, scanouts: scanouts.filter(\.isAnnounced).map(\.record))
  }
}
