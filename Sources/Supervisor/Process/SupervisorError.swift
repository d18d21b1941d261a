import Platform

/// Why `muntin up` cannot begin.
public enum SupervisorError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Another `muntin up` has this hub socket.
  case alreadyRunning(socket: String, process: Int32?)
  /// Something listens on a socket that the configuration names.
  case socketInUse(String)
  /// A file that is no socket stands where a socket is to be.
  case notASocket(String)
  /// The folder for a socket cannot be made.
  case folder(String, SystemError)
  /// Another system call failed.
  case system(SystemError)

  /// What is wrong and what to do.
  public var description: String {
    switch self {
    case .alreadyRunning(let socket, let process):
      "another `muntin up`\(process.map { " (process \($0))" } ?? "") runs the hub at \(socket); end it first, or give "
        + "this one another [hub] socket"
    case .socketInUse(let path): "a program listens on \(path) already; end it first, or choose another socket"
    case .notASocket(let path): "\(path) is a file, not a socket; remove it, or choose another socket"
    case .folder(let folder, let error): "cannot make the folder \(folder) for a socket (\(error)); make it first"
    case .system(let error): "\(error)"
    }
  }
}
