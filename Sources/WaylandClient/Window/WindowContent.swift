import Buffers

/// How a picture in memory gets to a compositor.
public protocol WindowContent: AnyObject {
  /// The picture in an image is whole, and differs by the damage from that of the last time. It must not change before
  /// ``isRead``; of several images it must not before that of the next one.
  func update(_ damage: Rectangle, image: Int) throws(WaylandError)
  /// Whether nobody reads the picture any more that ``update(_:image:)`` was told of; of several images: that of before.
  var isRead: Bool { get }
  /// The window gets other content, or goes: the picture's memory may go, too.
  func close()
}

extension WindowContent {
  /// The same with one image.
  public func update(_ damage: Rectangle) throws(WaylandError) { try update(damage, image: 0) }
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
