/// Who owns buffers, and to whom they are granted.
public struct Party: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// What it is.
  public enum Kind: UInt32, Sendable, CaseIterable, CustomStringConvertible {
    case vm = 1
    case application = 2
    case display = 3

    /// The word for people and for configuration files.
    public var description: String {
      switch self {
      case .vm: "vm"
      case .application: "application"
      case .display: "display"
      }
    }
  }

  /// What it is.
  public var kind: Kind
  /// Its name among its kind.
  public var name: PeerName

  /// A party.
  public init(_ kind: Kind, _ name: PeerName) {
    self.kind = kind
    self.name = name
  }

  /// Reads "vm:alpha", "application:camera" or "display:wall"; "alpha" is a VM.
  public init?(_ text: some StringProtocol) {
    if !text.contains(":"), let name = PeerName(text) {
      self.init(.vm, name)
      return
    }
    guard let colon = text.firstIndex(of: ":"),
      let kind = Kind.allCases.first(where: { $0.description == text[..<colon] }),
      let name = PeerName(text[text.index(after: colon)...])
    else { return nil }
    self.init(kind, name)
  }

  /// What ``init(_:)`` reads, for messages.
  public static let expectation = "a VM's name, or \"vm:alpha\", \"application:camera\" or \"display:wall\""

  /// As ``init(_:)`` reads it.
  public var description: String { "\(kind):\(name)" }

  /// By kind, then by name.
  public static func < (left: Party, right: Party) -> Bool {
    (left.kind.rawValue, left.name) < (right.kind.rawValue, right.name)
  }
}

/// What a holder may do with a buffer's memory.
public enum BufferAccess: UInt32, Sendable, Comparable, CaseIterable, CustomStringConvertible {
  case read = 1
  case readWrite = 2

  /// The word for people and for configuration files.
  public var description: String {
    switch self {
    case .read: "read"
    case .readWrite: "read-write"
    }
  }

  /// Reads the word.
  public init?(_ text: some StringProtocol) {
    guard let access = Self.allCases.first(where: { $0.description == text }) else { return nil }
    self = access
  }

  /// Writing is more than reading.
  public static func < (left: BufferAccess, right: BufferAccess) -> Bool { left.rawValue < right.rawValue }
}

/// How a VM that may read a buffer gets its pixels into its guest.
public enum ReadForm: UInt32, Sendable, Comparable, CaseIterable, CustomStringConvertible {
  /// A copy of its own, which its graphics card refreshes.
  case shadow = 1
  /// The owner's memory, which the guest could write.
  case shared = 2
  /// The owner's memory, which the VMM maps for reading only.
  case readOnly = 3

  /// The word for people and for configuration files.
  public var description: String {
    switch self {
    case .shadow: "shadow"
    case .shared: "shared"
    case .readOnly: "read-only"
    }
  }

  /// By what the guest could do: see the owner's memory only through its card, read it, write it.
  public static func < (left: ReadForm, right: ReadForm) -> Bool { left.exposure < right.exposure }

  private var exposure: Int {
    switch self {
    case .shadow: 0
    case .readOnly: 1
    case .shared: 2
    }
  }

  /// The forms that a grant can ask for: ``readOnly`` is up to the VMM.
  public static let grantable: [ReadForm] = [.shadow, .shared]
}

/// A free property of a buffer: "camera" = "front".
public struct BufferProperty: Hashable, Sendable {
  /// The most that a buffer has.
  public static let maximumCount = 16
  /// Bytes of a name and of a value, each with its zero.
  static let nameByteCount = 32, valueByteCount = 96

  /// Its name: 1 to 31 bytes.
  public var name: String
  /// Its value: up to 95 bytes.
  public var value: String

  /// A property; nil when the name or the value has a length that it cannot have, or a zero in it.
  public init?(_ name: String, _ value: String) {
    guard (1..<Self.nameByteCount).contains(name.utf8.count), value.utf8.count < Self.valueByteCount,
      !name.utf8.contains(0), !value.utf8.contains(0)
    else { return nil }
    self.name = name
    self.value = value
  }
}

/// The number of a grant, above 0.
public struct GrantID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The number.
  public let rawValue: UInt64

  /// A grant by its number.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The number.
  public var description: String { String(rawValue) }

  /// In order of numbers.
  public static func < (left: GrantID, right: GrantID) -> Bool { left.rawValue < right.rawValue }
}
