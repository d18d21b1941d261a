/// A part of a VM's budget, given back when the object goes.
public final class MemoryCharge {
  /// How many bytes.
  public let byteCount: Int
  private let budget: MemoryBudget

  /// Reserves; nil, and nothing changes, when that would exceed the budget.
  public init?(_ byteCount: Int, of budget: MemoryBudget) {
    guard budget.reserve(byteCount) else { return nil }
    self.byteCount = byteCount
    self.budget = budget
  }

  deinit {
    budget.release(byteCount)
  }
}
