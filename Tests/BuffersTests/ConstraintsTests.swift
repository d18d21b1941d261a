import TestSupport
import Testing

@testable import Buffers

/// Constraints that can contradict each other, but not themselves. Half of the words say nothing, so that three parties agree
/// about as often as they do not.
private func random(_ generator: inout SplitMix) -> Constraints {
  func one<Element>(_ free: Element, _ elements: [Element]) -> Element {
    generator.next() % 2 == 0 ? free : elements[Int(generator.next() % UInt64(elements.count))]
  }
  var constraints = Constraints()
  constraints.strideAlignment = one(1, [4, 48, 64, 256, 3000])
  constraints.offsetAlignment = one(1, [7, 4096, 1 << 20, 65_537])
  constraints.widthMultiple = one(1, [2, 3, 16])
  constraints.heightMultiple = one(1, [2, 5, 64])
  constraints.maximumWidth = one(.max, [16, 4096])
  constraints.maximumHeight = one(.max, [64, 4096])
  constraints.maximumStride = one(.max, [.max, 3000, 16_384])
  constraints.isContiguous = one(false, [true])
  constraints.cacheability = one(.any, [.cached, [.cached, .uncached], .writeCombined])
  constraints.memoryKinds = one(.all, [.file, [.file, .dmaBuf], .ranges])
  constraints.formats = one(nil, [[.xrgb8888], [.xrgb8888, .argb8888], [.argb8888, .abgr8888]])
  constraints.modifiers = one(nil, [[0], [0, 1], [1, 2]])
  return constraints
}

/// The merged set, or who disagrees.
private func outcome(_ merged: MergedConstraints) -> Result<Constraints, MergedConstraints.Disagreement> {
  do { return .success(try merged.resolved()) } catch { return .failure(error) }
}

@Suite struct ConstraintsPropertyTests {
  private func trio(_ generator: inout SplitMix) -> [MergedConstraints] {
    ["a", "b", "c"].map { MergedConstraints(random(&generator), of: $0) }
  }

  @Test func `merging is associative, commutative and idempotent, disagreements included`() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var generator = SplitMix(seed: seed)
    var disagreements = 0
    for _ in 0..<4000 {
      let (a, b, c) = { ($0[0], $0[1], $0[2]) }(trio(&generator))
      let all = try a.merging(b).merging(c)
      #expect(try outcome(all) == outcome(a.merging(b.merging(c))), "seed \(seed)")
      #expect(try outcome(all) == outcome(c.merging(a).merging(b)), "seed \(seed)")
      #expect(try outcome(all) == outcome(all.merging(all)), "seed \(seed)")
      #expect(try outcome(all) == outcome(all.merging(b)), "seed \(seed)")
      if case .failure = outcome(all) { disagreements += 1 }
    }
    #expect((200..<3800).contains(disagreements), "both outcomes are tried, seed \(seed)")
  }

  @Test func `the values merge the same way, without the names`() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var generator = SplitMix(seed: seed)
    for _ in 0..<4000 {
      let (a, b, c) = (random(&generator), random(&generator), random(&generator))
      let left = try? a.merging(b).merging(c)
      #expect(left == (try? a.merging(b.merging(c))), "seed \(seed)")
      #expect((try? a.merging(b)) == (try? b.merging(a)), "seed \(seed)")
      #expect(try a.merging(a) == a, "seed \(seed)")
      #expect(try a.merging(Constraints()) == a, "seed \(seed)")
    }
  }

  @Test func `whoever is named takes part in the disagreement`() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var generator = SplitMix(seed: seed)
    for _ in 0..<4000 {
      let all = try trio(&generator).reduce(MergedConstraints()) { try $0.merging($1) }
      guard case .failure(let disagreement) = outcome(all) else { continue }
      for name in [disagreement.first, disagreement.second] {
        let others = try all.parties.filter { $0.key != name }
          .reduce(MergedConstraints()) { try $0.merging(MergedConstraints($1.value, of: $1.key)) }
        let pair = try MergedConstraints(all.parties[disagreement.first] ?? Constraints(), of: "1")
          .merging(MergedConstraints(all.parties[disagreement.second] ?? Constraints(), of: "2"))
        // Either the two alone cannot agree, or without the one the others can.
        let twoDisagree = if case .failure = outcome(pair) { true } else { false }
        let othersAgree = if case .success = outcome(others) { true } else { false }
        #expect(twoDisagree || othersAgree, "seed \(seed)")
      }
    }
  }

  @Test func `a picture laid out by the merged set can be used by everybody`() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var generator = SplitMix(seed: seed)
    var made = 0
    for _ in 0..<4000 {
      let parties = (0..<3).map { _ in random(&generator) }
      guard let merged = try? parties[0].merging(parties[1]).merging(parties[2]) else { continue }
      let size = Size(width: UInt32(generator.next() % 300 + 1), height: UInt32(generator.next() % 300 + 1))
      let start = generator.next() % 10_000
      guard let layout = try? merged.layout(size: size, format: .argb8888, from: start) else { continue }
      made += 1
      #expect(layout.offset >= start)
      for party in parties {
        let room = try #require(merged.byteCount(for: layout))
        // Cached memory of several kinds, one piece: what is left to disagree on is where the pixels are.
        let memory = MemoryTraits(kind: merged.memoryKinds, isContiguous: true)
        var cached = party
        cached.cacheability.insert(.cached)
        #expect(throws: Never.self, "seed \(seed)") {
          try cached.check(layout, in: memory, byteCount: UInt64(room))
        }
        #expect((room - Int(layout.offset)) / Int(layout.stride) % Int(party.heightMultiple) == 0, "seed \(seed)")
        #expect(Int(layout.stride) / 4 >= Int(size.width), "seed \(seed)")
      }
    }
    #expect(made > 3)
  }
}

