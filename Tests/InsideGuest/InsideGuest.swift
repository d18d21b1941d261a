import Buffers
import Glibc
import LifeSupport

/// What a test runs inside a guest, which has what the machine of the tests lacks: /dev/udmabuf and graphics drivers.
///
///     InsideGuest vm SOCKET WIDTHxHEIGHT blob|2d       a virtual machine that shows a picture in its own pages
///     InsideGuest display HUB MEMORY USE:DRIVER...     a display that gives dma-bufs to drivers of the kernel
///     InsideGuest share SOCKET                         a virtual machine that shares a picture in its own pages
///     InsideGuest lies HUB                             a producer that says of a dma-buf what is not so
///     InsideGuest intrude ID NAME OWNER BYTES VM       a program of a VM that was granted nothing
///     InsideGuest witness NAME VM ACCESS               a program that judges each frame of another VM's pattern
///
/// The first three obey lines of their standard input and answer each. MEMORY is dma-buf or any, whether the display takes
/// nothing else, with :BYTES if rows must be multiples of that; DRIVER one of the kernel's; USE import or show.
@main
struct InsideGuest {
  static func main() {
    signal(SIGPIPE, SIG_IGN)
    let arguments = Array(CommandLine.arguments.dropFirst())
    do {
      switch arguments.first {
      case "vm" where arguments.count == 4:
        try ObedientVM(socket: arguments[1], size: arguments[2], kind: arguments[3]).obey()
      case "display" where arguments.count > 3:
        let constraints = DMABufDisplay.constraints(arguments[2])
        try DMABufDisplay(
          hub: arguments[1], constraints: constraints, cards: arguments[3...].map { try Card.Use($0) }
        ).run()
      case "share" where arguments.count == 2: try SharingVM(socket: arguments[1]).obey()
      case "lies" where arguments.count == 2: try Liar(hub: arguments[1]).lie()
      case "intrude" where arguments.count == 6: try intrude(Array(arguments.dropFirst()))
      case "witness" where arguments.count == 4:
        try FrameWitness(name: arguments[1], owner: arguments[2], access: arguments[3]).watch()
      default:
        throw Failure(
          "usage: InsideGuest vm SOCKET SIZE KIND | display HUB MEMORY USE:DRIVER... | share SOCKET | lies HUB | "
            + "intrude ID NAME OWNER BYTES VM | witness NAME VM ACCESS")
      }
    } catch {
      say("error \(error)")
      exit(1)
    }
  }

  private static func intrude(_ arguments: [String]) throws {
    let target = try Intruder.Target(
      id: arguments[0], name: arguments[1], owner: arguments[2], byteCount: arguments[3])
    let intruder = try Intruder(target, vm: arguments[4])
    try intruder.intrude()
    say("ok nothing after \(intruder.attempts) attempts")
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
