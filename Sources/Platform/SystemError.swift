import Glibc

/// A system call that failed: which one, and its `errno`.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The value of `errno`, such as `ENOENT`.
  public let code: Int32
  /// What was tried: the call's name and, where it helps, its object ("connect /run/hub.sock").
  public let call: String

  /// An error with a known code.
  public init(call: String, code: Int32) {
    self.call = call
    self.code = code
  }

  /// The error of the call that has just failed.
  public static func last(_ call: String) -> SystemError {
    SystemError(call: call, code: errno)
  }

  /// The call and the system's own words for the code.
  public var description: String {
    let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
      guard let room = buffer.baseAddress, strerror_r(code, room, buffer.count) == 0 else { return "error \(code)" }
      return String(cString: room)
    }
    return "\(call): \(text)"
  }
}

/// Repeats a call for as long as a signal interrupts it; its result, negative when it failed.
@inline(__always)
func retryingInterrupts<Result: SignedInteger>(_ call: () -> Result) -> Result {
  while true {
    let result = call()
    if result >= 0 || errno != EINTR { return result }
  }
}
