import Buffers
import HubProtocol
import Platform

/// A consumer's connection: one display, its layers and its leases (protocol.md section 4); or what a viewer is shown
/// (section 14).
final class ConsumerSession: Session {
  /// Retired buffers that a consumer may hold before it counts as broken.
  static let maximumRetired = 4096

  let hello: Hello
  let peer: Peer
  private unowned let hub: Hub
  private(set) var display: DisplayDescription?
  private(set) var frame: DisplayFrame?
  private var views: [LayerID: LayerView] = [:]
  private var changed: [LayerView] = []
  private var removed: [LayerID] = []
  private var leases: [BufferID: BufferEntry] = [:]
  private var retiredUntold: [BufferID] = []
  private var retiredTold: Set<BufferID> = []
  private var isSettled = false
  /// Whether it takes links to producers.
  private(set) var takesLinks = false
  private var memories: ConsumerMemories
  private let deadlines: LeaseDeadlines
  /// Whether it shows a VM another's screen: then nobody waits for it, and it sees no VM's memory.
  let isViewer: Bool

  init(_ hello: Hello, peer: Peer, hub: Hub) {
    self.hello = hello
    self.peer = peer
    self.hub = hub
    isViewer = hello.role == .viewer
    deadlines = LeaseDeadlines(loop: hub.loop, limit: hub.configuration.leaseLimit)
    memories = ConsumerMemories(isTrusted: hello.role == .consumer && hub.isTrusted(hello.name))
    deadlines.expired = { [weak self] in self?.expire($0) }
  }

  var name: PeerName { hello.name }
  /// What it is, for people.
  var title: String { isViewer ? "viewer vm:\(name)" : "display \(name)" }
  /// What it can use, as it said; nil: it has not.
  var constraints: Constraints? { memories.constraints }
  var layerCount: Int { views.count }
  var isInGrace: Bool { hub.isInGrace }

  func received(
    _ message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) throws(Refusal) {
    switch message {
    case .layerLatched(let layer): latched(layer, serial)
    case .bufferRelease(let id): try release(id)
    case .displayAnnounce(let display):
      self.display = display
      hub.scheduleLayout()
    case .frameRegister(let buffer): try register(buffer, descriptor)
    case .layerRecall(let recall): hub.recall(recall)
    case .consumerLinkReady:
      takesLinks = true
      hub.scheduleLayout()
    case .consumerConstraints(let constraints): note(constraints)
    default: throw Refusal(.notPermitted, reason: "not a consumer's message")
    }
  }

  func ended() {
    for view in views.values { detach(view) }
    views.removeAll()
    changed.removeAll()
    for entry in leases.values { hub.registry.endLease(entry) }
    leases.removeAll()
    guard !isViewer else { return }
    hub.forgetLinks(to: self)
    hub.scheduleLayout()
  }

  private func latched(_ layer: LayerID, _ serial: UInt64) {
    guard let view = views[layer] else { return }
    view.latched(through: serial)
    if let producer = view.vm.producer { hub.schedule(producer.peer) }
  }

  private func register(_ buffer: BufferDescription, _ descriptor: consuming FileDescriptor?) throws(Refusal) {
    guard let descriptor else { throw Refusal(.malformed, reason: "no descriptor") }
    guard buffer.layout.offset >= 4096 else { throw Refusal(.badBuffer, reason: "no room for the frame header") }
    frame = try DisplayFrame(buffer, descriptor)
  }

  // MARK: Leases

  private func release(_ id: BufferID) throws(Refusal) {
    guard retiredTold.remove(id) != nil, let entry = leases.removeValue(forKey: id) else {
      throw Refusal(.unknownObject, reason: "buffer \(id) is not retired")
    }
    deadlines.end(id)
    hub.registry.endLease(entry)
    for view in views.values where view.scanout.content?.buffer.id == id { view.note(.content) }
  }

  /// Buffers were not released in time: this connection ends, its leases with it.
  private func expire(_ ids: [BufferID]) {
    for id in ids {
      if let entry = leases[id] { entry.ownerEndpoint?.noteRevoked(id) }
    }
    peer.fail(Refusal(.revoked, reason: "a buffer was not released in time"))
  }

  /// Whether this consumer still holds another buffer that had the same id: it is sent this one after releasing that.
  func holdsFormer(of entry: BufferEntry) -> Bool {
    leases[entry.id].map { $0 !== entry } ?? false
  }

  /// A buffer was taken back by its owner.
  func noteRetired(_ entry: BufferEntry) {
    guard leases[entry.id] === entry else { return }
    deadlines.start(entry.id)
    retiredUntold.append(entry.id)
    hub.schedule(peer)
  }

  /// Sends what a layer shows, and the memory with it when this consumer does not have it yet.
  func sendContent(_ content: Scanout.Content, of layer: LayerID) -> Bool {
    let isNew = leases[content.buffer.id] == nil
    let buffer = content.buffer
    let picture = LayerPicture.shown(buffer.description, buffer.memory, space: buffer.space, source: content.source)
    let descriptor = isNew ? buffer.descriptor : nil
    guard !isNew || memories.send(buffer.files, to: peer) else { return false }
    guard peer.send(.layerContent(layer, picture), serial: content.generation, descriptor: descriptor) else {
      return false
    }
    if isNew {
      leases[content.buffer.id] = content.buffer
      hub.registry.lease(content.buffer)
    }
    return true
  }

