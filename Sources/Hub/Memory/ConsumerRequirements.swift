import Buffers
import HubProtocol

/// What one consumer asks of the pictures that it shows.
struct ConsumerRequirements {
  /// What it is, for people.
  let title: String
  let constraints: Constraints
  /// Whether it may see VMs' memory.
  let isTrusted: Bool

  /// The party that withholds VMs' memory, in messages about a disagreement.
  private static let guardian = "the hub's trust"

  /// What all of them ask for; everything is possible when there is nobody.
  static func merged(_ all: [ConsumerRequirements]) -> ScanoutRequirements {
    let isWithheld = all.contains { !$0.isTrusted && !DisplayTrust.kinds(isTrusted: false).isSuperset(of: $0.kinds) }
    do throws(MergedConstraints.Disagreement) {
      var merged = MergedConstraints()
      for consumer in all { merged = try merged.merging(consumer.parties()) }
      return ScanoutRequirements(constraints: try merged.resolved(), isWithheld: isWithheld)
    } catch {
      return ScanoutRequirements(
        constraints: .unstated, isWithheld: isWithheld, disagreement: error.briefly)
    }
  }

  /// Of any viewer: each can use files of every known format.
  static let ofViewers = ConsumerRequirements(title: "a viewer", constraints: .unstated, isTrusted: false)

  /// As ``merged(_:)``, with viewers as well, unless that would leave nothing to the displays.
  static func merged(_ displays: [ConsumerRequirements], viewers: [ConsumerRequirements]) -> ScanoutRequirements {
    let wanted = merged(displays)
    guard !viewers.isEmpty, wanted.disagreement == nil else { return wanted }
    let all = merged(displays + viewers)
    return all.disagreement == nil ? all : wanted
  }

  private var kinds: MemoryKind { constraints.memoryKinds }

  private func parties() throws(MergedConstraints.Disagreement) -> MergedConstraints {
    let own = MergedConstraints(constraints, of: title)
    guard !isTrusted else { return own }
    var withheld = Constraints()
    withheld.memoryKinds = DisplayTrust.kinds(isTrusted: false)
    return try own.merging(MergedConstraints(withheld, of: Self.guardian))
  }
}

extension MergedConstraints.Disagreement {
  /// Short enough for a message, however long the names are: who, and on what.
  fileprivate var briefly: String {
    func short(_ name: String) -> String { name.utf8.count <= 43 ? name : String(name.prefix(30)) + "..." }
    return MergedConstraints.Disagreement(first: short(first), second: short(second), aspect: aspect).description
  }
}
