import Foundation
import Glibc
import Platform
import Testing

/// A folder of its own, removed at the end with all in it.
final class Folder {
  let path: String

  init() {
    var template = Array("/tmp/muntin-library-XXXXXX".utf8CString)
    path = template.withUnsafeMutableBufferPointer { $0.baseAddress.map { String(cString: mkdtemp($0)) } ?? "" }
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A process that ends all programs of these tests when the tests end in whichever way, killed included: it reads a pipe
/// that only they hold, and the programs are in its process group.
private let groupOfPrograms: pid_t = {
  var pipe: [Int32] = [-1, -1], actions = posix_spawn_file_actions_t(), attributes = posix_spawnattr_t()
  _ = Glibc.pipe(&pipe)
  for end in pipe { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
  posix_spawn_file_actions_init(&actions)
  posix_spawn_file_actions_adddup2(&actions, pipe[0], 0)
  posix_spawnattr_init(&attributes)
  posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
  let words = ["sh", "-c", "cat; kill -9 0"].map { (word: String) in strdup(word) } + [nil]
  var pid: pid_t = 0
  posix_spawn(&pid, "/bin/sh", &actions, &attributes, words, environ)
  words.forEach { free($0) }
  posix_spawn_file_actions_destroy(&actions)
  posix_spawnattr_destroy(&attributes)
  close(pipe[0])
  return pid
}()

/// A program that runs, and what it has said on both of its outputs.
final class Running {
  private let pid: pid_t
  private let said: String
  private var status: Int32?

  init(_ program: String, _ arguments: [String], in folder: String, environment: [String: String] = [:]) throws {
    said = "\(folder)/said-\(UUID().uuidString)"
    let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let words = (["sh", "-c", #"cd "$0" && exec "$@""#, folder, program] + arguments).map { strdup($0) } + [nil]
    let settings = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
    var actions = posix_spawn_file_actions_t(), attributes = posix_spawnattr_t(), signals = sigset_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      (words + settings).forEach { free($0) }
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, said, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    // The threads that tests run on block signals; a program does not expect that of its parent.
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    posix_spawnattr_setpgroup(&attributes, groupOfPrograms)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
    var pid: pid_t = 0
    try #require(posix_spawn(&pid, "/bin/sh", &actions, &attributes, words, settings) == 0, "\(program)")
    self.pid = pid
  }

  deinit {
    if !hasEnded { kill(SIGKILL) }
  }

  var output: String { (try? String(contentsOfFile: said, encoding: .utf8)) ?? "" }
  var lines: [String] { output.split(separator: "\n").map(String.init) }

  func kill(_ signal: Int32) {
    guard !hasEnded else { return }
    Glibc.kill(pid, signal)
    while signal == SIGKILL && !hasEnded { usleep(1000) }
  }

  private var hasEnded: Bool {
    var word: Int32 = 0
    if status == nil, waitpid(pid, &word, WNOHANG) == pid {
      status = word & 0x7f == 0 ? word >> 8 & 0xff : -(word & 0x7f)
    }
    return status != nil
  }

  /// Waits until it has said so.
  func wait(for text: String, count: Int = 1, source: SourceLocation = #_sourceLocation) throws {
    let deadline = MonotonicTime.now + .seconds(30)
    while output.components(separatedBy: text).count <= count {
      try #require(MonotonicTime.now < deadline, "no \"\(text)\" in:\n\(output)", sourceLocation: source)
      usleep(10_000)
    }
  }

  /// Waits for its end: its exit status, or minus the signal.
  func end(source: SourceLocation = #_sourceLocation) throws -> Int32 {
    let deadline = MonotonicTime.now + .seconds(30)
    while !hasEnded {
      try #require(MonotonicTime.now < deadline, "it does not end:\n\(output)", sourceLocation: source)
      usleep(10_000)
    }
    return try #require(status)
  }
}

/// libmuntin as `make install` leaves it, and the examples built against it as a user builds them.
struct Installed: Sendable {
  /// Beside the programs that were built with these tests.
  let prefix: String
  var producer: String { prefix + "/producer" }
  var consumer: String { prefix + "/consumer" }
  var environment: [String: String] {
    ["PKG_CONFIG_PATH": prefix + "/lib/pkgconfig", "LD_LIBRARY_PATH": prefix + "/lib", "PREFIX": prefix]
  }

  static let project = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path
  /// The programs that were built with these tests are beside them.
  static let built = ((try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "")
    .split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")

  static let usual = Result { try Installed("installed") }
  /// The same with what POSIX alone has.
  static let posix = Result { try Installed("installed-posix", make: "CPPFLAGS=-DMUNTIN_POSIX") }
  static let sanitized = Result {
    let flags = "-g -fsanitize=address,undefined -fno-sanitize-recover=all"
    return try Installed("installed-sanitized", make: "CFLAGS='\(flags)'", flags: flags)
  }

  private init(_ name: String, make: String = "", flags: String = "-O2") throws {
    prefix = "\(Self.built)/libmuntin-\(name)"
    try? FileManager.default.removeItem(atPath: prefix)
    try FileManager.default.createDirectory(atPath: prefix, withIntermediateDirectories: true)
    try run("make -s -C \(Self.project)/Library install PREFIX=\(prefix) O=\(prefix)/objects \(make)")
    let strict = "cc -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Werror \(flags)"
    let examples = prefix + "/share/doc/muntin/examples"
    try run("\(strict) \(examples)/producer.c $(pkg-config --cflags --libs muntin) -o producer")
    try run("\(strict) \(examples)/consumer.c $(pkg-config --cflags --libs muntin libpng) -o consumer")
  }

  /// Runs a shell command that must succeed; what it said.
  @discardableResult
  func run(
    _ command: String, _ more: [String: String] = [:], source: SourceLocation = #_sourceLocation
  ) throws -> String {
    let shell = try Running(
      "/bin/bash", ["-euc", command], in: prefix, environment: environment.merging(more) { $1 })
    #expect(try shell.end() == 0, "\(command):\n\(shell.output)", sourceLocation: source)
    return shell.output
  }
}

/// The real hub in a process of its own, and programs that use it.
final class HubPlace {
  let installed: Installed
  let folder = Folder()
  private var hub: Running?
  var path: String { folder.path + "/hub.sock" }

  init(_ installed: Result<Installed, any Error> = Installed.usual) throws {
    self.installed = try installed.get()
    try start()
  }

  func start() throws {
    hub = try Running(Installed.built + "/muntin", ["hub", "--socket-path", path], in: folder.path)
  }

  func kill() {
    hub?.kill(SIGKILL)
    hub = nil
  }

  func producer(_ arguments: String...) throws -> Running {
    try Running(
      installed.producer, ["--hub", path, "--name", "camera", "--buffer", "front"] + arguments, in: folder.path,
      environment: installed.environment)
  }

  func consumer(_ arguments: String...) throws -> Running {
    try Running(
      installed.consumer,
      ["--hub", path, "--name", "recorder", "--owner", "application:camera", "--buffer", "front"] + arguments,
      in: folder.path, environment: installed.environment)
  }

  /// A connection of this process.
  func application(_ name: String) throws -> Application {
    let application = try Application(name, path: path)
    _ = try application.wait(.connected)
    return application
  }

  func muntin(_ arguments: String..., source: SourceLocation = #_sourceLocation) throws -> String {
    let program = try Running(
      Installed.built + "/muntin", arguments + ["--hub", path], in: folder.path)
    #expect(try program.end() == 0, "\(arguments): \(program.output)", sourceLocation: source)
    return program.output
  }
}
