import Glibc
import Platform

/// Sees to it that one `muntin up` at a time has a hub socket: a locked file beside the socket.
final class UpLock {
  private let path: String
  private var file: SharedDescriptor?

  /// Takes the lock, or says who has it.
  init(hubSocket: String) throws(SupervisorError) {
    path = hubSocket + ".up"
    let file = try Self.lock(path, hubSocket)
    ftruncate(file.raw, 0)
    let text = Array("\(getpid())\n".utf8)
    _ = pwrite(file.raw, text, text.count, 0)
    self.file = file
  }

  deinit { release() }

  /// Lets the next one in.
  func release() {
    if file != nil { unlink(path) }
    file = nil
  }

  /// Opens and locks the file that is at `path` in the end: an owner that leaves removes its own.
  private static func lock(_ path: String, _ hubSocket: String) throws(SupervisorError) -> SharedDescriptor {
    while true {
      let raw = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
      guard raw >= 0 else { throw .system(.last("open \(path)")) }
      let file = SharedDescriptor(FileDescriptor(adopting: raw))
      guard flock(raw, LOCK_EX | LOCK_NB) == 0 else {
        guard errno == EWOULDBLOCK else { throw .system(.last("flock \(path)")) }
        throw .alreadyRunning(socket: hubSocket, process: owner(raw))
      }
      if isSameFile(raw, path) { return file }
    }
  }

  private static func isSameFile(_ raw: Int32, _ path: String) -> Bool {
    var opened = stat()
    var named = stat()
    return fstat(raw, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino
      && opened.st_dev == named.st_dev
  }

  private static func owner(_ raw: Int32) -> Int32? {
    var text = [UInt8](repeating: 0, count: 16)
    let count = pread(raw, &text, text.count, 0)
    guard count > 0 else { return nil }
    return Int32(String(decoding: text[..<count].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
  }
}
