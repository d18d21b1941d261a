import Glibc
import Platform

/// The built `muntin`, run as a user runs it.
public final class Program {
  /// Its process id.
  public let pid: Int32
  private let folder: ScratchFolder

  /// How a run ended and what it printed.
  public struct Result {
    /// The exit code, or the signal that ended it as a negative number.
    public let code: Int32
    /// What it printed.
    public let output: String, errors: String
  }

  /// Beside the test's own executable.
  public static let path: String = {
    let own = (try? readLink("/proc/self/exe")) ?? ""
    return own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/muntin"
  }()

  /// Where a symbolic link leads to.
  public static func readLink(_ path: String) throws -> String {
    var room = [CChar](repeating: 0, count: 4096)
    let count = readlink(path, &room, room.count)
    guard count > 0 else { throw SystemError.last("readlink") }
    return String(decoding: room[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Starts it.
  public init(_ arguments: [String], program: String = path, environment: [String] = []) throws {
    folder = try ScratchFolder()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    let flags = O_WRONLY | O_CREAT | O_TRUNC
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, "\(folder.path)/output", flags, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, "\(folder.path)/errors", flags, 0o600)
    let words = ([program] + arguments).map { strdup($0) } + [nil]
    let variables = (["PATH=/usr/bin:/bin", "SWIFT_BACKTRACE=enable=no"] + environment).map { strdup($0) } + [nil]
    defer { (words + variables).forEach { free($0) } }
    var pid: pid_t = 0
    let failure = posix_spawn(&pid, program, &actions, nil, words, variables)
    guard failure == 0 else { throw SystemError(call: "posix_spawn \(program)", code: failure) }
    self.pid = pid
  }

  /// Runs the program to its end.
  public static func run(_ arguments: String..., environment: [String] = []) throws -> Result {
    try Program(arguments, environment: environment).wait()
  }

  /// Waits for the end.
  public func wait() -> Result {
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    let code = status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F)
    return Result(code: code, output: text("output"), errors: text("errors"))
  }

  /// What it has said so far on standard error.
  public var errorsSoFar: String { text("errors") }

  /// Sends it a signal.
  public func signal(_ number: Int32) {
    kill(pid, number)
  }

  private func text(_ name: String) -> String {
    guard let file = fopen("\(folder.path)/\(name)", "r") else { return "" }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = fread(&chunk, 1, chunk.count, file)
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<count]
    }
  }
}

/// Tries until it holds, at most 10 s: for what other processes do.
public func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
  for _ in 0..<500 {
    if try condition() { return true }
    usleep(20_000)
  }
  return false
}
