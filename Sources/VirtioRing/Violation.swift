extension DriverQueue {
  /// Something a device must never do.
  public enum Violation: Equatable, Sendable {
    /// It completed what was not in flight.
    case unknownToken(UInt32)
    /// It claims more bytes than the request could take.
    case writtenBeyondEnd(token: UInt16, written: UInt32, capacity: UInt64)
    /// Its used index ran ahead by more than the ring.
    case usedIndexJumped(from: UInt16, to: UInt16)
  }
}

/// What a device did wrong: how often, and the first of it. A device without end of them takes no memory without end.
struct ViolationLog {
  static let limit = 256
  private(set) var first: [DriverQueue.Violation] = []
  private(set) var count = 0

  mutating func append(_ violation: DriverQueue.Violation) {
    count &+= 1
    if first.count < Self.limit { first.append(violation) }
  }
}
