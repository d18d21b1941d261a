import Buffers
import Platform

/// What a layer shows.
public enum LayerContent {
  /// A part of a buffer. Its pixels stay mapped for as long as this object is held.
  case shown(ReadOnlyBuffer, source: Rectangle)
  /// Nothing.
  case absent(AbsenceReason)
}

/// What a consumer is told. The hub's newest state, in this order for each layer: place, content, damage, cursor.
public protocol ConsumerClientDelegate: AnyObject {
  /// A new layer, or one whose place changed. A new one shows nothing yet.
  func consumer(_ client: ConsumerClient, set layer: LayerDescription)
  /// The layer is no more.
  func consumer(_ client: ConsumerClient, removed layer: LayerID)
  /// The layer shows something else; all of it is damaged. Not retained buffers are unmapped.
  func consumer(_ client: ConsumerClient, content: LayerContent, of layer: LayerID)
  /// Pixels changed (in the buffer). To be answered with `latched` once they are in the composed frame.
  func consumer(_ client: ConsumerClient, damage: Rectangle, serial: UInt64, of layer: LayerID)
  /// The cursor has another picture.
  func consumer(_ client: ConsumerClient, cursor: CursorState, of layer: LayerID)
  /// The cursor moved.
  func consumer(_ client: ConsumerClient, cursorOf layer: LayerID, movedToX x: Int32, y: Int32)
  /// The hub came or went (for logs). What is shown stays while there is no hub.
  func consumer(_ client: ConsumerClient, link: HubLinkState)
}

/// A display's end of the hub: announces it, maps the buffers of its layers, answers what was latched; and all of it
/// again with a restarted hub, with what is shown going on meanwhile.
public final class ConsumerClient {
  /// Whoever is told; not kept alive.
  public weak var delegate: (any ConsumerClientDelegate)?

  private final class Layer {
    var description: LayerDescription
    /// Whether it is from an earlier connection and was not set on this one yet.
    var isStale = false
    /// What was shown last.
    var content: LayerContent?
    /// The newest serial that is latched and not sent yet; 0 when there is none.
    var unsentSerial: UInt64 = 0
    /// The newest flush that came by the hub and was not latched yet; 0 when there is none.
    var hubTold: UInt64 = 0

    /// What the layer shows, as the producer counts its contents.
    var generation: UInt64 = 0
    var source = Rectangle.empty
    /// What has come by a link: the newest flush, the newest one latched, and one of a content that is not here yet.
    var linkTold: UInt64 = 0
    var linkLatched: UInt64 = 0
    var early: (generation: UInt64, serial: UInt64)?

    init(_ description: LayerDescription) { self.description = description }

    /// The newest flush that a link may be answered with, of those through `told`.
    func linkDone(_ told: UInt64) -> UInt64 {
      early == nil && linkLatched >= linkTold ? told : linkLatched
    }

    func forgetLink() {
      linkTold = 0
      linkLatched = 0
      early = nil
    }
  }

  private let link: HubLink
  private var display: DisplayDescription
  private var needsAnnounce = false
  private var frame: BufferDescription?
  private var frameDescriptor: SharedDescriptor?
  private var needsFrame = false
  private var buffers = ConsumerBuffers()
  private var bellToken: EventLoop.Token?
  private let constraints: Constraints
  private var needsConstraints = false
  private var released: [BufferID] = []
  private var layers: [LayerID: Layer] = [:]
  private var latchedLayers: [Layer] = []
  private var recalls: [LayerRecall] = []
  private let loop: EventLoop
  private let takesLinks: Bool
  private var needsLinkReady = false
  /// The way to each VM's producer beside the hub.
  private var links: [PeerName: ConsumerLink] = [:]

  /// A client that does nothing before `start`. `constraints` say what pictures it can use; as long as too many pieces
  /// of VMs' memory are mapped, it takes no more of them. Without `takesLinks` all damage comes by way of the hub.
  public init(
    hubPath: String, display name: PeerName, description: DisplayDescription, constraints: Constraints = .unstated,
    loop: EventLoop, takesLinks: Bool = true
  ) {
    display = description
    self.constraints = constraints
    self.loop = loop
    self.takesLinks = takesLinks
    link = HubLink(path: hubPath, hello: Hello(role: .consumer, name: name), loop: loop)
    link.client = self
  }

  deinit {
    if let bellToken { loop.unwatch(bellToken) }
  }

  /// Connects, and from now on whenever there is a hub.
  public func start() { link.start() }
  /// Leaves the hub.
  public func stop() {
    link.stop()
    closeLinks()
  }
  /// Whether there is a connection to a hub.
  public var isLinked: Bool { link.isUp }

  /// The display's size, refresh or output changed.
  public func announce(_ description: DisplayDescription) {
    display = description
    needsAnnounce = true
    link.schedulePump()
  }

