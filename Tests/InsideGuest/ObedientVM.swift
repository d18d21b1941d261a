import Buffers
import LifeSupport

/// A virtual machine without a VMM or an operating system whose picture lies scattered in its memory.
///
/// Obeys `fill SEED`: draws what `paint` draws for that seed, and flushes it; `set X Y RRGGBB`: changes a pixel and tells
/// nobody; `drop`: gives the picture up; `reset`: starts its queues anew, as a reboot does.
struct ObedientVM {
  private let guest: SmallGuest
  private let picture: ScatteredPicture

  init(socket: String, size text: String, kind name: String) throws {
    guard let size = Size(text) else { throw Failure("no size: \(text)") }
    guard let kind = ScatteredPicture.Kind(rawValue: name) else { throw Failure("no kind of resource: \(name)") }
    guest = try SmallGuest(socket: socket)
    picture = try ScatteredPicture(of: guest, id: 1, size: size, as: kind)
  }

  func obey() throws {
    say("ok \(picture.pageCount) pages")
    while let line = readLine() {
      try obey(line.split(separator: " "))
      say("ok \(line)")
    }
  }

  private func obey(_ words: [Substring]) throws {
    let numbers = words.dropFirst().compactMap { UInt32($0) }
    switch words.first {
    case "fill" where numbers.count == 1:
      picture.fill(numbers[0])
      try picture.flush()
    case "set" where words.count == 4 && numbers.count >= 2:
      guard let colour = UInt32(words[3], radix: 16) else { throw Failure("no colour: \(words[3])") }
      picture.set(x: numbers[0], y: numbers[1], to: colour)
    case "drop": try picture.unref()
    case "reset": try guest.reset()
    default: throw Failure("unknown command: \(words.joined(separator: " "))")
    }
  }
}
