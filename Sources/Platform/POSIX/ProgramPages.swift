/// The pages of code and constants that this process has mapped from the program's and its libraries' files.
public enum ProgramPages {
  /// Gives them back, where the system has a way; POSIX has none.
  public static func release() {}

  /// Gives them back once, when a start or a connection that begins now will be over.
  @discardableResult
  public static func release(on loop: EventLoop) -> EventLoop.TimerToken? { nil }
}