  func send(_ message: Message, serial: UInt64 = 0) -> Bool {
    peer.send(message, serial: serial)
  }

  // MARK: Memory

  /// Why this consumer is not shown a buffer; nil when it is.
  func misfit(of buffer: BufferEntry) -> String? { memories.misfit(of: buffer) }
  /// Adds what it can use to what others can.
  var requirements: ConsumerRequirements { memories.requirements(of: title) }

  private func note(_ constraints: Constraints) {
    memories.stated = constraints
    noteUsable()
  }

  /// The configuration may have changed. What the display has been given already cannot be taken back.
  func trustChanged() {
    let isTrusted = hub.isTrusted(name)
    guard isTrusted != memories.isTrusted else { return }
    memories.isTrusted = isTrusted
    noteUsable()
  }

  /// What can be shown here may be more or less than before.
  private func noteUsable() {
    for view in views.values {
      view.note(.content)
      noteRequirements(of: view)
    }
  }

  private func noteRequirements(of view: LayerView) {
    view.scanout.noteViewers()
    if let producer = view.vm.producer { hub.schedule(producer.peer) }
  }

  /// A VM's memory file is not to be mapped any more.
  func noteRemoved(_ memory: MemoryEntry) {
    if memories.remove(memory.key) { hub.schedule(peer) }
  }

  // MARK: Layers

  /// Makes the layers what the layout says, in its order.
  func arrange(_ wanted: [(LayerDescription, VirtualMachine)]) {
    var kept: [LayerID: LayerView] = [:]
    for (description, vm) in wanted {
      let id = description.id
      if let view = views[id], view.vm === vm {
        view.place(description)
        kept[id] = view
        views[id] = nil
      } else if kept[id] == nil {
        kept[id] = attach(description, vm)
      }
    }
    for (id, view) in views {
      detach(view)
      if view.isKnown && kept[id] == nil { removed.append(id) }
    }
    views = kept
    changed.removeAll { views[$0.description.id] !== $0 }
    hub.schedule(peer)
  }

  /// The scanouts of a VM that it shows, and whether some place of them gets its flushes by the hub.
  func shown(of vm: VirtualMachine) -> (scanouts: ScanoutSet, isByHub: Bool) {
    var shown: (scanouts: ScanoutSet, isByHub: Bool) = ([], false)
    for view in views.values where view.vm === vm {
      shown.scanouts.insert(ScanoutSet(view.scanout.index))
      if !view.isLinked { shown.isByHub = true }
    }
    return shown
  }

  private func attach(_ description: LayerDescription, _ vm: VirtualMachine) -> LayerView {
    let scanout = vm.scanout(description.scanout)
    let isKnown = removed.contains(description.id) || views[description.id]?.isKnown == true
    let view = LayerView(description, of: vm, scanout, for: self, isKnown: isKnown)
    scanout.add(view)
    noteRequirements(of: view)
    removed.removeAll { $0 == description.id }
    list(view)
    return view
  }

  private func detach(_ view: LayerView) {
    view.scanout.remove(view)
    noteRequirements(of: view)
  }

  /// Puts a layer on the list of those about which there is something to tell.
  func list(_ view: LayerView) {
    if !view.isListed {
      view.isListed = true
      changed.append(view)
    }
    hub.schedule(peer)
  }

  /// The hub knows now who is gone.
  func graceEnded() {
    for view in views.values where view.vm.isAbsent { view.note(.content) }
    hub.schedule(peer)
  }

  // MARK: Telling

  func pump() throws(Refusal) {
    guard retiredTold.count <= Self.maximumRetired else {
      throw Refusal(.limit, reason: "more than \(Self.maximumRetired) retired buffers are not released")
    }
    guard tellRemoved(), tellChanged(), tellRetired(), memories.tellRemoved(to: peer), hub.tellLinks(to: self) else {
      return
    }
    guard !isSettled, display != nil, !hub.isInGrace else { return }
    isSettled = send(.layersSettled)
  }

  private func tellRemoved() -> Bool {
    while let layer = removed.last {
      guard send(.layerRemove(layer)) else { return false }
      removed.removeLast()
    }
    return true
  }

  private func tellChanged() -> Bool {
    for index in changed.indices {
      guard changed[index].tell() else {
        changed.removeFirst(index)
        return false
      }
      changed[index].isListed = false
    }
    changed.removeAll(keepingCapacity: true)
    return true
  }

  private func tellRetired() -> Bool {
    while let id = retiredUntold.last {
      guard send(.bufferRetired(id)) else { return false }
      retiredTold.insert(id)
      retiredUntold.removeLast()
    }
    return true
  }

  var record: DisplayRecord {
    DisplayRecord(
      name: name, output: display?.output ?? "", size: display?.size ?? Size(width: 0, height: 0),
      refreshMillihertz: display?.refreshMillihertz ?? 0, processID: peer.processID,
      layers: UInt32(views.count), hasFrame: frame != nil)
  }
}