@Suite struct ConstraintsTests {
  private static func with(_ change: (inout Constraints) -> Void) -> Constraints {
    var constraints = Constraints()
    change(&constraints)
    return constraints
  }

  private func disagreement(_ parties: [String: Constraints]) throws -> String? {
    let merged = try parties.reduce(MergedConstraints()) {
      try $0.merging(MergedConstraints($1.value, of: $1.key))
    }
    guard case .failure(let disagreement) = outcome(merged) else { return nil }
    return disagreement.description
  }

  @Test func `alignments merge to their least common multiple, maxima to the least`() throws {
    let merged = try Self.with {
      $0.strideAlignment = 48
      $0.maximumWidth = 4096
    }.merging(
      Self.with {
        $0.strideAlignment = 64
        $0.maximumWidth = 1024
      })
    #expect(merged.strideAlignment == 192 && merged.maximumWidth == 1024)
  }

  /// Each: what two want, and on what they disagree.
  private static let disagreements: [(Constraints, Constraints, String)] = [
    (with { $0.formats = [.xrgb8888] }, with { $0.formats = [.argb8888] }, "formats"),
    (with { $0.modifiers = [0] }, with { $0.modifiers = [7] }, "modifiers"),
    (with { $0.cacheability = .cached }, with { $0.cacheability = .uncached }, "cacheability"),
    (with { $0.memoryKinds = .dmaBuf }, with { $0.memoryKinds = .file }, "memory kinds"),
    (with { $0.widthMultiple = 64 }, with { $0.maximumWidth = 32 }, "width"),
    (with { $0.heightMultiple = 64 }, with { $0.maximumHeight = 32 }, "height"),
    (with { $0.strideAlignment = 1 << 20 }, with { $0.maximumStride = 4096 }, "stride alignment"),
    (with { $0.offsetAlignment = .max }, with { $0.offsetAlignment = .max - 1 }, "offset alignment"),
  ]

  @Test(arguments: disagreements)
  func `a disagreement names the two and on what`(first: Constraints, second: Constraints, aspect: String) throws {
    let parties = ["display wall": first, "application rec": second, "other": Constraints()]
    #expect(try disagreement(parties) == "application rec and display wall disagree on \(aspect)")
  }

  @Test func `three of whom no two disagree are a disagreement of the last two that it takes`() throws {
    let parties = [
      "a": Self.with { $0.formats = [.xrgb8888, .argb8888] },
      "b": Self.with { $0.formats = [.argb8888, .abgr8888] },
      "c": Self.with { $0.formats = [.abgr8888, .xrgb8888] },
    ]
    #expect(try disagreement(parties) == "b and c disagree on formats")
  }

  @Test func `somebody who contradicts himself is named alone`() throws {
    let parties = ["a": Constraints(), "b": Self.with { $0.formats = [] }]
    #expect(try disagreement(parties) == "b can use nothing: its own formats contradict each other")
  }

  @Test func `a size, a format or a row that does not fit is refused`() {
    let size = Size(width: 100, height: 100)
    #expect(throws: Constraints.Unfit.self) {
      try Self.with {
        $0.widthMultiple = 64
        $0.maximumWidth = 120
      }.layout(size: size, format: .argb8888)
    }
    #expect(throws: Constraints.Unfit.format(.argb8888)) {
      try Self.with { $0.formats = [.xrgb8888] }.layout(size: size, format: .argb8888)
    }
    #expect(throws: Constraints.Unfit.modifier) {
      try Self.with { $0.modifiers = [3] }.layout(size: size, format: .argb8888)
    }
    #expect(throws: Constraints.Unfit.stride(400, maximum: 300)) {
      try Self.with { $0.maximumStride = 300 }.layout(size: size, format: .argb8888)
    }
  }
}