  /// Gives the hub the composed frame, for screenshots. The memory must stay the display's for as long as it is set.
  public func setFrame(_ memory: FrameMemory) throws(SystemError) {
    frameDescriptor = SharedDescriptor(try memory.buffer.readOnlyDescriptor())
    frame = memory.description
    needsFrame = true
    link.schedulePump()
  }

  /// The composed frame contains the layer's damage through `serial`.
  public func latched(_ layer: LayerID, through serial: UInt64) {
    guard let entry = layers[layer] else { return }
    if serial > entry.linkLatched, entry.linkTold > entry.linkLatched {
      entry.linkLatched = serial
      answerLink(entry.description)
    }
    guard entry.hubTold > 0, serial > entry.unsentSerial else { return }
    if serial >= entry.hubTold { entry.hubTold = 0 }
    if entry.unsentSerial == 0 { latchedLayers.append(entry) }
    entry.unsentSerial = serial
    link.schedulePump()
  }
}

extension ConsumerClient: HubLinkClient {
  func linkOpened() {
    buffers.removeAll()
    released.removeAll()
    latchedLayers.removeAll(keepingCapacity: true)
    for layer in layers.values {
      layer.isStale = true
      layer.unsentSerial = 0
      layer.hubTold = 0
      layer.generation = 0
      layer.forgetLink()
    }
    closeLinks()
    needsLinkReady = takesLinks
    recalls = layers.values.map {
      LayerRecall(id: $0.description.id, vm: $0.description.vm, scanout: $0.description.scanout)
    }
    needsConstraints = constraints != .unstated
    needsAnnounce = true
    needsFrame = frame != nil
  }

  func linkLost() {}

  func linkChanged(_ state: HubLinkState) {
    delegate?.consumer(self, link: state)
  }

  func linkReceived(_ message: Message, serial: UInt64, descriptor: consuming FileDescriptor?) {
    switch message {
    case .layerDamage(let layer, let damage):
      guard let entry = layers[layer] else { return }
      entry.hubTold = serial
      delegate?.consumer(self, damage: damage, serial: serial, of: layer)
    case .layerContent(let layer, let picture): receive(picture, of: layer, generation: serial, descriptor)
    case .consumerLink(let id, let vm): if let descriptor, takesLinks { open(id, vm, descriptor) }
    case .layerSet(let description): set(description)
    case .layerRemove(let layer): remove(layer)
    case .layerCursor(let layer, let cursor):
      if layers[layer] != nil { delegate?.consumer(self, cursor: cursor, of: layer) }
    case .layerCursorMove(let layer, let x, let y):
      if layers[layer] != nil { delegate?.consumer(self, cursorOf: layer, movedToX: x, y: y) }
    case .bufferRetired(let id):
      let refused = buffers.refusedKinds
      buffers.forget(id)
      released.append(id)
      noteKinds(refused)
      link.schedulePump()
    case .memorySet(let key, let byteCount):
      if let descriptor { buffers.set(key, descriptor, byteCount: byteCount) }
    case .memoryRemove(let key): buffers.remove(key)
    case .layersSettled:
      for layer in layers.filter({ $0.value.isStale }).keys.sorted() { remove(layer) }
    default: break
    }
  }

  private func set(_ description: LayerDescription) {
    let layer = layers[description.id] ?? Layer(description)
    layers[description.id] = layer
    layer.description = description
    layer.isStale = false
    delegate?.consumer(self, set: description)
  }

  private func remove(_ layer: LayerID) {
    guard let entry = layers.removeValue(forKey: layer) else { return }
    latchedLayers.removeAll { $0 === entry }
    delegate?.consumer(self, removed: layer)
    answerLink(entry.description)
  }

  private func receive(
    _ picture: LayerPicture, of layer: LayerID, generation: UInt64, _ descriptor: consuming FileDescriptor?
  ) {
    guard let entry = layers[layer] else { return }
    entry.generation = generation
    entry.source = if case .shown(_, _, _, let source) = picture { source } else { .empty }
    tell(picture, of: layer, descriptor)
    guard let early = entry.early, early.generation <= generation else { return }
    // The new content is damaged as a whole.
    entry.early = nil
    take(.empty, serial: early.serial, of: entry)
  }

  private func tell(_ picture: LayerPicture, of layer: LayerID, _ descriptor: consuming FileDescriptor?) {
    let content: LayerContent
    switch picture {
    case .absent(let reason): content = .absent(reason)
    case .shown(let buffer, let memory, let space, let source):
      if let descriptor { map(buffer, memory, space, descriptor) }
      content = self.content(buffer.id, source)
    }
    layers[layer]?.content = content
    delegate?.consumer(self, content: content, of: layer)
  }

