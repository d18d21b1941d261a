import Glibc
import Platform

/// The files of Unix sockets: their folders, what an earlier run left behind, and when a socket appears.
enum SocketFiles {
  /// Makes the folder that a socket is to stand in (for this user only), if it is not there.
  static func makeFolder(for path: String) throws(SupervisorError) {
    let folder = TextFile.folder(of: path)
    if mkdir(folder, 0o700) == 0 || errno == EEXIST { return }
    throw .folder(folder, .last("mkdir"))
  }

  /// Removes a socket file that nobody listens on; one in use, or another kind of file, is an error.
  static func clear(_ path: String, kind: UnixSocket.Kind) throws(SupervisorError) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path) }
    do {
      _ = try UnixSocket.connect(path: path, kind: kind)
    } catch  where error.code == ECONNREFUSED {
      unlink(path)
      return
    } catch {
      // Somebody listens, if perhaps in another way.
    }
    throw .socketInUse(path)
  }

  static func exists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
  }
}

/// Calls back when a socket file appears, by inotify.
final class SocketWaiter {
  private let notifications: SharedDescriptor
  private var waiting: [(path: String, action: () -> Void)] = []

  init(loop: EventLoop) throws(SystemError) {
    let raw = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
    guard raw >= 0 else { throw .last("inotify_init1") }
    notifications = SharedDescriptor(FileDescriptor(adopting: raw))
    _ = try loop.watch(raw, for: .readable) { [self] _ in check() }
  }

  /// Calls `action` once the socket is there: at once when it is there already.
  func wait(for path: String, _ action: @escaping () -> Void) throws(SystemError) {
    let folder = TextFile.folder(of: path)
    guard inotify_add_watch(notifications.raw, folder, UInt32(IN_CREATE | IN_MOVED_TO)) >= 0 else {
      throw .last("inotify_add_watch \(folder)")
    }
    if SocketFiles.exists(path) { action() } else { waiting.append((path, action)) }
  }

  private func check() {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while read(notifications.raw, &buffer, buffer.count) > 0 {}
    let candidates = waiting
    waiting = candidates.filter { !SocketFiles.exists($0.path) }
    for candidate in candidates where SocketFiles.exists(candidate.path) { candidate.action() }
  }
}
