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
  private var takesLinks = false
  private var links: [Introduction] = []
  private var retries: LinkRetries
  /// The scanouts whose flushes the producer was told to send to the hub.
  private var toldWanted = ScanoutSet.all
  private var memories: ProducerMemories
  /// The VM as a party that offers and acquires.
  let endpoint: PartyEndpoint
  /// The guest's programs that take part.
  var guests: [ApplicationSession] = []
  /// Through which the guest is shown other VMs' screens.
  var viewers: [ViewerSession] = []

  init(_ hello: Hello, vm: VirtualMachine, endpoint: PartyEndpoint, hub: Hub) {
    self.hello = hello
    self.vm = vm
    self.endpoint = endpoint
    peer = endpoint.peer
    self.hub = hub
    memories = ProducerMemories(space: hub.nextMemorySpace())
    retries = LinkRetries(after: hub.configuration.linkRetry)
    vm.socketPath = hello.socketPath
    vm.memoryLimit = hello.memoryLimit
    vm.presence = .present
    for scanout in vm.scanouts { scanout.isAnnounced = false }
    endpoint.otherBufferCount = { [weak self] in self?.buffers.count ?? 0 }
    noteContent()
  }

  func received(
    _ message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) throws(Refusal) {
    switch message {
    case .flush(let scanout, let damage): try flush(scanout, damage, serial)
    case .scanoutSet(let state): try set(state, generation: serial)
    case .bufferRegister(let buffer, let memory): try register(buffer, memory, descriptor)
    case .memoryRegister(let memory, let byteCount):
      try memories.register(memory, byteCount: byteCount, descriptor)
    case .memoryUnregister(let memory): try unregister(memory)
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
    case .vmState(let connected, let mapsReadOnly):
      vm.mapsReadOnly = mapsReadOnly
      guard connected != vm.isConnected else { return }
      vm.isConnected = connected
      noteContent()
    case .vmLedger(let report): vm.report = report
    case .application(let message): try endpoint.received(message, serial: serial, descriptor: descriptor)
    case .producerLinkReady:
      takesLinks = true
      hub.scheduleLayout()
    case .linkRoute(let id, let scanouts): route(id, scanouts, serial)
    case .flushesLinked(let index, let count): try announced(index).count(count)
    default: throw Refusal(.notPermitted, reason: "not a producer's message")
    }
  }

  func pump() throws(Refusal) {
    try endpoint.pump()
    for scanout in vm.scanouts {
      if let serial = scanout.unreported {
        guard peer.send(.flushLatched(scanout.index), serial: serial) else { return }
        scanout.noteReported(serial)
      }
      if let mode = scanout.unaskedMode {
        guard peer.send(.scanoutMode(scanout.index, mode)) else { return }
        scanout.noteAsked(mode)
      }
      if let requirements = scanout.untoldRequirements {
        guard peer.send(.scanoutRequirements(scanout.index, requirements)) else { return }
        scanout.noteTold(requirements)
      }
    }
    pumpLinks()
  }

  func ended() {
    vm.producerLeft()
    noteContent()
    for entry in buffers.values { hub.retire(entry, isOrphan: true) }
    buffers.removeAll()
    endpoint.ended()
    for guest in guests { guest.endpoint.peer.end("its graphics card is gone") }
    for viewer in viewers { viewer.peer.end("its graphics card is gone") }
    links.removeAll()
    for memory in memories.removeAll() { hub.remove(memory) }
    hub.vmLeft()
  }

  private func announced(_ index: ScanoutIndex) throws(Refusal) -> Scanout {
    guard let scanout = vm.existing(index), scanout.isAnnounced else {
      throw Refusal(.unknownObject, reason: "scanout \(index) was not set")
    }
    return scanout
  }

  // MARK: Buffers

  private func register(
    _ buffer: BufferDescription, _ memory: MemoryDescription, _ descriptor: consuming FileDescriptor?
  ) throws(Refusal) {
    guard buffers.count + endpoint.offers.count < Wire.maximumBuffers else {
      throw Refusal(.limit, reason: "more than \(Wire.maximumBuffers) buffers")
    }
    guard let descriptor else { throw Refusal(.malformed, reason: "no descriptor") }
    let checked = try CheckedMemory(memory, of: buffer.layout, descriptor, in: memories)
    let entry = BufferEntry(buffer, memory, checked, owner: endpoint.party, endpoint: endpoint)
    try hub.registry.register(entry)
    buffers[buffer.id] = entry
    hub.offered(entry)
  }

  private func unregister(_ id: BufferID) throws(Refusal) {
    guard let entry = buffers.removeValue(forKey: id) else {
      throw Refusal(.unknownObject, reason: "buffer \(id) is not registered")
    }
    for scanout in vm.scanouts where scanout.content?.buffer === entry { show(nil, on: scanout) }
    hub.retire(entry, isOrphan: false)
  }

  private func unregister(_ memory: MemoryFileID) throws(Refusal) {
    let entry = try memories.unregister(memory) { memory in
      buffers.values.contains { $0.files.contains { $0 === memory } }
    }
    hub.remove(entry)
  }

  // MARK: Scanouts

  private func set(_ state: ScanoutState, generation: UInt64) throws(Refusal) {
    let content = try state.content.map { (wanted) throws(Refusal) in try self.content(wanted, generation) }
    let scanout = vm.scanout(state.scanout)
    scanout.generation = generation
    if !scanout.isAnnounced {
      scanout.isAnnounced = true
      hub.scheduleLayout()
    }
    // A viewer's layer is as large as the mode.
    if scanout.mode != state.mode { hub.scheduleLayout() }
    scanout.noteMode(state.mode)
    hub.schedule(peer)
    show(content, on: scanout)
  }

  private func content(_ wanted: ScanoutState.Content, _ generation: UInt64) throws(Refusal) -> Scanout.Content {
    guard let buffer = buffers[wanted.buffer] else {
      throw Refusal(.unknownObject, reason: "buffer \(wanted.buffer) is not registered")
    }
    guard !wanted.source.isEmpty, wanted.source.fits(in: buffer.description.layout.size) else {
      throw Refusal(.malformed, reason: "source \(wanted.source) is not inside the buffer")
    }
    return Scanout.Content(buffer: buffer, source: wanted.source, generation: generation)
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
    if !scanout.isAwaited { hub.schedule(peer) }
  }
}

