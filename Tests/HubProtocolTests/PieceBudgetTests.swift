import Testing

@testable import HubProtocol

@Suite struct PieceBudgetTests {
  @Test func `beyond the limit no more pieces are wanted, until half of them have gone`() {
    var budget = PieceBudget(limit: 100)
    budget.add(60)
    budget.add(40)
    #expect(!budget.isExhausted)
    budget.add(1)
    #expect(budget.isExhausted)
    budget.remove(50)
    #expect(budget.isExhausted)
    budget.remove(1)
    #expect(!budget.isExhausted)
  }

  @Test func `when the system has no more, the same holds for what is there`() {
    var budget = PieceBudget(limit: 100)
    budget.add(20)
    budget.exhaust()
    budget.remove(9)
    #expect(budget.isExhausted)
    budget.remove(1)
    #expect(!budget.isExhausted)
    #expect(budget.count == 10)
  }
}
