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
    if case .application(let message) = message { return try answerGrants(message, serial) }
    // An answer is one packet: the one before must have gone.
    try peer.beginPage()
    switch message {
    case .list(let kind, let cursor): answer(kind, from: cursor, serial)
    case .screenshot(let display): try answerFrame(of: display, serial)
    default: throw Refusal(.notPermitted, reason: "not a control program's message")
    }
    pump()
  }

  private func answerGrants(_ message: ApplicationMessage, _ serial: UInt64) throws(Refusal) {
    try peer.beginAnswer()
    try hub.answerGrants(message, serial, from: peer, as: nil)
    pump()
  }

  func pump() {
    peer.connection.transmit()
    if peer.connection.hasUnsent { peer.connection.pauseReading(true) }
  }

  func ended() {}

  private func answer(_ kind: ListKind, from cursor: UInt64, _ serial: UInt64) {
    var page = Page()
    let next: UInt64?
    if kind == .buffers {
      next = hub.registry.order.walk(after: cursor, limit: .max) { page.add(.bufferRecord(hub.record(of: $0))) }
    } else {
      let records = records(kind)
      var index = Int(clamping: cursor)
      while index < records.count, page.add(records[index]) { index += 1 }
      next = index < records.count ? UInt64(index) : nil
    }
    for record in page.records { _ = peer.send(record, serial: serial) }
    _ = peer.send(.listEnd(count: UInt32(page.records.count), next: next ?? 0), serial: serial)
  }

  /// As many records as fit one packet, with the end of the list.
  private struct Page {
    private(set) var records: [Message] = []
    private var room = Wire.maximumPacketByteCount - Message.listEnd(count: 0, next: 0).byteCount

    /// Adds a record if it fits.
    mutating func add(_ record: Message) -> Bool {
      guard record.byteCount <= room else { return false }
      room -= record.byteCount
      records.append(record)
      return true
    }
  }

  private func records(_ kind: ListKind) -> [Message] {
    switch kind {
    case .buffers: []
    case .vms: hub.machines.values.sorted { $0.name < $1.name }.map { .vmRecord(hub.record(of: $0)) }
    case .displays: displays.map { .displayRecord($0) }
    case .clients:
      hub.clients.sorted {
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

extension Hub {
  /// What LIST shows of a VM.
  func record(of vm: VirtualMachine) -> VMRecord {
    let party = Party(.vm, vm.name)
    let tally = registry.tally(of: party)
    return VMRecord(
      name: vm.name, socketPath: vm.socketPath, memoryLimit: vm.memoryLimit, bytes: tally.bytes,
      flushes: vm.scanouts.reduce(0) { $0 + $1.flushes }, buffers: UInt32(clamping: tally.buffers), state: vm.state,
      processID: vm.producer?.peer.processID ?? 0, ledger: ledger(of: vm, tally),
      scanouts: vm.scanouts.filter(\.isAnnounced).map(\.record))
  }

  /// What LIST shows of a buffer.
  func record(of entry: BufferEntry) -> BufferRecord {
    var record = entry.record
    record.trouble = trouble(with: entry) ?? ""
    return record
  }

  /// Who should be shown a VM's buffer and is not, and why.
  private func trouble(with entry: BufferEntry) -> String? {
    guard entry.owner.kind == .vm, let vm = machines[entry.owner.name] else { return nil }
    for scanout in vm.scanouts where scanout.content?.buffer === entry {
      if let trouble = scanout.trouble { return trouble }
    }
    return nil
  }

  /// What the VM's producer reported, what it uses of others by way of the hub, and what is still held of buffers whose
  /// producer has left.
  private func ledger(of vm: VirtualMachine, _ tally: BufferRegistry.Tally) -> LedgerReport {
    var report = vm.report ?? LedgerReport()
    report.totals.hostAllocated.add(Int(clamping: tally.orphanHost))
    report.totals.guestMemory.add(Int(clamping: tally.orphanGuest))
    report.totals.imported.add(accounts.totals(of: Party(.vm, vm.name)).imported)
    return report
  }
}

extension Int {
  /// Adds what a peer said, at most up to the largest number.
  fileprivate mutating func add(_ other: Int) {
    let (sum, overflow) = addingReportingOverflow(other)
    self = overflow ? .max : sum
  }
}
