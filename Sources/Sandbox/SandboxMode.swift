/// Whether a process shuts itself in.
public enum SandboxMode: String, CaseIterable, Sendable {
  /// It does.
  case on
  /// It does, and says on standard error which calls it was refused.
  case log
  /// It does not.
  case off
}
