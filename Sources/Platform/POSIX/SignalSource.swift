import CPOSIX
import Glibc

/// Signals as something to read: a handler writes their numbers into a pipe.
final class SignalSource {
  /// Readable while signals wait.
  var descriptor: SharedDescriptor { pipe.waiting }

  private let pipe: Doorbell
  private let signals: [Int32]

  /// Takes the signals over for this process, until it goes.
  init(_ signals: [Int32]) throws(SystemError) {
    pipe = try Doorbell()
    self.signals = signals
    guard muntin_catch_signals(signals, Int32(signals.count), pipe.ringing.raw) == 0 else { throw .last("sigaction") }
  }

  deinit {
    muntin_release_signals(signals, Int32(signals.count))
  }

  /// The next signal that has come; nil when none waits.
  func next() -> Int32? {
    var number: UInt8 = 0
    return retryingInterrupts { read(descriptor.raw, &number, 1) } == 1 ? Int32(number) : nil
  }
}
