import Buffers

/// What a peer is to the hub.
public enum Role: UInt32, Sendable, CustomStringConvertible {
  /// Makes pixels: one VM.
  case producer = 1
  /// Uses pixels: one display.
  case consumer = 2
  /// Asks: `muntin list`, `muntin screenshot`.
  case control = 3
  /// Offers and acquires buffers: a program of its own.
  case application = 4
  /// Offers and acquires buffers in the name of a VM: a program in its guest, through its graphics card.
  case guest = 5
  /// Shows a VM, by its graphics card, one screen of another.
  case viewer = 6

  /// The word for people.
  public var description: String {
    switch self {
    case .producer: "producer"
    case .consumer: "consumer"
    case .control: "control"
    case .application: "application"
    case .guest: "guest"
    case .viewer: "viewer"
    }
  }
}

/// HELLO: who connects.
public struct Hello: Equatable, Sendable {
  /// The version that the peer speaks.
  public var version: UInt32 = Wire.version
  /// What the peer is to the hub.
  public var role: Role
  /// The VM's, the display's or the program's name.
  public var name: PeerName
  /// Bytes that the VM may use, 0 when nobody said.
  public var memoryLimit: UInt64 = 0
  /// The vhost-user socket of the VM's graphics card, at most 111 bytes; empty when there is none.
  public var socketPath = ""

  /// A hello of this version.
  public init(role: Role, name: PeerName, memoryLimit: UInt64 = 0, socketPath: String = "") {
    self.role = role
    self.name = name
    self.memoryLimit = memoryLimit
    self.socketPath = socketPath
  }
}

/// WELCOME: which hub it is.
public struct Welcome: Equatable, Sendable {
  /// The version that the hub speaks.
  public var version: UInt32 = Wire.version
  /// The hub's process.
  public var processID: Int32
  /// Random for each hub process.
  public var instance: UInt64

  /// A welcome of this version.
  public init(processID: Int32, instance: UInt64) {
    self.processID = processID
    self.instance = instance
  }
}

/// ERROR: why a connection ends or a request was declined.
public struct Refusal: Error, Equatable, Sendable, CustomStringConvertible {
  /// What kind of reason.
  public var code: ErrorCode
  /// Type of the message it is about; 0 when it is about none.
  public var messageType: UInt16
  /// For people; cut to 119 bytes.
  public var reason: String

  /// A reason.
  public init(_ code: ErrorCode, about messageType: UInt16 = 0, reason: String) {
    self.code = code
    self.messageType = messageType
    self.reason = reason
  }

  /// The reason with its code.
  public var description: String { "\(reason) (\(code))" }
}

/// BUFFER_REGISTER, FRAME_REGISTER, FRAME: what a descriptor's memory is.
public struct BufferDescription: Hashable, Sendable {
  /// The buffer's identity.
  public var id: BufferID
  /// Where its pixels are.
  public var layout: PixelLayout

  /// A buffer.
  public init(id: BufferID, layout: PixelLayout) {
    self.id = id
    self.layout = layout
  }
}

/// SCANOUT_SET: what a scanout shows.
public struct ScanoutState: Equatable, Sendable {
  /// A part of a buffer.
  public struct Content: Hashable, Sendable {
    /// One that the producer has registered.
    public var buffer: BufferID
    /// The part that is shown; inside the buffer, not empty.
    public var source: Rectangle

    /// A part of a buffer.
    public init(buffer: BufferID, source: Rectangle) {
      self.buffer = buffer
      self.source = source
    }
  }

  /// Which screen.
  public var scanout: ScanoutIndex
  /// The size that the scanout offers its guest.
  public var mode: Size
  /// Nil: off.
  public var content: Content?

  /// What a screen shows.
  public init(scanout: ScanoutIndex, mode: Size, content: Content?) {
    self.scanout = scanout
    self.mode = mode
    self.content = content
  }
}

