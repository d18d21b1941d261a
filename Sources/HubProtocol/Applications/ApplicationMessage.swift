import Buffers

/// Messages of parties that offer and acquire buffers (protocol.md section 8).
public enum ApplicationMessage: Equatable, Sendable {
  case offer(BufferOffer)
  case withdraw(BufferID)
  case update(BufferUpdate)
  case acquire(Acquisition)
  case release(BufferID)
  case done(BufferID, generation: UInt64)
  case lookup(BufferKey)
  case query(BufferQuery)
  case constraints(Constraints)
  case requirements([Party])
  case grant(GrantRequest)
  case revoke(GrantID)
  case grants(cursor: UInt64)
  /// Of an ACQUIRE that waits.
  case cancel(serial: UInt64)
  /// Of a viewer, and of a program in a guest to its graphics card.
  case view(ScreenKey)
  /// Which screens the asker may see.
  case screens(cursor: UInt64)

  case accepted(GrantID?)
  case acquired(BufferInfo)
  case updated(BufferUpdate)
  case revoked(BufferID, milliseconds: UInt32)
  case retired(BufferID, milliseconds: UInt32)
  case requirementsMerged(Constraints)
  case bufferInfo(BufferInfo)
  case queryEnd(count: UInt32, next: UInt64)
  case bufferDone(BufferDone)
  case grantRecord(GrantRecord)
  case bufferRevoked(BufferID)
  /// The newest generation that the hub knows of.
  case bufferWanted(BufferID, generation: UInt64)
  case bufferTaken(BufferTaken)
  case screenInfo(ScreenInfo)

  /// Its number.
  public var type: MessageType {
    switch self {
    case .offer: .bufferOffer
    case .withdraw: .bufferWithdraw
    case .update: .bufferUpdate
    case .acquire: .acquire
    case .release: .release
    case .done: .done
    case .lookup: .lookup
    case .query: .query
    case .constraints: .partyConstraints
    case .requirements: .requirements
    case .grant: .grant
    case .revoke: .revoke
    case .grants: .grants
    case .cancel: .cancel
    case .view: .view
    case .screens: .screens
    case .screenInfo: .screenInfo
    case .accepted: .accepted
    case .acquired: .acquired
    case .updated: .updated
    case .revoked: .revoked
    case .retired: .retired
    case .requirementsMerged: .requirementsMerged
    case .bufferInfo: .bufferInfo
    case .queryEnd: .queryEnd
    case .bufferDone: .bufferDone
    case .grantRecord: .grantRecord
    case .bufferRevoked: .bufferRevoked
    case .bufferWanted: .bufferWanted
    case .bufferTaken: .bufferTaken
    }
  }
}

/// BUFFER_OFFER: a buffer that others may acquire.
public struct BufferOffer: Equatable, Sendable {
  /// Its id and layout.
  public var buffer: BufferDescription
  /// What its memory is.
  public var memory: MemoryDescription
  /// Its name among its owner's buffers; nil: it is found by its id only.
  public var name: PeerName?
  /// Whether the descriptor can write, so that write access can be granted.
  public var isWritable: Bool
  /// Whether the descriptor can write although write access cannot be granted: for VMs whose grant says ``ReadForm/shared``.
  public var isShareable = false
  /// Its free properties, with different names.
  public var properties: [BufferProperty]
  /// How many images of the layout the memory holds, 1 to 3.
  public var images: Int

  /// A buffer.
  public init(
    buffer: BufferDescription, memory: MemoryDescription, name: PeerName? = nil, isWritable: Bool = false,
    properties: [BufferProperty] = [], images: Int = 1
  ) {
    self.buffer = buffer
    self.memory = memory
    self.name = name
    self.isWritable = isWritable
    self.properties = properties
    self.images = images
  }
}

/// BUFFER_UPDATE, UPDATED: pixels that changed.
public struct BufferUpdate: Equatable, Sendable {
  /// Of which buffer.
  public var id: BufferID
  /// Which pixels.
  public var damage: Rectangle
  /// Grows with each update.
  public var generation: UInt64

