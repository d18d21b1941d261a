/// A system call that is allowed: always, or where its arguments are as they should be.
public struct CallRule: Equatable, Sendable, ExpressibleByStringLiteral {
  /// A condition on one argument: `argument & mask == value`.
  public struct Condition: Equatable, Sendable {
    /// Which argument, from 0.
    public let index: UInt32
    /// The bits that are looked at.
    public let mask: UInt64
    /// What they have to be.
    public let value: UInt64
  }

  /// As the kernel calls it.
  public let name: String
  /// What must hold, all of it.
  public let conditions: [Condition]

  /// A call with conditions.
  public init(_ name: String, _ conditions: Condition...) {
    self.name = name
    self.conditions = conditions
  }

  /// A call without conditions.
  public init(stringLiteral name: String) {
    self.init(name)
  }
}

/// The kernel takes most arguments as 32 bits: what stands above is not looked at.
extension CallRule.Condition {
  /// The argument is that number.
  public static func argument(_ index: UInt32, is value: UInt32) -> Self {
    Self(index: index, mask: 0xFFFF_FFFF, value: UInt64(value))
  }

  /// The argument is that number, or negative and that number.
  public static func argument(_ index: UInt32, is value: Int32) -> Self {
    argument(index, is: UInt32(bitPattern: value))
  }

  /// None of these bits is set in the argument.
  public static func argument(_ index: UInt32, hasNoneOf bits: Int32) -> Self {
    Self(index: index, mask: UInt64(UInt32(bitPattern: bits)), value: 0)
  }

  /// No bit but these is set in the argument.
  public static func argument(_ index: UInt32, hasOnly bits: Int32) -> Self {
    Self(index: index, mask: UInt64(~UInt32(bitPattern: bits)), value: 0)
  }

  /// All of these bits are set in the argument.
  public static func argument(_ index: UInt32, hasAllOf bits: Int32) -> Self {
    let bits = UInt64(UInt32(bitPattern: bits))
    return Self(index: index, mask: bits, value: bits)
  }

  /// Of these bits those of `value` are set in the argument, and no others.
  public static func argument(_ index: UInt32, masked bits: UInt32, is value: UInt32) -> Self {
    Self(index: index, mask: UInt64(bits), value: UInt64(value))
  }

  /// The argument is no address.
  public static func argumentIsNull(_ index: UInt32) -> Self { Self(index: index, mask: .max, value: 0) }

  /// An ioctl's request is of a driver's letter (`_IOC_TYPE`).
  public static func request(of letter: Character) -> Self {
    Self(index: 1, mask: 0xFF00, value: UInt64(letter.asciiValue ?? 0) << 8)
  }
}

/// Calls that are allowed for one reason.
public struct CallGroup: Equatable, Sendable {
  /// What they are for.
  public let purpose: String
  /// The calls.
  public let rules: [CallRule]

  /// A group.
  public init(_ purpose: String, _ rules: [CallRule]) {
    self.purpose = purpose
    self.rules = rules
  }
}

/// What a process may ask the kernel for.
public struct CallPolicy: Equatable, Sendable {
  /// What is allowed, for which reason.
  public var allowed: [CallGroup]
  /// What is refused by name, with a value of errno.
  public var refused: [Refusals]
  /// What becomes of all others.
  public var others: Others

  /// What becomes of a call that is neither allowed nor refused.
  public enum Others: Sendable {
    /// It is answered as by a kernel that does not have it (ENOSYS): C libraries and drivers know older kernels, and do
    /// without.
    case missing
    /// It is allowed: no more than some calls are refused.
    case allowed
  }

  /// Calls that are refused with one answer.
  public struct Refusals: Equatable, Sendable {
    /// A value of errno.
    public let error: Int32
    /// The calls, always or with these arguments.
    public let rules: [CallRule]

    /// Calls that fail with `error`.
    public init(_ error: Int32, _ rules: [CallRule]) {
      self.error = error
      self.rules = rules
    }
  }

  /// What is allowed, and nothing else.
  public init(allowed: [CallGroup], refused: [Refusals]) {
    self.allowed = allowed
    self.refused = refused
    others = .missing
  }

  /// Everything but what is refused.
  public init(allBut refused: [Refusals]) {
    allowed = []
    self.refused = refused
    others = .allowed
  }
}