/// DISPLAY_ANNOUNCE: what a consumer's display is.
public struct DisplayDescription: Equatable, Sendable {
  /// Columns and rows.
  public var size: Size
  /// Frames per 1000 seconds.
  public var refreshMillihertz: UInt32
  /// Where it can be seen, for people ("vnc 127.0.0.1:5900"); cut to 127 bytes.
  public var output: String

  /// A display.
  public init(size: Size, refreshMillihertz: UInt32, output: String) {
    self.size = size
    self.refreshMillihertz = refreshMillihertz
    self.output = output
  }
}

/// LAYER_SET: where a scanout is on the display.
public struct LayerDescription: Equatable, Sendable {
  /// The layer's identity.
  public var id: LayerID
  /// Whose picture.
  public var vm: PeerName
  /// Which of its screens.
  public var scanout: ScanoutIndex
  /// On the display; may reach beyond it.
  public var area: Rectangle
  /// Higher is nearer; equal numbers in order of ids.
  public var z: Int32
  /// How a picture of another size meets the area.
  public var scaleMode: ScaleMode
  /// 0 invisible, 255 opaque.
  public var opacity: UInt8

  /// A layer.
  public init(
    id: LayerID, vm: PeerName, scanout: ScanoutIndex, area: Rectangle, z: Int32 = 0, scaleMode: ScaleMode = .fit,
    opacity: UInt8 = 255
  ) {
    self.id = id
    self.vm = vm
    self.scanout = scanout
    self.area = area
    self.z = z
    self.scaleMode = scaleMode
    self.opacity = opacity
  }
}

/// Why a layer has no picture.
public enum AbsenceReason: UInt32, Sendable, CustomStringConvertible {
  /// The guest turned the scanout off.
  case off = 1
  /// No virtual machine is connected to the producer.
  case offline = 2
  /// There is no producer.
  case gone = 3
  /// The picture's memory is none that this consumer can use or may see; the producer has been told.
  case withheld = 4

  /// The word for people.
  public var description: String {
    switch self {
    case .off: "off"
    case .offline: "offline"
    case .gone: "gone"
    case .withheld: "withheld"
    }
  }
}

/// LAYER_CONTENT: what a layer shows. A buffer that is new to the connection comes with a descriptor.
public enum LayerPicture: Equatable, Sendable {
  /// A part of a buffer. The memory files that its ranges name are those of `space`; nil for other kinds of memory.
  case shown(BufferDescription, MemoryDescription, space: MemorySpace?, source: Rectangle)
  case absent(AbsenceReason)
}

/// LAYER_RECALL: a layer that a consumer showed before it lost the hub.
public struct LayerRecall: Hashable, Sendable {
  /// The layer's identity.
  public var id: LayerID
  /// Whose picture.
  public var vm: PeerName
  /// Which of its screens.
  public var scanout: ScanoutIndex

  /// A layer that was shown.
  public init(id: LayerID, vm: PeerName, scanout: ScanoutIndex) {
    self.id = id
    self.vm = vm
    self.scanout = scanout
  }
}

/// A message of the hub's protocol, without its serial and descriptor.
public enum Message: Equatable, Sendable {
  case hello(Hello)
  case welcome(Welcome)
  case error(Refusal)

  case bufferRegister(BufferDescription, MemoryDescription)
  case bufferUnregister(BufferID)
  case scanoutSet(ScanoutState)
  case flush(ScanoutIndex, damage: Rectangle)
  case cursorSet(ScanoutIndex, CursorState)
  case cursorMove(ScanoutIndex, x: Int32, y: Int32)
  /// Whether a VMM is connected, and one that maps for its guest read-only what it is told to.
  case vmState(connected: Bool, mapsReadOnly: Bool = false)
  case memoryRegister(MemoryFileID, byteCount: UInt64)
  case memoryUnregister(MemoryFileID)
  case flushLatched(ScanoutIndex)
  case scanoutMode(ScanoutIndex, Size)
  case bufferFreed(BufferID)
  case vmLedger(LedgerReport)
  case scanoutRequirements(ScanoutIndex, ScanoutRequirements)

