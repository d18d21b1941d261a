import Glibc
import Hub
import Logging

/// A hub in a process of its own, for tests that kill it.
@main
struct HubUnderTest {
  static func main() {
    guard CommandLine.arguments.count == 2 else { exit(2) }
    var logger = Logger(label: "hub")
    logger.logLevel = .critical
    do {
      try HubProcess(socketPath: CommandLine.arguments[1], logger: logger).run()
    } catch {
      exit(1)
    }
  }
}
