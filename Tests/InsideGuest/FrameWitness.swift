import Buffers
import Glibc
import HubProtocol
import MuntinGuest
import Platform

/// Follows a buffer that shows the pattern of `muntin-guest export`, whose every pixel says which frame it belongs to, and
/// judges each frame that it is told of: it is whole, stays so until it was said to be read, and is none of before.
///
/// Says `frame GENERATION JUDGED OVERTAKEN` from time to time, `away REASON` when there is no buffer, and goes on when there
/// is one again; and `WRONG ...` of what should never be.
final class FrameWitness {
  private let name: BufferName
  private let access: BufferAccess
  private var judged = 0, overtaken = 0
  private var lastLine = MonotonicTime(nanoseconds: 0)
  private var lastReason = ""
  /// The last frame of this lease.
  private var last: UInt64?

  init(name: String, owner: String, access: String) throws {
    guard let name = PeerName(name), let owner = PeerName(owner), let access = BufferAccess(access) else {
      throw Failure("no buffer: \(name) of \(owner) for \(access)")
    }
    self.name = .name(name, owner: Party(.vm, owner))
    self.access = access
  }

  func watch() -> Never {
    while true {
      do throws(GuestError) {
        try follow()
      } catch {
        if "\(error)" != lastReason { say("away \(error)") }
        lastReason = "\(error)"
      }
      usleep(200_000)
    }
  }

  private func follow() throws(GuestError) {
    let importer = try Importer(name, access: access, try Conversation(try GraphicsCard.open(nil)))
    last = nil
    var next = try importer.nextUpdate(until: .now + .seconds(3600))
    lastReason = ""
    while let update = next {
      next = try judge(update, importer)
      try importer.done()
      if next == nil { next = try importer.nextUpdate(until: .now + .seconds(3600)) }
    }
  }

  /// Looks at a frame twice.
  ///
  /// - Returns: the next update, if it has come already.
  private func judge(_ update: BufferUpdate, _ importer: Importer) throws(GuestError) -> BufferUpdate? {
    let picture = [UInt8](importer.bytes)
    let frame = Self.frame(of: picture)
    let flaw = Self.flaw(of: picture, frame, importer.info.buffer.layout)
    guard flaw == nil, [UInt8](importer.bytes) == picture else {
      return try excuse(update, flaw ?? "it changed", importer)
    }
    let next = try importer.nextUpdate(until: .now + .milliseconds(20))
    judged += 1
    checkAge(frame, update)
    report(update.generation)
    return next
  }

  /// A picture may change while it is looked at only when its owner has lost patience, and tells of the next one; or when it
  /// is being taken away, which ends this lease.
  private func excuse(
    _ update: BufferUpdate, _ flaw: String, _ importer: Importer
  ) throws(GuestError) -> BufferUpdate? {
    let next = try importer.nextUpdate(until: .now + .seconds(5))
    overtaken += 1
    if next == nil { say("WRONG generation \(update.generation) of \(name): \(flaw)") }
    return next
  }

  /// Frames rise with generations: an update that has damage is another frame, and none is one of before.
  private func checkAge(_ frame: UInt64, _ update: BufferUpdate) {
    guard let last else { return self.last = frame }
    self.last = frame
    let age = (last &- frame) & 255
    if age == 0 ? !update.damage.isEmpty : age < 128 {
      say("WRONG generation \(update.generation) of \(name): a frame that is older by \(age), damage \(update.damage)")
    }
  }

  private func report(_ generation: UInt64) {
    guard MonotonicTime.now - lastLine > .milliseconds(200) else { return }
    lastLine = .now
    say("frame \(generation) \(judged) \(overtaken)")
  }

  // MARK: The pattern

  /// The number of a frame, modulo 256, by its first pixel.
  private static func frame(of picture: [UInt8]) -> UInt64 {
    // 173 * 37 = 1 modulo 256
    UInt64(picture[0]) &* 173 & 255
  }

  private static func flaw(of picture: [UInt8], _ frame: UInt64, _ layout: PixelLayout) -> String? {
    let seed = UInt32(frame &* 37 & 255)
    return picture.withUnsafeBytes { bytes in
      for y in 0..<layout.size.height {
        for x in 0..<layout.size.width {
          let pixel = bytes.loadUnaligned(fromByteOffset: layout.byteOffset(x: x, y: y), as: UInt32.self)
          let blue = (16 &* (x / 256) &+ y / 256 &+ seed) & 255
          let expected = (x & 255) << 16 | (y & 255) << 8 | blue
          if pixel & 0xff_ffff != expected { return "pixel \(x) \(y) is not of frame \(frame)" }
        }
      }
      return nil
    }
  }
}
