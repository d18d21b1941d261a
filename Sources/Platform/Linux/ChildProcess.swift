import CLinux
import Glibc

/// A program to run.
public struct ChildCommand: Equatable, Sendable {
  /// A path, or a name that is looked for in `PATH`.
  public var program: String
  /// What it is told that it is called, and what `ps` shows.
  public var name: String
  /// The arguments after the program's own name.
  public var arguments: [String]
  /// The whole environment, as "NAME=value".
  public var environment: [String]
  /// The working folder.
  public var folder: String

  /// A program with its arguments, called by its path unless another name is given.
  public init(program: String, name: String? = nil, arguments: [String], environment: [String], folder: String) {
    self.program = program
    self.name = name ?? program
    self.arguments = arguments
    self.environment = environment
    self.folder = folder
  }
}

/// How a child ended.
public enum ChildEnd: Equatable, Sendable, CustomStringConvertible {
  /// By itself, with that code.
  case exited(Int32)
  /// By a signal.
  case killed(signal: Int32)

  /// For people.
  public var description: String {
    switch self {
    case .exited(let code): "exit code \(code)"
    case .killed(let signal):
      strsignal(signal).map { "signal \(signal) (\(String(cString: $0)))" } ?? "signal \(signal)"
    }
  }
}

/// One running child, in a process group of its own (pidfd). The kernel kills it when the thread that started it ends.
///
/// Its number stays valid until ``reap()``: the kernel gives it to nobody else before that.
public final class ChildProcess {
  /// Its number.
  public let pid: Int32
  /// Readable once the child has ended.
  public let descriptor: SharedDescriptor
  /// When it was started.
  public let startTime = MonotonicTime.now
  private(set) var isReaped = false

  /// Starts the program; both its outputs go to `output`, and what it reads is `input`, or nothing.
  public init(_ command: ChildCommand, output: Int32, input: Int32 = -1) throws(SystemError) {
    let pid = Self.spawn(command, output, input)
    guard pid > 0 else { throw .last("start \(command.program)") }
    let raw = muntin_pidfd_open(pid)
    guard raw >= 0 else {
      let failure = SystemError.last("pidfd_open")
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
      throw failure
    }
    self.pid = pid
    descriptor = SharedDescriptor(FileDescriptor(adopting: raw))
  }

  deinit {
    guard !isReaped else { return }
    kill(-pid, SIGKILL)
    waitpid(pid, nil, 0)
  }

  /// Sends a signal to the child and to what it started in its group.
  public func signal(_ number: Int32) {
    guard !isReaped else { return }
    kill(-pid, number)
  }

  /// Takes the child's end and ends what is left of its group; nil while it runs.
  public func reap() -> ChildEnd? {
    guard !isReaped, hasEnded else { return nil }
    kill(-pid, SIGKILL)
    var code: Int32 = 0
    var signal: Int32 = 0
    isReaped = true
    guard muntin_reap(pid, &code, &signal) > 0 else { return .exited(-1) }
    return signal == 0 ? .exited(code) : .killed(signal: signal)
  }

  private var hasEnded: Bool {
    var poll = pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0)
    return Glibc.poll(&poll, 1, 0) > 0
  }

  private static func spawn(_ command: ChildCommand, _ output: Int32, _ input: Int32) -> Int32 {
    let arguments = CStringArray([command.name] + command.arguments)
    let environment = CStringArray(command.environment)
    return command.program.withCString { program in
      command.folder.withCString { folder in
        var what = muntin_spawn(
          program: program, arguments: arguments.pointers, environment: environment.pointers, folder: folder,
          output: output, input: input)
        return muntin_spawn(&what)
      }
    }
  }
}

/// A NULL-terminated array of C strings.
private final class CStringArray {
  let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  private let count: Int

  init(_ strings: [String]) {
    count = strings.count
    pointers = .allocate(capacity: strings.count + 1)
    for (index, string) in strings.enumerated() { pointers[index] = strdup(string) }
    pointers[strings.count] = nil
  }

  deinit {
    for index in 0..<count { free(pointers[index]) }
    pointers.deallocate()
  }
}
