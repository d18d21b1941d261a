import ArgumentParser
import Glibc
import Logging

/// How much a process says.
struct LogOptions: ParsableArguments {
  /// The levels that can be asked for.
  enum Level: String, CaseIterable, ExpressibleByArgument {
    case trace, debug, info, notice, warning, error

    var level: Logger.Level {
      switch self {
      case .trace: .trace
      case .debug: .debug
      case .info: .info
      case .notice: .notice
      case .warning: .warning
      case .error: .error
      }
    }
  }

  @Option(
    help: ArgumentHelp(
      "How much to log on standard error.", discussion: "Default: $MUNTIN_LOG, else info.", valueName: "level"))
  var logLevel: Level?

  /// The level asked for.
  var level: Level {
    logLevel ?? getenv("MUNTIN_LOG").flatMap { Level(rawValue: String(cString: $0)) } ?? .info
  }

  /// A log on standard error.
  func logger(_ label: String, prefix: String = "") -> Logger {
    var logger = Logger(label: label) { _ in LineLogHandler(prefix: prefix) }
    logger.logLevel = level.level
    return logger
  }
}

/// Writes each message as one line: time, level, message, key=value.
struct LineLogHandler: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.info
  private let prefix: String

  init(prefix: String) {
    self.prefix = prefix
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let values = metadata.merging(event.metadata ?? [:]) { _, new in new }
    let pairs = values.sorted { $0.key < $1.key }.map { " \($0.key)=\(Self.quoted("\($0.value)"))" }
    StandardError.write("\(prefix)\(Self.now) \(event.level) \(event.message)\(pairs.joined())")
  }

  /// The value, in quotes when it would not be seen as one.
  static func quoted(_ value: String) -> String {
    let isPlain = !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\"") }
    if isPlain { return value }
    var quoted = "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"", "\\": quoted += "\\\(scalar)"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F: quoted += "?"
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }

  private static var now: String {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    var parts = tm()
    localtime_r(&time.tv_sec, &parts)
    var text = [CChar](repeating: 0, count: 32)
    let count = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S", &parts)
    let milliseconds = String(1000 + time.tv_nsec / 1_000_000).dropFirst()
    return String(decoding: text[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self) + "." + milliseconds
  }
}

/// Standard error, a whole line at a time.
enum StandardError {
  static func write(_ line: String) {
    var bytes = Array(line.utf8)
    bytes.append(UInt8(ascii: "\n"))
    var start = 0
    while start < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(2, $0.baseAddress.map { $0 + start }, $0.count - start) }
      if count < 0 && errno != EINTR { return }
      start += max(count, 0)
    }
  }
}
