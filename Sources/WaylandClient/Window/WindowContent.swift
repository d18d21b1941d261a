import Buffers

/// How a picture in memory gets to a compositor.
public protocol WindowContent: AnyObject {
  /// The picture is whole, and has changed in the damage since the last time. It must not change before ``isRead``.
  func update(_ damage: Rectangle) throws(WaylandError)
  /// Whether nobody reads the picture any more that ``update(_:)`` was told of.
  var isRead: Bool { get }
}

/// DRM's names of formats in the compositor's protocols.
enum WaylandFormat {
  /// wl_shm has numbers of its own for the two that every compositor knows.
  static func sharedMemory(_ format: PixelFormat) -> UInt32 {
    switch format {
    case .argb8888: 0
    case .xrgb8888: 1
    default: format.rawValue
    }
  }
}
