import Platform

/// Why a measurement cannot be made.
enum BenchError: Error, CustomStringConvertible {
  /// A system call failed.
  case system(SystemError)
  /// A program could not be started, or did not listen.
  case program(String, String)
  /// Talking vhost-user failed.
  case frontend(String)
  /// The device answered something else than OK.
  case refused(command: String, response: UInt32)
  /// Nothing came back in time.
  case timedOut(String)
  /// Guest memory, or a ring, is too small for the measurement.
  case noRoom(String)

  var description: String {
    switch self {
    case .system(let error): error.description
    case .program(let name, let reason): "\(name): \(reason)"
    case .frontend(let reason): "vhost-user: \(reason)"
    case .refused(let command, let response): "\(command) was answered 0x\(String(response, radix: 16))"
    case .timedOut(let what): "timed out: \(what)"
    case .noRoom(let what): "no room for \(what)"
    }
  }
}

/// Runs a system call wrapper, its error turned into ours.
@discardableResult
func system<Value: ~Copyable>(_ body: () throws(SystemError) -> Value) throws(BenchError) -> Value {
  do { return try body() } catch { throw .system(error) }
}
