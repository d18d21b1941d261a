import Buffers
import HubProtocol

/// Where a display's frames go.
public protocol Output: AnyObject {
  /// The memory that frames are composed in.
  var frame: FrameMemory { get }
  /// What it is, for people: "vnc 127.0.0.1:5901".
  var label: String { get }
  /// The frame holds a new picture, which differs from the one before in `damage`.
  func present(_ damage: Region)
}

/// A display that nobody looks at but by screenshots.
public final class HeadlessOutput: Output {
  /// The memory that frames are composed in.
  public let frame: FrameMemory
  /// "headless".
  public let label = "headless"

  /// A display with that frame.
  public init(frame: FrameMemory) {
    self.frame = frame
  }

  /// Nothing has to be done: readers look at the frame itself.
  public func present(_ damage: Region) {}
}

/// Which output a display has, as a user names it.
public enum OutputKind: Hashable, Sendable {
  /// Only the frame in memory.
  case headless
  /// A VNC server.
  case vnc(VNCAddress)

  /// Reads "headless", "vnc", "vnc=ADDRESS[:PORT]".
  public init(parsing text: String) throws(CompositorError) {
    switch text {
    case "headless": self = .headless
    case "vnc": self = .vnc(.standard)
    default:
      guard text.hasPrefix("vnc=") else { throw .unknownOutput(text) }
      self = .vnc(try VNCAddress(parsing: String(text.dropFirst(4))))
    }
  }
}