  /// Without memory for one more mapping the layer is dark; the others go on.
  private func content(_ id: BufferID, _ source: Rectangle) -> LayerContent {
    guard let mapped = buffers[id], source.fits(in: mapped.layout.size), !source.isEmpty else { return .absent(.off) }
    return .shown(mapped, source: source)
  }

  func linkPump() {
    if needsConstraints {
      guard link.send(.consumerConstraints(offered)) else { return }
      needsConstraints = false
    }
    while let recall = recalls.last {
      guard link.send(.layerRecall(recall)) else { return }
      recalls.removeLast()
    }
    if needsAnnounce {
      guard link.send(.displayAnnounce(display)) else { return }
      needsAnnounce = false
    }
    if needsFrame, let frame {
      guard link.send(.frameRegister(frame), descriptor: frameDescriptor) else { return }
      needsFrame = false
    }
    while let id = released.last {
      guard link.send(.bufferRelease(id)) else { return }
      released.removeLast()
    }
    if needsLinkReady {
      guard link.send(.consumerLinkReady) else { return }
      needsLinkReady = false
    }
    pumpLatched()
  }

  private func pumpLatched() {
    while let layer = latchedLayers.last {
      guard link.send(.layerLatched(layer.description.id), serial: layer.unsentSerial) else { return }
      layer.unsentSerial = 0
      latchedLayers.removeLast()
    }
  }
}

// MARK: Memory of VMs

extension ConsumerClient {
  /// What the hub is told: what this consumer can use now.
  private var offered: Constraints {
    var offered = constraints
    offered.memoryKinds.subtract(buffers.refusedKinds)
    if offered.memoryKinds.isEmpty { offered.memoryKinds = .file }
    return offered
  }

  private func map(
    _ buffer: BufferDescription, _ memory: MemoryDescription, _ space: MemorySpace?,
    _ descriptor: consuming FileDescriptor
  ) {
    let refused = buffers.refusedKinds
    buffers.map(buffer, memory, space, descriptor)
    noteKinds(refused)
    guard bellToken == nil, let bell = buffers.bell else { return }
    bellToken = try? loop.watch(bell.waiting.raw, for: .readable) { [weak self] _ in self?.memoryTaken(bell) }
  }

  private func noteKinds(_ refused: MemoryKind) {
    guard refused != buffers.refusedKinds else { return }
    needsConstraints = true
    link.schedulePump()
  }

  /// Somebody truncated memory that is mapped here: it reads as zeros now, and what is shown of it is damaged.
  private func memoryTaken(_ bell: Doorbell) {
    bell.drain()
    for (id, layer) in layers {
      guard case .shown(let buffer, _) = layer.content, let content = layer.content, buffer.isLost else { continue }
      delegate?.consumer(self, content: content, of: id)
    }
  }
}

extension ConsumerClient: ConsumerLinkOwner {
  /// LINK_OPEN: a link in the place of the one that there was to this VM.
  private func open(_ id: LinkID, _ vm: PeerName, _ descriptor: consuming FileDescriptor) {
    forget(links[vm])
    links[vm] = try? ConsumerLink(id, vm: vm, descriptor, owner: self, loop: loop)
  }

  func closeLinks() {
    for link in links.values { forget(link) }
  }

  private func forget(_ link: ConsumerLink?) {
    guard let link, links[link.vm] === link else { return }
    link.close()
    links[link.vm] = nil
    for layer in layers.values where layer.description.vm == link.vm { layer.forgetLink() }
  }

  func linkEnded(_ link: ConsumerLink) { forget(link) }

  func link(
    _ link: ConsumerLink, damaged scanout: ScanoutIndex, _ damage: Rectangle, generation: UInt64, serial: UInt64
  ) {
    var isShown = false
    for layer in layers.values where layer.description.scanout == scanout && layer.description.vm == link.vm {
      isShown = true
      if generation > layer.generation {
        layer.early = (generation, serial)
      } else {
        take(generation == layer.generation ? damage : .empty, serial: serial, of: layer)
      }
    }
    if !isShown { link.latch(scanout, through: serial) }
  }

  private func take(_ damage: Rectangle, serial: UInt64, of layer: Layer) {
    layer.linkTold = max(layer.linkTold, serial)
    delegate?.consumer(self, damage: damage.intersection(layer.source), serial: serial, of: layer.description.id)
  }

  /// Tells a layer's producer what all layers that show the scanout have latched.
  private func answerLink(_ layer: LayerDescription) {
    guard let link = links[layer.vm] else { return }
    let told = link.told(layer.scanout)
    var done = told
    for other in layers.values where other.description.scanout == layer.scanout && other.description.vm == layer.vm {
      done = min(done, other.linkDone(told))
    }
    link.latch(layer.scanout, through: done)
  }
}
