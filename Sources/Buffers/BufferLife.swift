/// Where a buffer is in its life: `registered → shared → in use → retired → freed`.
///
/// Each move is a method; one that this state does not have is refused and changes nothing. A buffer that nobody reads
/// is freed as soon as its owner takes it back; one that is read is retired until the last lease ends.
public enum BufferLife: Hashable, Sendable {
  /// Only its owner knows it.
  case registered
  /// Others may use it; nobody does.
  case shared
  /// Others read it: that many leases, at least one. `isShared` is whether new ones may begin.
  case inUse(leases: Int, isShared: Bool)
  /// Its owner took it back, or died; that many leases, at least one, have not ended.
  case retired(leases: Int)
  /// Nobody has anything of it. The end.
  case freed

  /// A move that the state does not have.
  public struct IllegalMove: Error, Equatable, Sendable, CustomStringConvertible {
    /// Where the buffer was, and stays.
    public let state: BufferLife
    /// What was tried.
    public let move: Move

    /// For people.
    public var description: String { "a buffer that is \(state) cannot \(move.rawValue)" }
  }

  /// What can happen to a buffer.
  public enum Move: String, CaseIterable, Sendable {
    case share = "be shared"
    case unshare = "be shared no longer"
    case lease = "be leased"
    case endLease = "lose a lease"
    case retire = "be retired"
  }

  /// Where the move leads; nil where it does not exist.
  public func after(_ move: Move) -> BufferLife? {
    switch self {
    case .registered: afterRegistered(move)
    case .shared: afterShared(move)
    case .inUse(let leases, let isShared): Self.afterInUse(move, leases, isShared)
    case .retired(let leases):
      move == .endLease ? (leases > 1 ? .retired(leases: leases - 1) : .freed) : nil
    case .freed: nil
    }
  }

  private func afterRegistered(_ move: Move) -> BufferLife? {
    switch move {
    case .share: .shared
    case .unshare: self
    case .retire: .freed
    case .lease, .endLease: nil
    }
  }

  private func afterShared(_ move: Move) -> BufferLife? {
    switch move {
    case .share: self
    case .unshare: .registered
    case .lease: .inUse(leases: 1, isShared: true)
    case .retire: .freed
    case .endLease: nil
    }
  }

  private static func afterInUse(_ move: Move, _ leases: Int, _ isShared: Bool) -> BufferLife? {
    switch move {
    case .share: .inUse(leases: leases, isShared: true)
    case .unshare: .inUse(leases: leases, isShared: false)
    case .lease: isShared ? .inUse(leases: leases + 1, isShared: true) : nil
    case .endLease where leases > 1: .inUse(leases: leases - 1, isShared: isShared)
    case .endLease: isShared ? .shared : .registered
    case .retire: .retired(leases: leases)
    }
  }

  /// Makes the move.
  public mutating func move(_ move: Move) throws(IllegalMove) {
    guard let next = after(move) else { throw IllegalMove(state: self, move: move) }
    self = next
  }

  /// How many read it.
  public var leases: Int {
    switch self {
    case .inUse(let leases, _), .retired(let leases): leases
    case .registered, .shared, .freed: 0
    }
  }

  /// Whether its owner has taken it back.
  public var isRetired: Bool {
    switch self {
    case .retired, .freed: true
    case .registered, .shared, .inUse: false
    }
  }
}

extension BufferLife: CustomStringConvertible {
  /// The word for people.
  public var description: String {
    switch self {
    case .registered: "registered"
    case .shared: "shared"
    case .inUse: "in use"
    case .retired: "retired"
    case .freed: "freed"
    }
  }
}
