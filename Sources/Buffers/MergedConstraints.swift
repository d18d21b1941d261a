/// The constraints of several parties, and who asked for what.
///
/// What it says depends on the parties only, not on the order in which they came.
public struct MergedConstraints: Hashable, Sendable {
  /// Two parties that leave nothing between them.
  public struct Disagreement: Error, Equatable, Sendable, CustomStringConvertible {
    /// The two, in order of their names; once the same when a party's own constraints contradict each other.
    public let first: String, second: String
    /// On what.
    public let aspect: Constraints.Aspect

    /// Two parties, in order of their names.
    public init(first: String, second: String, aspect: Constraints.Aspect) {
      self.first = first
      self.second = second
      self.aspect = aspect
    }

    /// For people.
    public var description: String {
      first == second
        ? "\(first) can use nothing: its own \(aspect) contradict each other"
        : "\(first) and \(second) disagree on \(aspect)"
    }
  }

  /// What each party asked for.
  public private(set) var parties: [String: Constraints] = [:]

  /// Nobody.
  public init() {}

  /// One party. What one party says twice holds both times.
  public init(_ constraints: Constraints, of party: String) {
    parties[party] = constraints
  }

  /// Both.
  ///
  /// - Throws: when a party that is in both contradicts itself.
  public func merging(_ other: MergedConstraints) throws(Disagreement) -> MergedConstraints {
    var merged = self
    for (party, constraints) in other.parties {
      guard let own = parties[party] else {
        merged.parties[party] = constraints
        continue
      }
      do throws(Constraints.Empty) {
        merged.parties[party] = try own.merging(constraints)
      } catch {
        throw Disagreement(first: party, second: party, aspect: error.aspect)
      }
    }
    return merged
  }

  /// What all can use; no constraint at all when there is nobody.
  ///
  /// - Throws: the two who disagree: the first pair by name that leaves nothing, else the party that leaves nothing of
  ///   what those before it by name can use, and the last of them that takes part in that.
  public func resolved() throws(Disagreement) -> Constraints {
    let names = parties.keys.sorted()
    var all = Constraints()
    for (index, name) in names.enumerated() {
      do throws(Constraints.Empty) {
        all = try all.merging(parties[name] ?? Constraints())
      } catch {
        throw culprits(Array(names[...index])) ?? Disagreement(first: name, second: name, aspect: error.aspect)
      }
    }
    return all
  }

  /// Who of `names`, which cannot agree, is to be told: `names` without the last can agree.
  private func culprits(_ names: [String]) -> Disagreement? {
    guard let last = names.last else { return nil }
    for name in [last] + names.dropLast() {
      if let aspect = conflict([name, last]) { return disagreement(name, last, aspect) }
    }
    // No two alone: the last one that is needed for the contradiction.
    for name in names.dropLast().reversed() {
      if let aspect = conflict(names), conflict(names.filter { $0 != name }) == nil {
        return disagreement(name, last, aspect)
      }
    }
    return conflict(names).map { disagreement(names[0], last, $0) }
  }

  private func disagreement(_ first: String, _ second: String, _ aspect: Constraints.Aspect) -> Disagreement {
    Disagreement(first: min(first, second), second: max(first, second), aspect: aspect)
  }

  private func conflict(_ names: [String]) -> Constraints.Aspect? {
    var all = Constraints()
    for name in names {
      do throws(Constraints.Empty) { all = try all.merging(parties[name] ?? Constraints()) } catch {
        return error.aspect
      }
    }
    return nil
  }
}
