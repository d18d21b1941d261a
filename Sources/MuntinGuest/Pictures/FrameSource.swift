import Buffers
import Glibc

/// Where the pixels of an exported buffer come from.
public enum FrameSource: Equatable, Sendable {
  /// A moving pattern; it stands still after so many frames.
  case pattern(frames: UInt64?)
  /// One colour after the other: for measuring.
  case flat
  /// A file, which is read again whenever it has changed.
  case file(PictureFile)
}

/// Draws one frame after the other.
struct FrameDrawing {
  /// What tells one state of a file from another.
  private struct FileState: Equatable {
    let device: UInt64, number: UInt64, byteCount: Int, seconds: Int, nanoseconds: Int
  }

  private let source: FrameSource
  private let layout: PixelLayout
  private var frame: UInt64 = 0
  private var state: FileState?
  private var shown: Pixels?
  /// What of each image is older than what is shown.
  private var stale: [DamagedArea]

  init(_ source: FrameSource, _ layout: PixelLayout, images: Int = 1) {
    self.source = source
    self.layout = layout
    stale = Array(repeating: DamagedArea(), count: images)
  }

  /// The memory is new: what was drawn is to be drawn again.
  mutating func startAgain() {
    frame = max(frame, 1) - 1
    shown = nil
  }

  /// Whether nothing new will ever come.
  var isFinished: Bool {
    guard case .pattern(let frames?) = source else { return false }
    return frame >= frames
  }

  /// Draws what is new into an image, which is brought up to date by that; what is new. Nil: nothing is.
  mutating func draw(
    into bytes: UnsafeMutableRawBufferPointer, image: Int = 0
  ) throws(GuestError) -> Rectangle? {
    switch source {
    case .pattern(let frames):
      guard frame < frames ?? .max else { return nil }
      frame += 1
      Pattern.draw(frame, into: bytes, layout)
      return Rectangle(layout.size)
    case .flat:
      frame += 1
      FlatPicture.draw(frame, into: bytes)
      return Rectangle(layout.size)
    case .file(let file): return try draw(file, into: bytes, image)
    }
  }

  private mutating func draw(
    _ file: PictureFile, into bytes: UnsafeMutableRawBufferPointer, _ image: Int
  ) throws(GuestError) -> Rectangle? {
    let now = Self.state(of: file.path)
    guard shown == nil || now != nil && now != state else { return nil }
    guard let pixels = try pixels(of: file) else { return nil }
    let damage = shown.map { pixels.difference(from: $0) } ?? Rectangle(layout.size)
    state = now
    shown = pixels
    guard let damage else { return nil }
    for index in stale.indices { stale[index].add(damage) }
    for part in stale[image].rectangles { pixels.store(part, into: bytes, layout) }
    stale[image] = DamagedArea()
    return damage
  }

  /// Nil: the file was read before, and cannot be now; it may be half written.
  private func pixels(of file: PictureFile) throws(GuestError) -> Pixels? {
    do throws(GuestError) {
      return try file.read(layout.size, layout.format)
    } catch {
      guard shown == nil else { return nil }
      throw error
    }
  }

  private static func state(of path: String) -> FileState? {
    var found = stat()
    guard stat(path, &found) == 0 else { return nil }
    return FileState(
      device: UInt64(found.st_dev), number: UInt64(found.st_ino), byteCount: Int(found.st_size),
      seconds: found.st_mtim.tv_sec, nanoseconds: found.st_mtim.tv_nsec)
  }
}
