import TestSupport
import Testing

@testable import Buffers

@Suite struct LedgerTests {
  private func ledger(_ change: (inout LedgerAmounts) -> Void) -> Ledger {
    var limits = LedgerAmounts.usualLimits
    change(&limits)
    return Ledger(limits: limits)
  }

  @Test func `a charge is given back when it goes`() throws {
    let ledger = Ledger()
    do {
      let charge = try ledger.charge(.init(4096, as: .hostAllocated, isBuffer: true, descriptors: 2))
      #expect(charge.demand.byteCount == 4096)
      #expect(ledger.totals.hostAllocated == 4096 && ledger.totals.buffers == 1 && ledger.totals.descriptors == 2)
    }
    #expect(ledger.totals == .nothing)
  }

  @Test(arguments: Ledger.Class.allCases)
  func `nothing changes when a charge exceeds a limit of its class`(kind: Ledger.Class) throws {
    let ledger = ledger { $0[.bytes(kind)] = 100 }
    let charge = try ledger.charge(.init(60, as: kind))
    for count in [41, .max, -1] {
      #expect(throws: Ledger.OverLimit(quantity: .bytes(kind), wanted: count, used: 60, limit: 100)) {
        _ = try ledger.charge(.init(count, as: kind)).demand
      }
    }
    #expect(ledger.totals[.bytes(kind)] == 60)
    _ = try ledger.charge(.init(40, as: kind))
    _ = consume charge
    _ = try ledger.charge(.init(100, as: kind))
  }

  @Test func `a charge that is refused for its descriptors charges no bytes and no buffer`() {
    let ledger = ledger { $0.descriptors = 1 }
    #expect(throws: Ledger.OverLimit.self) {
      _ = try ledger.charge(.init(60, as: .hostAllocated, isBuffer: true, descriptors: 2)).demand
    }
    #expect(ledger.totals == .nothing)
  }

  @Test func `the error says what, how much and what the limit is`() {
    let ledger = ledger { $0.buffers = 0 }
    let error = #expect(throws: Ledger.OverLimit.self) {
      _ = try ledger.charge(.init(60, as: .hostAllocated, isBuffer: true)).demand
    }
    #expect(error?.description == "1 more buffers than the 0 in use would exceed 0")
  }

  @Test func `what is promised is known apart, and forgotten with its charge`() throws {
    let ledger = Ledger()
    do {
      var charge = try ledger.charge(.init(100, as: .hostAllocated))
      charge.setPromised(true)
      #expect(ledger.promised == 100 && ledger.totals.hostAllocated == 100)
      charge.setPromised(false)
      #expect(ledger.promised == 0 && ledger.totals.hostAllocated == 100)
      charge.setPromised(true)
    }
    #expect(ledger.promised == 0 && ledger.totals == .nothing)
  }

  @Test func `items are counted up to their limit`() throws {
    let ledger = ledger { $0.commands = 2 }
    try ledger.take(.commands, 2)
    #expect(throws: Ledger.OverLimit.self) { try ledger.take(.commands) }
    ledger.giveBack(.commands)
    try ledger.take(.commands)
    #expect(ledger.totals.commands == 2)
  }

  @Test func `after random charges the totals are the sum of what is held`() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var generator = SplitMix(seed: seed)
    let ledger = ledger { $0.hostAllocated = 5000 }
    var held: [Box] = []
    for _ in 0..<10_000 {
      if generator.next() % 2 == 0, !held.isEmpty {
        held.remove(at: Int(generator.next() % UInt64(held.count)))
      } else if let kind = Ledger.Class(rawValue: UInt32(generator.next() % 4)) {
        let count = Int(generator.next() % 1000)
        if let box = Box(ledger, .init(count, as: kind, isBuffer: count % 2 == 0, descriptors: count % 3)) {
          held.append(box)
        }
      }
      #expect(ledger.totals == held.reduce(into: LedgerAmounts.nothing) { $1.add(to: &$0) }, "seed \(seed)")
      #expect(ledger.totals.hostAllocated <= 5000)
    }
    held.removeAll()
    #expect(ledger.totals == .nothing)
  }

  /// A charge in an array.
  private final class Box {
    private let charge: Ledger.Charge

    init?(_ ledger: Ledger, _ demand: Ledger.Demand) {
      guard let charge = try? ledger.charge(demand) else { return nil }
      self.charge = charge
    }

    func add(to amounts: inout LedgerAmounts) {
      amounts[.bytes(charge.demand.kind)] += charge.demand.byteCount
      amounts.buffers += charge.demand.isBuffer ? 1 : 0
      amounts.descriptors += charge.demand.descriptors
    }
  }
}
