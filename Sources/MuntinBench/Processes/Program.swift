import Glibc
import Platform

/// A program that was started to be measured, ended with this object.
final class Program {
  let name: String
  let pid: pid_t
  private var isEnded = false

  /// Starts it, with more in its environment; what it prints goes to `log`.
  init(
    _ path: String, _ arguments: [String], environment more: [String] = [], log: String
  ) throws(BenchError) {
    name = path
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var words = ([path] + arguments).map { strdup($0) } + [nil]
    defer { words.forEach { free($0) } }
    // The first of a name is what counts.
    let additions = more.map { strdup($0) }
    defer { additions.forEach { free($0) } }
    var variables = additions
    var next = environ
    while let variable = next.pointee {
      variables.append(variable)
      next += 1
    }
    variables.append(nil)
    var pid: pid_t = 0
    let failure = posix_spawnp(&pid, path, &actions, nil, &words, &variables)
    guard failure == 0 else { throw .program(path, SystemError(call: "start", code: failure).description) }
    self.pid = pid
  }

  deinit {
    end()
  }

  /// What it has used so far.
  var usage: ProcessUsage { ProcessUsage(pid: pid) }

  /// Asks it to end and waits for it; after two seconds it has no choice.
  func end() {
    guard !isEnded else { return }
    isEnded = true
    kill(pid, SIGTERM)
    for _ in 0..<200 {
      if waitpid(pid, nil, WNOHANG) != 0 { return }
      usleep(10_000)
    }
    kill(pid, SIGKILL)
    waitpid(pid, nil, 0)
  }
}

/// A folder for sockets and logs, removed with this object.
final class WorkFolder {
  let path: String
  private var count = 0

  init() throws(BenchError) {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/muntin-bench-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw .system(.last("mkdtemp \(parent)")) }
    path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress.unsafelyUnwrapped) }
  }

  deinit {
    for name in TextFile.names(in: path) { unlink("\(path)/\(name)") }
    rmdir(path)
  }

  /// A path that nobody uses yet.
  func newPath(_ suffix: String) -> String {
    count += 1
    return "\(path)/\(count).\(suffix)"
  }

  /// Waits until somebody listens there.
  func waitForSocket(_ socket: String, of program: Program) throws(BenchError) {
    for _ in 0..<1000 {
      if Self.isListening(socket) { return }
      if waitpid(program.pid, nil, WNOHANG) != 0 { throw .program(program.name, "ended before it listened") }
      usleep(5000)
    }
    throw .program(program.name, "does not listen")
  }

  /// Whether the kernel's table has the path with the flag of a listening socket: some programs serve only the first
  /// connection, so trying is no way to find out.
  private static func isListening(_ socket: String) -> Bool {
    TextFile.read("/proc/net/unix").split(separator: "\n").contains { line in
      let words = line.split(separator: " ")
      return words.count > 7 && words[3] == "00010000" && words[7] == socket
    }
  }
}
