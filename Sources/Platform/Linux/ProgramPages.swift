import CLinux

/// The pages of code and constants that this process has mapped from the program's and its libraries' files.
public enum ProgramPages {
  /// Gives them back: what only start-up used does not stay resident, what is used again comes from the page cache.
  ///
  /// A process per VM multiplies everything, and most of what a start touches (reading arguments, making metadata) is
  /// not used again.
  public static func release() {
    muntin_release_program_pages()
  }

  /// Gives them back once, when a start or a connection that begins now will be over.
  @discardableResult
  public static func release(on loop: EventLoop) -> EventLoop.TimerToken {
    loop.schedule(after: .seconds(1)) { release() }
  }
}
