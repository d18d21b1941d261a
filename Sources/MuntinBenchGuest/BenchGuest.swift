import Buffers
import Glibc
import HubProtocol
import MuntinGuest
import Platform

/// What `muntin-bench` runs in real guests: whole frames from one VM to another, by shared memory and by the network.
///
///     muntin-bench-guest export NAME WIDTHxHEIGHT RATE     draws frame after frame into a buffer, as muntin-guest does
///     muntin-bench-guest import NAME VM ACCESS             reads every frame of it
///     muntin-bench-guest first NAME VM                     reads one frame as soon as it may
///     muntin-bench-guest send ADDRESS WIDTHxHEIGHT         draws frame after frame and sends it by TCP
///     muntin-bench-guest receive WIDTHxHEIGHT              receives and reads every frame
///     muntin-bench-guest draw WIDTHxHEIGHT                 draws and reads, and gives it to nobody
///
/// Those that read say `frames COUNT WRONG` four times a second.
@main
struct BenchGuest {
  static func main() {
    signal(SIGPIPE, SIG_IGN)
    let arguments = Array(CommandLine.arguments.dropFirst())
    do {
      try run(arguments.first ?? "", Array(arguments.dropFirst()))
    } catch {
      print("error \(error)")
      exit(1)
    }
  }

  private static func run(_ command: String, _ arguments: [String]) throws {
    switch (command, arguments.count) {
    case ("export", 3): try Sharing.export(arguments[0], try layout(arguments[1]), rate: Double(arguments[2]) ?? 30)
    case ("import", 3): try Sharing.follow(arguments[0], of: arguments[1], arguments[2])
    case ("first", 2): try Sharing.readOnce(arguments[0], of: arguments[1])
    case ("send", 2): try Network.send(to: arguments[0], try layout(arguments[1]))
    case ("receive", 1): try Network.receive(try layout(arguments[0]))
    case ("draw", 1): drawAlone(try layout(arguments[0]))
    default: throw Failure("unknown command: \(command)")
    }
  }

  private static func layout(_ text: String) throws -> PixelLayout {
    guard let size = Size(text), let layout = PixelLayout(size: size, format: .xrgb8888) else {
      throw Failure("no size: \(text)")
    }
    return layout
  }

  private static func drawAlone(_ layout: PixelLayout) -> Never {
    let picture = UnsafeMutableRawBufferPointer.allocate(byteCount: layout.byteCount, alignment: 4096)
    var count = FrameCount()
    var frame: UInt64 = 0
    while true {
      frame += 1
      FlatPicture.draw(frame, into: picture)
      count.add(isWhole: FlatPicture.isWhole(UnsafeRawBufferPointer(picture)))
    }
  }
}

/// Why something did not work.
struct Failure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// How many frames were read, said from time to time.
struct FrameCount {
  private var frames = 0, wrong = 0
  private var next = MonotonicTime.now

  mutating func add(isWhole: Bool) {
    frames += 1
    if !isWhole { wrong += 1 }
    guard MonotonicTime.now >= next else { return }
    next = .now + .milliseconds(250)
    print("frames \(frames) \(wrong)")
    fflush(nil)
  }
}
