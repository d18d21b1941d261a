/// What one VM, or one program, has of this host, and what it may have.
///
/// Every byte is charged before it is taken, to one owner, in one class. A charge is a value that cannot be copied: what
/// it covers is given back when it goes, once, whatever way that happens.
public final class Ledger {
  /// What a byte is to its owner.
  public enum Class: UInt32, CaseIterable, Sendable {
    /// The guest's own memory that somebody else has been given.
    case guestMemory
    /// Memory of the host that holds the guest's pictures.
    case hostAllocated
    /// Another owner's memory that is used here; charged there, shown here.
    case imported
    /// What is kept about the guest's things: lists of pages.
    case bookkeeping
    /// What a renderer took to draw for the guest: measured, not charged before it is taken.
    case rendering
  }

  /// Things that are counted.
  public enum Item: UInt32, CaseIterable, Sendable {
    case buffers
    case contexts
    case descriptors
    /// Commands that wait for somebody before they are answered.
    case commands
  }

  /// What is charged together.
  public struct Demand: Equatable, Sendable {
    /// In which class the bytes are.
    public var kind: Class
    /// How many; not negative.
    public var byteCount: Int
    /// Whether it is a buffer, which counts as one.
    public var isBuffer: Bool
    /// How many descriptors it takes.
    public var descriptors: Int

    /// A demand.
    public init(_ byteCount: Int, as kind: Class, isBuffer: Bool = false, descriptors: Int = 0) {
      self.kind = kind
      self.byteCount = byteCount
      self.isBuffer = isBuffer
      self.descriptors = descriptors
    }
  }

  /// What may be had of each.
  public let limits: LedgerAmounts
  /// What is had of each.
  public private(set) var totals = LedgerAmounts.nothing
  /// Host memory that is charged and not allocated yet: a picture's memory comes with its first use.
  public private(set) var promised = 0
  /// Called when something has changed.
  public var changed: (() -> Void)?

  /// A ledger in which nothing stands.
  public init(limits: LedgerAmounts = .usualLimits) {
    self.limits = limits
  }

  /// Charges all of a demand, or nothing when one of its limits forbids it.
  public func charge(_ demand: Demand) throws(OverLimit) -> Charge {
    try check(.bytes(demand.kind), demand.byteCount)
    if demand.isBuffer { try check(.items(.buffers), 1) }
    try check(.items(.descriptors), demand.descriptors)
    apply(demand, sign: 1)
    return Charge(demand, ledger: self)
  }

  /// Counts things that have no bytes of their own.
  public func take(_ item: Item, _ count: Int = 1) throws(OverLimit) {
    try check(.items(item), count)
    totals[.items(item)] += count
    changed?()
  }

  /// Throws when so many more of a thing may not be had. Nothing changes.
  public func check(_ item: Item, _ count: Int = 1) throws(OverLimit) { try check(.items(item), count) }

  /// Throws when no more may be drawn: the renderer has what it may have.
  public func checkRendering() throws(OverLimit) { try check(.bytes(.rendering), 1) }

  /// A renderer has been measured: what it took, which may be more than its limit.
  public func noteRendering(_ byteCount: Int) {
    guard byteCount != totals.rendering else { return }
    totals.rendering = byteCount
    changed?()
  }

  /// Counts waiting commands, or that so many fewer wait: ``check(_:_:)`` has let those pass that can be refused. Nobody
  /// is told that this has changed, because it does with every frame.
  public func noteWaiting(_ change: Int) {
    precondition(totals.commands + change >= 0, "more commands stopped waiting than waited")
    totals.commands += change
  }

  /// Gives back what `take` counted.
  public func giveBack(_ item: Item, _ count: Int = 1) {
    precondition(count >= 0 && count <= totals[.items(item)], "gave back more than was taken")
    totals[.items(item)] -= count
    changed?()
  }

  private func check(_ quantity: Quantity, _ count: Int) throws(OverLimit) {
    guard count >= 0, count <= limits[quantity] - totals[quantity] else {
      throw OverLimit(quantity: quantity, wanted: count, used: totals[quantity], limit: limits[quantity])
    }
  }

  private func apply(_ demand: Demand, sign: Int) {
    totals[.bytes(demand.kind)] += sign * demand.byteCount
    if demand.isBuffer { totals[.items(.buffers)] += sign }
    totals[.items(.descriptors)] += sign * demand.descriptors
    changed?()
  }

  fileprivate func release(_ demand: Demand) { apply(demand, sign: -1) }

  fileprivate func notePromised(_ byteCount: Int) {
    promised += byteCount
    changed?()
  }
}

extension Ledger {
  /// One line of the ledger.
  public enum Quantity: Hashable, Sendable, CaseIterable, CustomStringConvertible {
    case bytes(Class)
    case items(Item)

    /// All lines: the classes, then the items.
    public static var allCases: [Quantity] { Class.allCases.map { .bytes($0) } + Item.allCases.map { .items($0) } }

    /// The word in configuration files and on command lines.
    public var key: String {
      switch self {
      case .bytes(.guestMemory): "guest_memory"
      case .bytes(.hostAllocated): "host_memory"
      case .bytes(.imported): "imported"
      case .bytes(.bookkeeping): "bookkeeping"
      case .bytes(.rendering): "rendering"
      case .items(.buffers): "buffers"
      case .items(.contexts): "contexts"
      case .items(.descriptors): "descriptors"
      case .items(.commands): "commands"
      }
    }

    /// For people.
    public var description: String {
      switch self {
      case .bytes(.guestMemory): "bytes of guest memory"
      case .bytes(.hostAllocated): "bytes of host memory"
      case .bytes(.imported): "bytes of imported memory"
      case .bytes(.bookkeeping): "bytes of bookkeeping"
      case .bytes(.rendering): "bytes of a renderer's memory"
      case .items(.buffers): "buffers"
      case .items(.contexts): "contexts"
      case .items(.descriptors): "descriptors"
      case .items(.commands): "waiting commands"
      }
    }
  }

  /// A limit that forbids a demand. Nothing was charged.
  public struct OverLimit: Error, Equatable, Sendable, CustomStringConvertible {
    /// Which line.
    public let quantity: Quantity
    /// What was asked for.
    public let wanted: Int
    /// What stands there already.
    public let used: Int
    /// The most that may stand there.
    public let limit: Int

    /// For people.
    public var description: String { "\(wanted) more \(quantity) than the \(used) in use would exceed \(limit)" }
  }

  /// A charge in a ledger: gives itself back when it goes out of scope.
  public struct Charge: ~Copyable {
    /// What it covers.
    public let demand: Demand
    private let ledger: Ledger
    private var isPromise = false

    fileprivate init(_ demand: Demand, ledger: Ledger) {
      self.demand = demand
      self.ledger = ledger
    }

    deinit {
      if isPromise { ledger.notePromised(-demand.byteCount) }
      ledger.release(demand)
    }

    /// The memory is only promised so far, or is there from now on.
    public mutating func setPromised(_ promised: Bool) {
      guard promised != isPromise else { return }
      isPromise = promised
      ledger.notePromised(promised ? demand.byteCount : -demand.byteCount)
    }
  }
}
