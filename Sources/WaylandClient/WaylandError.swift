import Buffers
import Platform

/// Why a window cannot be shown.
public enum WaylandError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Nothing says where a compositor listens.
  case noDisplay(String)
  /// No compositor listens there.
  case cannotConnect(SystemError)
  /// A system call failed.
  case system(SystemError)
  /// The compositor closed the connection.
  case closed
  /// The compositor does not answer.
  case silent
  /// The compositor ended the connection and says why: the object, the interface's number of the error, words.
  case refused(object: String, code: UInt32, reason: String)
  /// The compositor lacks an interface that a window needs.
  case missing(String)
  /// The compositor shows no pixels of this format.
  case unshowable(PixelFormat)
  /// Bytes that are no message of the protocol.
  case malformed(String)

  /// One line for people.
  public var description: String {
    switch self {
    case .noDisplay(let reason): "no Wayland compositor: \(reason)"
    case .cannotConnect(let error): "no Wayland compositor: \(error)"
    case .system(let error): "\(error)"
    case .closed: "the Wayland compositor closed the connection"
    case .silent: "the Wayland compositor does not answer"
    case .refused(let object, let code, let reason):
      "the Wayland compositor refused: \(object), error \(code): \(reason)"
    case .missing(let interface): "the Wayland compositor has no \(interface), which a window needs"
    case .unshowable(let format): "the Wayland compositor shows no \(format)"
    case .malformed(let what): "cannot understand the Wayland compositor: \(what)"
    }
  }
}
