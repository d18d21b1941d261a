import Buffers
import GPUDevice
import HubProtocol

/// What the displays of each of a card's scanouts can use, and of several together.
struct MergedRequirements {
  private let client: ProducerClient
  private let scanoutCount: Int
  /// By the scanouts; forgotten when one of them asks for something else.
  private var known: [ScanoutMask: ScanoutRequirements] = [:]

  init(client: ProducerClient, scanoutCount: Int) {
    self.client = client
    self.scanoutCount = min(scanoutCount, ScanoutID.maximumCount)
  }

  /// What all the displays of these scanouts can use; of all scanouts when none is named.
  mutating func requirements(of scanouts: ScanoutMask) -> ScanoutRequirements {
    if let known = known[scanouts] { return known }
    let fresh = merged(scanouts)
    known[scanouts] = fresh
    return fresh
  }

  /// The hub has said something else of a scanout.
  mutating func forget() { known.removeAll(keepingCapacity: true) }

  private func merged(_ scanouts: ScanoutMask) -> ScanoutRequirements {
    let named = (0..<ScanoutID.maximumCount).filter { index in
      scanouts.isEmpty ? index < scanoutCount : scanouts.contains(ScanoutID(rawValue: UInt32(index)))
    }
    let all = named.map { client.requirements(of: ScanoutIndex($0)) }
    guard all.count > 1, let first = all.first else { return all.first ?? .unknown }
    var merged = ScanoutRequirements(
      constraints: first.constraints, isWithheld: all.contains { $0.isWithheld },
      disagreement: all.compactMap { $0.disagreement }.first)
    do throws(MergedConstraints.Disagreement) {
      merged.constraints = try Self.merged(zip(named, all))
    } catch {
      // As the first one of them wants it; the hub shows it to those of the others who can use that.
      merged.disagreement = error.description
    }
    return merged
  }

  private static func merged(
    _ all: some Sequence<(Int, ScanoutRequirements)>
  ) throws(MergedConstraints.Disagreement) -> Constraints {
    var merged = MergedConstraints()
    for (index, needs) in all {
      let party = MergedConstraints(needs.constraints, of: "the displays of scanout \(index)")
      merged = try merged.merging(party)
    }
    return try merged.resolved()
  }
}
