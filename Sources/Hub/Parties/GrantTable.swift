import Buffers
import HubProtocol

/// Who may use what (protocol.md section 8). Every question takes the same time however many grants there are.
struct GrantTable {
  /// The most grants at a time, those of the configuration included.
  static let maximumCount = 4096
  /// The most grants of one owner.
  static let maximumPerOwner = 256

  /// Whose, which: what a grant opens.
  private struct Target: Hashable {
    let owner: Party
    let object: GrantObject
  }

  /// A grant's identity: one pair has one grant for one object.
  private struct Key: Hashable {
    let target: Target
    let grantee: Party
  }

  private struct Pair: Hashable {
    let owner: Party
    let grantee: Party
  }

  private var grants: [GrantID: GrantRecord] = [:]
  private var numbers: [Key: GrantID] = [:]
  private var targets: [Target: Int] = [:]
  private var pairs: [Pair: Int] = [:]
  private var owners: [Party: Int] = [:]
  private var lastNumber: UInt64 = 0

  /// All, in order of their numbers.
  var all: [GrantRecord] { grants.values.sorted { $0.id < $1.id } }
  var count: Int { grants.count }

  subscript(id: GrantID) -> GrantRecord? { grants[id] }

  /// Adds a grant. One that is there for the same object keeps its number and gets the new access.
  mutating func add(
    owner: Party, to grantee: Party, object: GrantObject, access: BufferAccess, form: ReadForm? = nil,
    isConfigured: Bool = false
  ) throws(Refusal) -> GrantRecord {
    let key = Key(target: Target(owner: owner, object: object), grantee: grantee)
    if let id = numbers[key], let former = grants[id] { return renew(former, access, form, isConfigured: isConfigured) }
    guard grants.count < Self.maximumCount else { throw .overLimit("more than \(Self.maximumCount) grants") }
    guard owners[owner, default: 0] < Self.maximumPerOwner else {
      throw .overLimit("more than \(Self.maximumPerOwner) grants of \(owner.briefly)")
    }
    lastNumber += 1
    let id = GrantID(rawValue: lastNumber)
    let grant = GrantRecord(
      id: id, owner: owner, grantee: grantee, object: object, access: access, form: form, isConfigured: isConfigured)
    grants[id] = grant
    numbers[key] = id
    count(grant, 1)
    return grant
  }

  /// What the configuration gives cannot be taken down by a request.
  private mutating func renew(
    _ former: GrantRecord, _ access: BufferAccess, _ form: ReadForm?, isConfigured: Bool
  ) -> GrantRecord {
    var grant = former
    grant.form = former.isConfigured && former.form == .shared ? .shared : form
    grant.access = former.isConfigured ? max(former.access, access) : access
    grant.isConfigured = former.isConfigured || isConfigured
    grants[former.id] = grant
    return grant
  }

  /// Takes a grant away; nil when there is none.
  mutating func remove(_ id: GrantID) -> GrantRecord? {
    guard let grant = grants.removeValue(forKey: id) else { return nil }
    numbers[Key(target: Target(owner: grant.owner, object: grant.object), grantee: grant.grantee)] = nil
    count(grant, -1)
    return grant
  }

  private mutating func count(_ grant: GrantRecord, _ change: Int) {
    Self.add(change, to: &targets[Target(owner: grant.owner, object: grant.object)])
    Self.add(change, to: &pairs[Pair(owner: grant.owner, grantee: grant.grantee)])
    Self.add(change, to: &owners[grant.owner])
  }

  private static func add(_ change: Int, to count: inout Int?) {
    let sum = (count ?? 0) + change
    count = sum == 0 ? nil : sum
  }

  // MARK: Questions

  /// What `grantee` may do with a buffer of `owner`; nil: nothing.
  func access(of grantee: Party, to id: BufferID, named name: PeerName?, of owner: Party) -> BufferAccess? {
    all(for: id, named: name, of: owner, to: grantee).map(\.access).max()
  }

  /// How `grantee` may read a buffer: the most that a grant says; nil: as its VMM allows.
  func form(for grantee: Party, reading id: BufferID, named name: PeerName?, of owner: Party) -> ReadForm? {
    let forms = all(for: id, named: name, of: owner, to: grantee).map(\.form)
    if forms.contains(.shared) { return .shared }
    return forms.contains(nil) ? nil : .shadow
  }

  private func all(
    for id: BufferID, named name: PeerName?, of owner: Party, to grantee: Party
  ) -> [GrantRecord] {
    guard isAny(from: owner, to: grantee) else { return [] }
    return [.id(id), name.map { .name($0) }, .everything].compactMap { object in
      object.flatMap { numbers[Key(target: Target(owner: owner, object: $0), grantee: grantee)] }.flatMap { grants[$0] }
    }
  }

  /// Whether `grantee` may see that screen of `owner`. What a grant of everything opens are buffers.
  func opens(_ scanout: ScanoutIndex, of owner: Party, to grantee: Party) -> Bool {
    numbers[Key(target: Target(owner: owner, object: .scanout(scanout)), grantee: grantee)] != nil
  }

  /// Whether `owner` has granted `grantee` anything.
  func isAny(from owner: Party, to grantee: Party) -> Bool { pairs[Pair(owner: owner, grantee: grantee)] != nil }

  /// Whether somebody may use that buffer.
  func covers(_ id: BufferID, named name: PeerName?, of owner: Party) -> Bool {
    guard owners[owner] != nil else { return false }
    return targets[Target(owner: owner, object: .id(id))] != nil
      || targets[Target(owner: owner, object: .everything)] != nil
      || name.map { targets[Target(owner: owner, object: .name($0))] != nil } ?? false
  }

  /// The grants for that one buffer, which end with it.
  func grants(for id: BufferID, of owner: Party) -> [GrantID] {
    guard targets[Target(owner: owner, object: .id(id))] != nil else { return [] }
    return grants.values.filter { $0.owner == owner && $0.object == .id(id) }.map(\.id)
  }
}

extension Refusal {
  /// What is not there, is not to be known of, or is not permitted: one answer for all.
  static let noSuchBuffer = Refusal(.notFound, reason: "no such buffer")
  /// The same of screens.
  static let noSuchScreen = Refusal(.notFound, reason: "no such screen")

  static func overLimit(_ reason: String) -> Refusal { Refusal(.overLimit, reason: reason) }
}

extension Party {
  /// Short enough for a reason that names two.
  var briefly: String {
    let text = description
    return text.utf8.count <= 40 ? text : String(text.prefix(30)) + "..."
  }
}
