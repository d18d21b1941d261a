import Glibc

/// What this process has of the machine's memory for itself alone. POSIX has no way to ask.
public final class ProcessMemory {
  /// Fails.
  public init() throws(SystemError) { throw SystemError(call: "the process's memory", code: ENOTSUP) }

  /// Nothing.
  public var ownByteCount: Int { 0 }

  /// Nothing.
  public func limitGrowth(to byteCount: Int) throws(SystemError) {}

  /// Nothing.
  public func giveBackFree() {}
}