  case displayAnnounce(DisplayDescription)
  case frameRegister(BufferDescription)
  case layerLatched(LayerID)
  case bufferRelease(BufferID)
  case layerRecall(LayerRecall)
  case consumerConstraints(Constraints)
  case layerSet(LayerDescription)
  case layerRemove(LayerID)
  case layerContent(LayerID, LayerPicture)
  case layerDamage(LayerID, Rectangle)
  case layerCursor(LayerID, CursorState)
  case layerCursorMove(LayerID, x: Int32, y: Int32)
  case bufferRetired(BufferID)
  case layersSettled
  case memorySet(MemoryKey, byteCount: UInt64)
  case memoryRemove(MemoryKey)

  case producerLinkReady
  case linkRoute(LinkID, ScanoutSet)
  case flushesLinked(ScanoutIndex, count: UInt64)
  case producerLink(LinkID, display: PeerName)
  case linkScanouts(LinkID, ScanoutSet)
  case flushesWanted(ScanoutSet)
  case linkDamage(ScanoutIndex, generation: UInt64, Rectangle)
  case consumerLinkReady
  case consumerLink(LinkID, vm: PeerName)
  case linkLatched(ScanoutIndex)

  case list(ListKind, cursor: UInt64)
  case screenshot(PeerName?)
  case listEnd(count: UInt32, next: UInt64)
  case vmRecord(VMRecord)
  case bufferRecord(BufferRecord)
  case displayRecord(DisplayRecord)
  case clientRecord(ClientRecord)
  case frame(BufferDescription, display: PeerName)

  /// Of parties that offer and acquire buffers.
  indirect case application(ApplicationMessage)

  /// Its number.
  public var type: MessageType {
    switch self {
    case .hello: .hello
    case .welcome: .welcome
    case .error: .error
    case .bufferRegister: .bufferRegister
    case .bufferUnregister: .bufferUnregister
    case .scanoutSet: .scanoutSet
    case .flush: .flush
    case .cursorSet: .cursorSet
    case .cursorMove: .cursorMove
    case .vmState: .vmState
    case .memoryRegister: .memoryRegister
    case .memoryUnregister: .memoryUnregister
    case .flushLatched: .flushLatched
    case .scanoutMode: .scanoutMode
    case .bufferFreed: .bufferFreed
    case .vmLedger: .vmLedger
    case .application(let message): message.type
    case .scanoutRequirements: .scanoutRequirements
    case .displayAnnounce: .displayAnnounce
    case .frameRegister: .frameRegister
    case .layerLatched: .layerLatched
    case .bufferRelease: .bufferRelease
    case .layerRecall: .layerRecall
    case .consumerConstraints: .consumerConstraints
    case .layerSet: .layerSet
    case .layerRemove: .layerRemove
    case .layerContent: .layerContent
    case .layerDamage: .layerDamage
    case .layerCursor: .layerCursor
    case .layerCursorMove: .layerCursorMove
    case .bufferRetired: .bufferRetired
    case .layersSettled: .layersSettled
    case .producerLinkReady: .producerLinkReady
    case .linkRoute: .linkRoute
    case .flushesLinked: .flushesLinked
    case .producerLink: .producerLink
    case .linkScanouts: .linkScanouts
    case .flushesWanted: .flushesWanted
    case .linkDamage: .linkDamage
    case .consumerLinkReady: .consumerLinkReady
    case .consumerLink: .consumerLink
    case .linkLatched: .linkLatched
    case .memorySet: .memorySet
    case .memoryRemove: .memoryRemove
    case .list: .list
    case .screenshot: .screenshot
    case .listEnd: .listEnd
    case .vmRecord: .vmRecord
    case .bufferRecord: .bufferRecord
    case .displayRecord: .displayRecord
    case .clientRecord: .clientRecord
    case .frame: .frame
    }
  }
}
