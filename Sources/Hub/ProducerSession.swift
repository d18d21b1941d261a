import Buffers
import HubProtocol
import Platform

/// A producer's connection: one VM's buffers, scanouts and flushes (protocol.md section 3).
final class ProducerSession: Session {
  let hello: Hello
  let vm: VirtualMachine
  let peer: Peer
  private unowned let hub: Hub
  private var buffers: [BufferID: BufferEntry] = [:]

  init(_ hello: Hello, vm: VirtualMachine, peer: Peer, hub: Hub) {
    self.hello = hello
    self.vm = vm
    self.peer = peer
    self.hub = hub
    vm.socketPath = hello.socketPath
    vm.memoryLimit = hello.memoryLimit
    vm.presence = .present
    for scanout in vm.scanouts { scanout.isAnnounced = false }
    noteContent()
  }

  func received(
    _ message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) throws(Refusal) {
    switch message {
    case .flush(let scanout, let damage): try flush(scanout, damage, serial)
    case .scanoutSet(let state): try set(state)
    case .bufferRegister(let buffer): try register(buffer, descriptor)
    case .bufferUnregister(let id): try unregister(id)
    case .cursorSet(let index, let cursor):
      let scanout = try announced(index)
      scanout.cursor = cursor
      for view in scanout.views { view.note(.cursor) }
    case .cursorMove(let index, let x, let y):
      let scanout = try announced(index)
      scanout.cursor.x = x
      scanout.cursor.y = y
      for view in scanout.views { view.note(.cursorPosition) }
    case .vmState(let connected):
      guard connected != vm.isConnected else { return }
      vm.isConnected = connected
      noteContent()
    default: throw Refusal(.notPermitted, reason: "not a producer's message")
    }
  }

  func pump() {
    for scanout in vm.scanouts {
      if let serial = scanout.unreported {
        guard peer.send(.flushLatched(scanout.index), serial: serial) else { return }
        scanout.noteReported(serial)
      }
      if let mode = scanout.unaskedMode {
        guard peer.send(.scanoutMode(scanout.index, mode)) else { return }
        scanout.noteAsked(mode)
      }
    }
  }

  func ended() {
    vm.producerLeft()
    noteContent()
    for entry in buffers.values { hub.retire(entry) }
    buffers.removeAll()
    hub.vmLeft()
  }

  private func announced(_ index: ScanoutIndex) throws(Refusal) -> Scanout {
    guard let scanout = vm.existing(index), scanout.isAnnounced else {
      throw Refusal(.unknownObject, reason: "scanout \(index) was not set")
    }
    return scanout
  }

  // MARK: Buffers

  private func register(_ buffer: BufferDescription, _ descriptor: consuming FileDescriptor?) throws(Refusal) {
    guard buffers.count < Wire.maximumBuffers else {
      throw Refusal(.limit, reason: "more than \(Wire.maximumBuffers) buffers")
    }
    guard let descriptor else { throw Refusal(.malformed, reason: "no descriptor") }
    buffers[buffer.id] = try hub.registry.register(buffer, owner: vm.name, descriptor: descriptor)
  }

  private func unregister(_ id: BufferID) throws(Refusal) {
    guard let entry = buffers.removeValue(forKey: id) else {
      throw Refusal(.unknownObject, reason: "buffer \(id) is not registered")
    }
    for scanout in vm.scanouts where scanout.content?.buffer === entry { show(nil, on: scanout) }
    hub.retire(entry)
  }

  // MARK: Scanouts

  private func set(_ state: ScanoutState) throws(Refusal) {
    let content = try state.content.map { (wanted) throws(Refusal) in try self.content(wanted) }
    let scanout = vm.scanout(state.scanout)
    if !scanout.isAnnounced {
      scanout.isAnnounced = true
      hub.scheduleLayout()
    }
    scanout.noteMode(state.mode)
    hub.schedule(peer)
    show(content, on: scanout)
  }

  private func content(_ wanted: ScanoutState.Content) throws(Refusal) -> Scanout.Content {
    guard let buffer = buffers[wanted.buffer] else {
      throw Refusal(.unknownObject, reason: "buffer \(wanted.buffer) is not registered")
    }
    guard !wanted.source.isEmpty, wanted.source.fits(in: buffer.description.layout.size) else {
      throw Refusal(.malformed, reason: "source \(wanted.source) is not inside the buffer")
    }
    return Scanout.Content(buffer: buffer, source: wanted.source)
  }

  private func show(_ content: Scanout.Content?, on scanout: Scanout) {
    scanout.content = content
    for view in scanout.views {
      if content == nil { view.skip(through: scanout.lastFlushed) }
      view.note(.content)
    }
    if content == nil { hub.schedule(peer) }
  }

  /// What is seen of the whole VM may have changed.
  private func noteContent() {
    for scanout in vm.scanouts {
      for view in scanout.views { view.note([.content, .cursor]) }
    }
  }

  private func flush(_ index: ScanoutIndex, _ damage: Rectangle, _ serial: UInt64) throws(Refusal) {
    let scanout = try announced(index)
    guard scanout.note(flush: serial) else { throw Refusal(.malformed, reason: "flush serial does not rise") }
    guard let content = scanout.content, vm.isConnected else {
      for view in scanout.views { view.skip(through: serial) }
      hub.schedule(peer)
      return
    }
    let visible = damage.intersection(content.source)
    for view in scanout.views { view.noteDamage(visible, serial: serial) }
    if scanout.views.isEmpty { hub.schedule(peer) }
  }
}
