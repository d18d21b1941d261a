import Buffers
import Glibc
import LifeSupport

/// What a test runs inside a guest, which has what the machine of the tests lacks: /dev/udmabuf and graphics drivers.
///
///     InsideGuest vm SOCKET WIDTHxHEIGHT        a virtual machine that shows a picture in its own pages
///     InsideGuest display HUB USE:DRIVER...     a display that gives the dma-bufs it is shown to drivers of the kernel
///
/// Both obey lines of their standard input and answer each; DRIVER is one of the kernel's, USE is import or show.
@main
struct InsideGuest {
  static func main() {
    signal(SIGPIPE, SIG_IGN)
    let arguments = Array(CommandLine.arguments.dropFirst())
    do {
      switch arguments.first {
      case "vm" where arguments.count == 3: try ObedientVM(socket: arguments[1], size: arguments[2]).obey()
      case "display" where arguments.count > 2:
        try DMABufDisplay(hub: arguments[1], cards: arguments[2...].map { try Card.Use($0) }).run()
      default: throw Failure("usage: InsideGuest vm SOCKET WIDTHxHEIGHT | display HUB import:DRIVER|show:DRIVER...")
      }
    } catch {
      say("error \(error)")
      exit(1)
    }
  }
}

/// Why something did not work, for the test's log.
struct Failure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// A line for the test, at once.
func say(_ line: String) {
  print(line)
  fflush(nil)
}
