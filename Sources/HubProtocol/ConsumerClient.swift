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

    init(_ description: LayerDescription) { self.description = description }
  }

  private let link: HubLink
  private var display: DisplayDescription
  private var needsAnnounce = false
  private var frame: BufferDescription?
  private var frameDescriptor: SharedDescriptor?
  private var needsFrame = false
  private var buffers = ConsumerBuffers()
  private let loop: EventLoop
  private var bellToken: EventLoop.Token?
  private let constraints: Constraints
  private var needsConstraints = false
  private var released: [BufferID] = []
  private var layers: [LayerID: Layer] = [:]
  private var latchedLayers: [Layer] = []
  private var recalls: [LayerRecall] = []

  /// A client that does nothing before `start`. `constraints` say what pictures it can use; as long as too many pieces
  /// of VMs' memory are mapped, it takes no more of them.
  public init(
    hubPath: String, display name: PeerName, description: DisplayDescription, constraints: Constraints = .unstated,
    loop: EventLoop
  ) {
    display = description
    self.constraints = constraints
    self.loop = loop
    link = HubLink(path: hubPath, hello: Hello(role: .consumer, name: name), loop: loop)
    link.client = self
  }

  deinit {
    if let bellToken { loop.unwatch(bellToken) }
  }

  /// Connects, and from now on whenever there is a hub.
  public func start() { link.start() }
  /// Leaves the hub.
  public func stop() { link.stop() }
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
    guard let entry = layers[layer], serial > entry.unsentSerial else { return }
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
    }
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
      if layers[layer] != nil { delegate?.consumer(self, damage: damage, serial: serial, of: layer) }
    case .layerContent(let layer, let picture): receive(picture, of: layer, descriptor)
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
  }

  private func receive(_ picture: LayerPicture, of layer: LayerID, _ descriptor: consuming FileDescriptor?) {
    guard let entry = layers[layer] else { return }
    let content: LayerContent
    switch picture {
    case .absent(let reason): content = .absent(reason)
    case .shown(let buffer, let memory, let space, let source):
      if let descriptor { map(buffer, memory, space, descriptor) }
      content = self.content(buffer.id, source)
    }
    entry.content = content
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
