import CVNC
import Logging
import Synchronization

/// What libvncserver says of itself. There is one log for the whole process.
enum VNCLog {
  typealias Sink = @Sendable (_ isError: Bool, _ line: String) -> Void
  private static let sink = Mutex<Sink?>(nil)

  /// Sends the library's lines to `sink` instead of printing them; nil drops them.
  static func route(to newSink: Sink?) {
    sink.withLock { $0 = newSink }
    guard muntin_vnc_load() != nil else { return }
    muntin_vnc_set_sink { isError, line in
      guard let line else { return }
      let text = String(decoding: UnsafeRawBufferPointer(start: line, count: VNCLog.length(line)), as: UTF8.self)
      let sink = VNCLog.sink.withLock { $0 }
      sink?(isError != 0, VNCLog.printable(text))
    }
  }

  private static func length(_ line: UnsafePointer<CChar>) -> Int {
    var count = 0
    while line[count] != 0 { count += 1 }
    return count
  }

  /// A client's bytes may be quoted in the line.
  private static func printable(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7f }))
  }
}

extension VNCLog {
  /// Sends the library's lines to a log: its reports as `debug`, its complaints as `notice`, of which a hostile client
  /// causes as many as it likes, so not all.
  static func route(to logger: Logger) {
    let limit = Mutex(RateLimit(20, per: .seconds(10)))
    route { isError, line in
      guard isError else { return logger.debug("vnc", metadata: ["says": "\(line)"]) }
      guard let suppressed = limit.withLock({ $0.admit() }) else { return }
      logger.notice("vnc", metadata: ["says": "\(line)", "suppressed": "\(suppressed)"])
    }
  }
}
