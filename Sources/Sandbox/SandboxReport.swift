import Platform

/// What of a sandbox is in force.
public struct SandboxReport: Equatable, Sendable {
  /// A part of it.
  public enum Part: Equatable, Sendable, CustomStringConvertible {
    /// In force; how much of it, in words.
    case inForce(String)
    /// The kernel does not have it, or refuses; why.
    case missing(String)

    /// For the log.
    public var description: String {
      switch self {
      case .inForce(let what): what
      case .missing(let reason): "none: \(reason)"
      }
    }

    /// Whether it is in force.
    public var isInForce: Bool {
      if case .inForce = self { true } else { false }
    }
  }

  /// System calls (seccomp).
  public var calls: Part
  /// Files and networks (Landlock).
  public var files: Part

  /// What there is.
  public init(calls: Part, files: Part) {
    self.calls = calls
    self.files = files
  }

  /// Whether nothing is missing.
  public var isWhole: Bool { calls.isInForce && files.isInForce }
}

/// Why a process cannot shut itself in.
public enum SandboxError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A call that every kernel has failed.
  case system(SystemError)
  /// libseccomp refuses a rule, or the kernel the filter.
  case filter(String, code: Int32)

  /// What is wrong.
  public var description: String {
    switch self {
    case .system(let error): "\(error)"
    case .filter(let step, let code): "the filter of system calls: \(step) (errno \(code))"
    }
  }
}