  /// A change.
  public init(id: BufferID, damage: Rectangle, generation: UInt64) {
    self.id = id
    self.damage = damage
    self.generation = generation
  }
}

/// Which buffer somebody asks for.
public enum BufferKey: Hashable, Sendable {
  case id(BufferID)
  case name(PeerName, owner: Party)
}

/// ACQUIRE: a lease that somebody asks for.
public struct Acquisition: Equatable, Sendable {
  /// Of which buffer.
  public var key: BufferKey
  /// What for.
  public var access: BufferAccess
  /// Whether changes are told.
  public var wantsUpdates: Bool
  /// Whether the answer waits until there is such a buffer.
  public var waits: Bool
  /// Whether a generation is still read after DONE, until DONE of a newer one: for who shows pictures.
  public var keeps: Bool

  /// A request.
  public init(
    _ key: BufferKey, access: BufferAccess = .read, wantsUpdates: Bool = false, waits: Bool = false, keeps: Bool = false
  ) {
    self.key = key
    self.access = access
    self.wantsUpdates = wantsUpdates
    self.waits = waits
    self.keeps = keeps
  }
}

/// VIEW: one screen of a VM.
public struct ScreenKey: Hashable, Sendable, CustomStringConvertible {
  /// Whose screen.
  public var vm: PeerName
  /// Which of its screens.
  public var scanout: ScanoutIndex

  /// A screen.
  public init(vm: PeerName, scanout: ScanoutIndex) {
    self.vm = vm
    self.scanout = scanout
  }

  /// Reads "ivi:0"; nil for anything else.
  public init?(_ text: some StringProtocol) {
    guard let colon = text.lastIndex(of: ":"), let vm = PeerName(text[..<colon]) else { return nil }
    let digits = text[text.index(after: colon)...]
    guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt32(digits) else { return nil }
    let scanout = ScanoutIndex(rawValue: number)
    guard scanout.isValid else { return nil }
    self.init(vm: vm, scanout: scanout)
  }

  /// As ``init(_:)`` reads it.
  public var description: String { "\(vm):\(scanout)" }
}

/// SCREEN_INFO: a screen that the asker may see.
public struct ScreenInfo: Hashable, Sendable {
  /// Which.
  public var screen: ScreenKey
  /// Why it shows nothing; nil: it shows something.
  public var absence: AbsenceReason?
  /// How large what it shows is; without that: its mode.
  public var size: Size

  /// A screen.
  public init(_ screen: ScreenKey, absence: AbsenceReason?, size: Size) {
    self.screen = screen
    self.absence = absence
    self.size = size
  }
}

/// QUERY: which buffers to list.
public struct BufferQuery: Equatable, Sendable {
  /// Where to go on; 0 at first.
  public var cursor: UInt64 = 0
  /// What the asker must be able to do.
  public var access = BufferAccess.read
  /// Nil: any.
  public var format: PixelFormat?
  /// Whose kind; nil: anybody's.
  public var ownerKind: Party.Kind?
  /// Whose; of `ownerKind`.
  public var ownerName: PeerName?
  /// Nil: any.
  public var name: PeerName?
  /// A property that it must have, with any value if that is empty.
  public var property: BufferProperty?
  /// Whether only the asker's own are listed.
  public var isOwn = false

  /// Everything.
  public init() {}
}

/// ACQUIRED, BUFFER_INFO: what a party is told of a buffer.
public struct BufferInfo: Equatable, Sendable {
  /// Where it is in its life.
  public var state: BufferRecord.State
  /// Its id and layout.
  public var buffer: BufferDescription
  /// What its memory is.
  public var memory: MemoryDescription
  /// Whose it is.
  public var owner: Party
  /// Its name among its owner's buffers.
  public var name: PeerName?
  /// Of its newest update.
  public var generation: UInt64
  /// What the asker may do.
  public var access: BufferAccess
  /// Of a VM that may only read: how its guest gets the pixels.
  public var form: ReadForm?
  /// How many hold it.
  public var leases: UInt32
  /// Its free properties.
  public var properties: [BufferProperty]
  /// How many images of the layout the memory holds, 1 to 3.
  public var images: Int

