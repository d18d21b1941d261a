import CLinux

/// Signals as something to read (signalfd).
final class SignalSource {
  /// Readable while signals wait.
  let descriptor: FileDescriptor

  /// Takes the signals over for this thread.
  init(_ signals: [Int32]) throws(SystemError) {
    let raw = muntin_signalfd(signals, Int32(signals.count))
    guard raw >= 0 else { throw .last("signalfd") }
    descriptor = FileDescriptor(adopting: raw)
  }

  /// The next signal that has come; nil when none waits.
  func next() -> Int32? {
    let signal = muntin_next_signal(descriptor.raw)
    return signal == 0 ? nil : signal
  }
}
