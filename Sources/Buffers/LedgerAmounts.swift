/// A number for each line of a ledger: what is had, or what may be had.
public struct LedgerAmounts: Hashable, Sendable {
  /// Bytes of the guest's own memory that somebody else has been given.
  public var guestMemory: Int
  /// Bytes of the host's memory.
  public var hostAllocated: Int
  /// Bytes of other owners' memory.
  public var imported: Int
  /// Bytes of page lists and the like.
  public var bookkeeping: Int
  /// Bytes that a renderer took.
  public var rendering: Int
  /// Buffers.
  public var buffers: Int
  /// Contexts.
  public var contexts: Int
  /// Descriptors.
  public var descriptors: Int
  /// Commands that wait.
  public var commands: Int

  /// A number for each line.
  public init(
    guestMemory: Int, hostAllocated: Int, imported: Int, bookkeeping: Int, rendering: Int = 0,
    buffers: Int, contexts: Int, descriptors: Int, commands: Int
  ) {
    self.guestMemory = guestMemory
    self.hostAllocated = hostAllocated
    self.imported = imported
    self.bookkeeping = bookkeeping
    self.rendering = rendering
    self.buffers = buffers
    self.contexts = contexts
    self.descriptors = descriptors
    self.commands = commands
  }

  /// Nothing of anything.
  public static let nothing = LedgerAmounts(
    guestMemory: 0, hostAllocated: 0, imported: 0, bookkeeping: 0, buffers: 0, contexts: 0, descriptors: 0, commands: 0)

  /// No limit.
  public static let unlimited = LedgerAmounts(
    guestMemory: .max, hostAllocated: .max, imported: .max, bookkeeping: .max, rendering: .max,
    buffers: .max, contexts: .max, descriptors: .max, commands: .max)

  /// What a VM may have unless somebody says otherwise: 256 MiB of the host's memory, what its own memory allows.
  public static let usualLimits = LedgerAmounts(
    guestMemory: .max, hostAllocated: 256 << 20, imported: 1 << 30, bookkeeping: 64 << 20, rendering: 1 << 30,
    buffers: 65_536, contexts: 1024, descriptors: 16_384, commands: 1024)

  /// What a program may have unless somebody says otherwise: 1 GiB in buffers that it offers, 4 GiB of others'.
  public static let usualApplicationLimits: LedgerAmounts = {
    var limits = usualLimits(hostAllocated: 1 << 30)
    limits.imported = 4 << 30
    return limits
  }()

  /// The usual limits with another amount of host memory.
  public static func usualLimits(hostAllocated: Int) -> LedgerAmounts {
    var limits = usualLimits
    limits.hostAllocated = hostAllocated
    return limits
  }

  /// The number on one line.
  public subscript(quantity: Ledger.Quantity) -> Int {
    get {
      switch quantity {
      case .bytes(.guestMemory): guestMemory
      case .bytes(.hostAllocated): hostAllocated
      case .bytes(.imported): imported
      case .bytes(.bookkeeping): bookkeeping
      case .bytes(.rendering): rendering
      case .items(.buffers): buffers
      case .items(.contexts): contexts
      case .items(.descriptors): descriptors
      case .items(.commands): commands
      }
    }
    set {
      switch quantity {
      case .bytes(.guestMemory): guestMemory = newValue
      case .bytes(.hostAllocated): hostAllocated = newValue
      case .bytes(.imported): imported = newValue
      case .bytes(.bookkeeping): bookkeeping = newValue
      case .bytes(.rendering): rendering = newValue
      case .items(.buffers): buffers = newValue
      case .items(.contexts): contexts = newValue
      case .items(.descriptors): descriptors = newValue
      case .items(.commands): commands = newValue
      }
    }
  }
}