  /// A buffer.
  public init(
    buffer: BufferDescription, memory: MemoryDescription, owner: Party, name: PeerName?, generation: UInt64,
    state: BufferRecord.State, access: BufferAccess, form: ReadForm? = nil, leases: UInt32,
    properties: [BufferProperty], images: Int = 1
  ) {
    self.state = state
    self.buffer = buffer
    self.memory = memory
    self.owner = owner
    self.name = name
    self.generation = generation
    self.access = access
    self.form = form
    self.leases = leases
    self.properties = properties
    self.images = images
  }
}

/// BUFFER_DONE: how far a holder has read.
public struct BufferDone: Equatable, Sendable {
  /// Which buffer.
  public var id: BufferID
  /// What was read.
  public var generation: UInt64
  /// A number of the lease; 0: nobody is told of changes.
  public var holder: UInt32
  /// How many that are told of changes have not read the newest generation.
  public var remaining: UInt32

  /// How far it is.
  public init(id: BufferID, generation: UInt64, holder: UInt32, remaining: UInt32) {
    self.id = id
    self.generation = generation
    self.holder = holder
    self.remaining = remaining
  }
}

/// BUFFER_TAKEN: into which images of its buffer an owner must not draw.
public struct BufferTaken: Equatable, Sendable {
  /// Which buffer.
  public var id: BufferID
  /// Only this generation or a newer one is given to anybody from now on; 0: none was published.
  public var generation: UInt64
  /// Images that somebody holds, as bits.
  public var held: UInt32

  /// What is taken.
  public init(id: BufferID, generation: UInt64, held: UInt32) {
    self.id = id
    self.generation = generation
    self.held = held
  }
}

/// What a grant is about.
public enum GrantObject: Hashable, Sendable {
  case id(BufferID)
  /// Every buffer of that name, now or later.
  case name(PeerName)
  /// All buffers that the owner has.
  case everything
  /// What one screen of the owner, a VM, shows; for reading only.
  case scanout(ScanoutIndex)
}

/// GRANT: a right to be given.
public struct GrantRequest: Hashable, Sendable {
  /// Whose buffers; nil: the asker's.
  public var owner: Party?
  /// Who may use them.
  public var grantee: Party
  /// Which.
  public var object: GrantObject
  /// How.
  public var access: BufferAccess
  /// How a VM that may only read gets the pixels; nil: without a copy if its VMM maps memory read-only, else by one.
  public var form: ReadForm?

  /// A right.
  public init(
    owner: Party? = nil, to grantee: Party, object: GrantObject, access: BufferAccess = .read, form: ReadForm? = nil
  ) {
    self.form = form
    self.owner = owner
    self.grantee = grantee
    self.object = object
    self.access = access
  }
}

/// GRANT_RECORD: a right that is given.
public struct GrantRecord: Hashable, Sendable {
  /// Its number.
  public var id: GrantID
  /// Whether it comes from the configuration and cannot be revoked.
  public var isConfigured: Bool
  /// Whose buffers.
  public var owner: Party
  /// Who may use them.
  public var grantee: Party
  /// Which.
  public var object: GrantObject
  /// How.
  public var access: BufferAccess
  /// How a VM that may only read gets the pixels: in GRANT_RECORD what comes of the grant, nil for all others.
  public var form: ReadForm?

  /// A grant.
  public init(
    id: GrantID, owner: Party, grantee: Party, object: GrantObject, access: BufferAccess, form: ReadForm? = nil,
    isConfigured: Bool = false
  ) {
    self.form = form
    self.id = id
    self.isConfigured = isConfigured
    self.owner = owner
    self.grantee = grantee
    self.object = object
    self.access = access
  }
}
