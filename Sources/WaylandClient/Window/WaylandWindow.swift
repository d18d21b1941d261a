import Buffers
import Platform

/// A window of a compositor, of a fixed size.
public final class WaylandWindow {
  /// What a window says of itself.
  public struct Identity: Sendable {
    /// For people.
    public var title: String
    /// For the compositor's configuration.
    public var appID: String
    /// Whether it asks for a whole screen.
    public var isFullscreen: Bool

    /// A window of that title.
    public init(title: String, appID: String, isFullscreen: Bool = false) {
      self.title = title
      self.appID = appID
      self.isFullscreen = isFullscreen
    }
  }

  let connection: WaylandConnection
  let size: Size
  private var surface: (object: UInt32, version: UInt32) = (0, 0)
  private var windowSurface: UInt32 = 0
  /// Whether the compositor has said that the window may be shown.
  private(set) var isConfigured = false
  /// Whether a frame was handed over that the compositor has not shown yet.
  private(set) var isFramePending = false
  /// Whether somebody has closed the window.
  public private(set) var isClosed = false
  /// Called when a frame may be handed over.
  var frameIsDue: () throws(WaylandError) -> Void = {}

  /// A new window, which shows nothing yet.
  public init(_ connection: WaylandConnection, size: Size, _ identity: Identity) throws(WaylandError) {
    self.connection = connection
    self.size = size
    // Version 4 counts damage in the buffer's pixels.
    guard let compositor = try connection.bind(.compositor, version: 4) else { throw .missing("wl_compositor") }
    let manager = try bindWindowManager()
    surface = (try connection.create(.surface, from: compositor.object, opcode: 0), compositor.version)
    let object = surface.object
    windowSurface = try connection.create(.windowSurface, from: manager, opcode: 2) {
      $0.word(object)
    } handler: { [weak self] (event) throws(WaylandError) in
      if case .configured(let serial) = event { try self?.configure(serial) }
    }
    try describe(identity)
    try connection.request(surface.object, 6)
  }

  private func bindWindowManager() throws(WaylandError) -> UInt32 {
    var object: UInt32 = 0
    let bound = try connection.bind(.windowManager, version: 1) { [weak connection] (event) throws(WaylandError) in
      if case .ping(let serial) = event { try connection?.request(object, 3) { $0.word(serial) } }
    }
    guard let bound else { throw .missing("xdg_wm_base") }
    object = bound.object
    return object
  }

  private func describe(_ identity: Identity) throws(WaylandError) {
    let window = try connection.create(.window, from: windowSurface, opcode: 1) { _ in
    } handler: { [weak self] (event) in
      if event == .closed { self?.isClosed = true }
    }
    try connection.request(window, 2) { $0.string(identity.title) }
    try connection.request(window, 3) { $0.string(identity.appID) }
    guard !identity.isFullscreen else { return try connection.request(window, 11) { $0.word(0) } }
    for opcode: UInt16 in [7, 8] {
      try connection.request(window, opcode) { [size] in
        $0.integer(Int32(clamping: size.width))
        $0.integer(Int32(clamping: size.height))
      }
    }
  }

  private func configure(_ serial: UInt32) throws(WaylandError) {
    try connection.request(windowSurface, 4) { $0.word(serial) }
    isConfigured = true
    try frameIsDue()
  }

  /// Whether a frame may be handed over now.
  var takesFrames: Bool { isConfigured && !isFramePending }

  /// Hands a frame over; the compositor says when it has shown it.
  func show(_ buffer: UInt32, damage: Rectangle) throws(WaylandError) {
    try connection.request(surface.object, 1) {
      $0.word(buffer)
      $0.word(0)
      $0.word(0)
    }
    try connection.request(surface.object, surface.version >= 4 ? 9 : 2) {
      for number in [damage.x, damage.y, damage.width, damage.height] { $0.integer(Int32(clamping: number)) }
    }
    _ = try connection.create(.callback, from: surface.object, opcode: 3) { _ in
    } handler: { [weak self] (_) throws(WaylandError) in
      self?.isFramePending = false
      try self?.frameIsDue()
    }
    isFramePending = true
    try connection.request(surface.object, 6)
  }
}
