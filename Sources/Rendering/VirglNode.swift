import Glibc

/// The render node that the library is told to use. It asks for descriptors by a callback, and closes them itself.
enum VirglNode {
  nonisolated(unsafe) static var path: String?

  /// A descriptor for the library to keep; -1 where there is no node.
  static func open() -> Int32 {
    guard let path else { return -1 }
    return Glibc.open(path, O_RDWR | O_CLOEXEC)
  }

  /// 0 where the node can be opened, else the value of `errno`.
  static func check(_ path: String) -> Int32 {
    let descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { return errno }
    close(descriptor)
    return 0
  }
}
