/// What one VM may use of the host's memory. Every byte is reserved before it is allocated.
public final class MemoryBudget {
  /// The most that may be reserved at a time, in bytes.
  public let limit: Int
  /// What is reserved now, in bytes.
  public private(set) var used = 0

  /// A budget of which nothing is used.
  public init(limit: Int) {
    self.limit = max(0, limit)
  }

  /// Reserves; false, and nothing changes, when that would exceed the limit.
  public func reserve(_ byteCount: Int) -> Bool {
    guard byteCount >= 0, byteCount <= limit - used else { return false }
    used += byteCount
    return true
  }

  /// Gives back what was reserved.
  public func release(_ byteCount: Int) {
    precondition(byteCount >= 0 && byteCount <= used, "released more than was reserved")
    used -= byteCount
  }
}
