import Buffers

/// What LIST asks for.
public enum ListKind: UInt32, Sendable, CaseIterable {
  case vms = 1
  case buffers = 2
  case displays = 3
  case clients = 4
}

/// VM_RECORD: a VM as `muntin list vms` shows it.
public struct VMRecord: Equatable, Sendable {
  /// Whether the VM is there.
  public enum State: UInt32, Sendable, CustomStringConvertible {
    /// A virtual machine is connected to its producer.
    case connected = 1
    /// The producer waits for its virtual machine.
    case offline = 2
    /// The producer has gone.
    case gone = 3
    /// The layout, or a display that was there before the hub, knows it; its producer has not come yet.
    case expected = 4

    /// The word for people.
    public var description: String {
      switch self {
      case .connected: "connected"
      case .offline: "offline"
      case .gone: "gone"
      case .expected: "expected"
      }
    }
  }

  /// One of its screens.
  public struct Scanout: Equatable, Sendable {
    /// Which one.
    public var scanout: ScanoutIndex
    /// Whether it shows a picture.
    public var isOn: Bool
    /// What is offered to the guest.
    public var mode: Size
    /// What the guest shows; empty when off.
    public var shown: Size
    /// Flushes since the producer came first.
    public var flushes: UInt64

    /// A screen.
    public init(scanout: ScanoutIndex, isOn: Bool, mode: Size, shown: Size, flushes: UInt64) {
      self.scanout = scanout
      self.isOn = isOn
      self.mode = mode
      self.shown = shown
      self.flushes = flushes
    }
  }

  /// Its name.
  public var name: PeerName
  /// The vhost-user socket of its graphics card; may be empty.
  public var socketPath: String
  /// Bytes that its buffers may have; 0 when nobody said.
  public var memoryLimit: UInt64
  /// Bytes of its buffers, those that are retired but still read included.
  public var bytes: UInt64
  /// Flushes of all its scanouts.
  public var flushes: UInt64
  /// How many buffers it has.
  public var buffers: UInt32
  /// Whether it is there.
  public var state: State
  /// Of the producer; 0 when there is none.
  public var processID: Int32
  /// What it has of the host's memory, and what it may have.
  public var ledger: LedgerReport
  /// Its screens, in order.
  public var scanouts: [Scanout]

  /// A VM.
  public init(
    name: PeerName, socketPath: String, memoryLimit: UInt64, bytes: UInt64, flushes: UInt64, buffers: UInt32,
    state: State, processID: Int32, ledger: LedgerReport = LedgerReport(), scanouts: [Scanout]
  ) {
    self.name = name
    self.socketPath = socketPath
    self.memoryLimit = memoryLimit
    self.bytes = bytes
    self.flushes = flushes
    self.buffers = buffers
    self.state = state
    self.processID = processID
    self.ledger = ledger
    self.scanouts = scanouts
  }
}

/// BUFFER_RECORD: a buffer as `muntin list buffers` shows it.
public struct BufferRecord: Equatable, Sendable {
  /// Where it is in its life (protocol.md section 7).
  public enum State: UInt32, Sendable, CustomStringConvertible {
    /// Nobody reads it.
    case registered = 1
    /// Consumers read it.
    case leased = 2
    /// Its owner took it back, consumers still hold it.
    case retired = 3
    /// Somebody may read it, nobody does.
    case shared = 4

    /// The word for people.
    public var description: String {
      switch self {
      case .registered: "registered"
      case .leased: "leased"
      case .retired: "retired"
      case .shared: "shared"
      }
    }
  }

  /// Its id and layout.
  public var buffer: BufferDescription
  /// Whose it is.
  public var owner: Party
  /// Its name among its owner's buffers.
  public var name: PeerName?
  /// What its memory is, and why.
  public var memory: MemoryDescription
  /// What it costs: the bytes of its memory file, or its own in a VM's memory.
  public var bytes: UInt64
  /// Where it is in its life.
  public var state: State
  /// Consumers that hold it.
  public var leases: UInt32
  /// Who should be shown it and is not, and why, for people; empty when all are.
  public var trouble: String
  /// How many images of the layout its memory holds.
  public var images: Int

  /// A buffer.
  public init(
    buffer: BufferDescription, memory: MemoryDescription, owner: Party, name: PeerName? = nil, bytes: UInt64,
    state: State, leases: UInt32, trouble: String = "", images: Int = 1
  ) {
    self.buffer = buffer
    self.memory = memory
    self.owner = owner
    self.name = name
    self.bytes = bytes
    self.state = state
    self.leases = leases
    self.trouble = trouble
    self.images = images
  }
}

/// DISPLAY_RECORD: a display as `muntin list displays` shows it.
public struct DisplayRecord: Equatable, Sendable {
  /// Its name.
  public var name: PeerName
  /// Where it can be seen, for people.
  public var output: String
  /// Empty when it is not connected and the layout gives no size.
  public var size: Size
  /// Frames per 1000 seconds.
  public var refreshMillihertz: UInt32
  /// Of the consumer; 0 when it is not connected.
  public var processID: Int32
  /// How many layers it shows.
  public var layers: UInt32
  /// Whether a screenshot can be taken.
  public var hasFrame: Bool

  /// A display.
  public init(
    name: PeerName, output: String, size: Size, refreshMillihertz: UInt32, processID: Int32, layers: UInt32,
    hasFrame: Bool
  ) {
    self.name = name
    self.output = output
    self.size = size
    self.refreshMillihertz = refreshMillihertz
    self.processID = processID
    self.layers = layers
    self.hasFrame = hasFrame
  }
}

/// CLIENT_RECORD: a connection of the hub.
public struct ClientRecord: Equatable, Sendable {
  /// What it calls itself.
  public var name: PeerName
  /// What it is to the hub.
  public var role: Role
  /// Its process.
  public var processID: Int32
  /// Its user.
  public var userID: UInt32
  /// Messages that the hub took from it.
  public var messagesReceived: UInt64
  /// Messages that the hub sent it.
  public var messagesSent: UInt64

  /// A connection.
  public init(
    name: PeerName, role: Role, processID: Int32, userID: UInt32, messagesReceived: UInt64, messagesSent: UInt64
  ) {
    self.name = name
    self.role = role
    self.processID = processID
    self.userID = userID
    self.messagesReceived = messagesReceived
    self.messagesSent = messagesSent
  }
}
