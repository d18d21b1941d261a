import CLinux

/// The memory that this process keeps resident.
public enum ResidentMemory {
  /// Lets go of the pages that only the start needed: argument parsing, dynamic linking, formatting of help texts.
  ///
  /// A long-lived process calls it once before its loop. The kernel maps code again when it runs; nothing is lost.
  public static func releaseStartUpPages() {
    muntin_release_code_pages()
  }
}
