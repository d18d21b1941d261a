import Testing

@testable import MuntinBench

@Suite struct ResultsTests {
  private let rate = Figure(.commands, "rate", .perSecond, beside: .qemu, .ratioAtLeast(1.5))

  @Test func `the ratio is the median of the rounds' ratios, not the ratio of the medians`() throws {
    let results = Results()
    for (ours, peer) in [(10.0, 1.0), (20, 10), (30, 30)] { results.record(rate, ours: ours, peer: peer) }
    let row = try #require(results.rows.first)
    #expect(row.ratio?.median == 2)
    #expect(row.verdict == .met)
  }

  @Test func `a figure below its target is missed, and the summary names it`() {
    let results = Results()
    results.record(rate, ours: 14, peer: 10)
    #expect(results.rows.first?.verdict == .missed)
    #expect(Report(results: results).summary == "0 of 1 targets met. Missed: Small commands: rate.")
  }

  @Test func `a figure that one side never gave is missed`() {
    let results = Results()
    results.record(rate, ours: 14)
    #expect(results.rows.first?.verdict == .missed)
  }

  @Test func `figures without a target are not counted`() {
    let results = Results()
    results.record(Figure(.commands, "other", .perSecond, beside: .qemu), ours: 1, peer: 2)
    #expect(Report(results: results).summary == "0 of 0 targets met.")
  }

  @Test func `every second round begins with the other side`() {
    #expect(Side.order(ofRound: 0) == [.muntin, .qemu])
    #expect(Side.order(ofRound: 1) == [.qemu, .muntin])
  }

  @Test func `the median of an even count lies between its middle values`() {
    #expect(Spread([4, 1, 3, 2])?.median == 2.5)
    #expect(Spread([])?.median == nil)
  }

  @Test(arguments: [
    (0.126, "0.13"), (12.34, "12.3"), (999.4, "999"), (1_234_567, "1,235,000"), (-2.5, "-2.50"), (.infinity, "-"),
    (0, "0.00"), (1000, "1,000"),
  ])
  func `numbers are written short`(value: Double, text: String) {
    #expect(Numbers.text(value) == text)
  }
}