// Links: the producer's flushes without the hub (protocol.md section 12).
extension ProducerSession {
  /// Makes a link to each display that shows something of this VM, and brings the others up to date.
  func introduce(to displays: some Collection<ConsumerSession>) {
    guard takesLinks else { return }
    for display in displays where display.takesLinks {
      let shown = display.shown(of: vm)
      guard let link = link(to: display) ?? newLink(to: display, shown.scanouts) else { continue }
      if !links.contains(where: { $0 === link }) {
        links.append(link)
        hub.schedule(display.peer)
      }
      if link.update(shown.scanouts, needsRoute: shown.isByHub) { hub.schedule(peer) }
    }
    if wanted != toldWanted { hub.schedule(peer) }
  }

  private func link(to display: ConsumerSession) -> Introduction? { links.first { $0.consumer === display } }

  private func newLink(to display: ConsumerSession, _ shown: ScanoutSet) -> Introduction? {
    guard !shown.isEmpty, retries.mayOpen(display.name) else { return nil }
    guard let link = hub.makeLink(to: display) else {
      retryLater(display.name, lifetime: .zero)
      return nil
    }
    return link
  }

  /// A link broke: another one is made after a while.
  private func retryLater(_ display: PeerName, lifetime: Duration) {
    let wait = retries.begin(display, lifetime: lifetime)
    hub.loop.schedule(after: wait) { [weak self] in
      guard let self, vm.producer === self else { return }
      retries.end(display)
      hub.scheduleLayout()
    }
  }

  func forgetLinks(to display: ConsumerSession) {
    links.removeAll { $0.consumer === display }
    retries.forget(display.name)
  }

  /// Hands a consumer its ends of new links; false when its socket is full.
  func tellLinks(to display: ConsumerSession) -> Bool {
    guard let link = link(to: display) else { return true }
    return link.tellConsumer(of: vm.name)
  }

  private var wanted: ScanoutSet {
    var wanted: ScanoutSet = []
    for scanout in vm.scanouts where scanout.isWantedByHub { wanted.insert(ScanoutSet(scanout.index)) }
    return wanted
  }

  private func pumpLinks() {
    guard takesLinks else { return }
    for link in links {
      guard link.tell(self) else { return }
    }
    let wanted = wanted
    guard wanted != toldWanted, peer.send(.flushesWanted(wanted)) else { return }
    toldWanted = wanted
  }

  /// A link that was forgotten, its consumer having left, is none of this session's.
  private func route(_ id: LinkID, _ scanouts: ScanoutSet, _ serial: UInt64) {
    guard let link = links.first(where: { $0.id == id }), let routed = link.route(scanouts, serial: serial) else {
      return
    }
    for scanout in vm.scanouts {
      for view in scanout.views where view.consumer === link.consumer {
        view.setLinked(routed.contains(scanout.index))
      }
    }
    if link.isEnded {
      links.removeAll { $0 === link }
      retryLater(link.consumer.name, lifetime: link.age)
    }
    hub.schedule(peer)
  }
}
