import Buffers
import Platform

/// A picture that the compositor shows from its own memory (linux-dmabuf): nothing is copied.
///
/// The compositor reads the memory from when a frame is handed over until it releases the buffer. One that reads a
/// buffer until it gets another one would never do so: two buffers of the same memory take turns, and a frame that has
/// been shown counts as read.
public final class DMABufContent: WindowContent {
  private let window: WaylandWindow
  private let size: Size
  /// Of several images one each, of one image two.
  private var buffers: [UInt32] = []
  private let hasImages: Bool
  /// The buffer that is handed over next.
  private var turn = 0
  /// The buffer that was handed over last, as long as the compositor may read it.
  private var reading: Int?
  private var damage = Rectangle.empty
  private var mustShow = false
  /// Whether the compositor has shown the picture.
  public var isRead: Bool { !mustShow && reading == nil }

  /// A window of a picture in a dma-buf.
  ///
  /// - Throws: ``DMABufRefusal`` when the compositor cannot do that, and there is another way; ``WaylandError`` when all
  ///   is over.
  public init(
    _ window: WaylandWindow, descriptor: Int32, _ layout: PixelLayout, images: [Int] = [0]
  ) throws {
    self.window = window
    size = layout.size
    hasImages = images.count > 1
    let manager = try Self.bind(window.connection, layout.format)
    for (index, start) in (hasImages ? images : [0, 0]).enumerated() {
      buffers.append(try makeBuffer(index, manager, descriptor, layout, at: start))
    }
    window.frameIsDue = { [weak self] () throws(WaylandError) in try self?.frameIsDue() }
  }

  private static func bind(_ connection: WaylandConnection, _ format: PixelFormat) throws -> UInt32 {
    var formats: Set<Bool> = []
    let bound = try connection.bind(.dmabuf, version: 3) { (event) in
      switch event {
      case .dmabufFormat(format.rawValue): formats.insert(false)
      case .dmabufModifier(format.rawValue, let modifier) where modifier == 0 || modifier == Self.anyModifier:
        formats.insert(true)
      default: break
      }
    }
    guard let bound else { throw DMABufRefusal.notOffered }
    try connection.roundTrip()
    // With version 3 the modifiers say more than the formats.
    guard bound.version >= 3 ? formats.contains(true) : formats.contains(false) else {
      throw DMABufRefusal.format(format)
    }
    return bound.object
  }

  /// DRM_FORMAT_MOD_INVALID: the compositor takes what has no modifier.
  private static let anyModifier: UInt64 = 0x00ff_ffff_ffff_ffff

  private func makeBuffer(
    _ index: Int, _ manager: UInt32, _ descriptor: Int32, _ layout: PixelLayout, at start: Int
  ) throws -> UInt32 {
    let connection = window.connection
    var answer: WaylandEvent?
    let parameters = try connection.create(.dmabufParameters, from: manager, opcode: 1) { _ in
    } handler: { (event) in
      answer = event
    }
    try connection.request(parameters, 1, descriptor: descriptor) {
      for word in [0, UInt32(clamping: layout.offset &+ UInt64(start)), layout.stride, 0, 0] { $0.word(word) }
    }
    try connection.request(parameters, 2) {
      $0.integer(Int32(clamping: layout.size.width))
      $0.integer(Int32(clamping: layout.size.height))
      $0.word(layout.format.rawValue)
      $0.word(0)
    }
    try connection.roundTrip()
    defer { try? connection.destroy(parameters, opcode: 0) }
    guard case .bufferCreated(let buffer)? = answer else { throw DMABufRefusal.failed }
    try connection.adopt(buffer, .buffer) { [weak self] (event) in
      if event == .released { self?.released(index) }
    }
    return buffer
  }

  // MARK: Frames

  /// Hands the picture over, at once or when the compositor has shown the one before.
  public func update(_ damage: Rectangle, image: Int) throws(WaylandError) {
    self.damage = self.damage.union(damage.intersection(Rectangle(size)))
    if hasImages, buffers.indices.contains(image) { turn = image }
    mustShow = true
    try show()
  }

  private func show() throws(WaylandError) {
    guard mustShow, window.takesFrames else { return }
    mustShow = false
    reading = turn
    let buffer = buffers[turn]
    if !hasImages { turn = 1 - turn }
    try window.show(buffer, damage: damage)
    damage = .empty
  }

  /// The window gets other content, or goes.
  public func close() {
    for buffer in buffers { try? window.connection.destroy(buffer, opcode: 0) }
    buffers.removeAll()
    mustShow = false
  }

  private func released(_ index: Int) {
    if reading == index { reading = nil }
  }

  private func frameIsDue() throws(WaylandError) {
    reading = nil
    try show()
  }
}

/// Why a compositor does not show a dma-buf.
public enum DMABufRefusal: Error, Equatable, CustomStringConvertible {
  /// It has no linux-dmabuf.
  case notOffered
  /// It takes no linear dma-bufs of that format.
  case format(PixelFormat)
  /// It tried, and could not use this one.
  case failed

  /// For people.
  public var description: String {
    switch self {
    case .notOffered: "the compositor has no linux-dmabuf"
    case .format(let format): "the compositor's linux-dmabuf takes no linear \(format)"
    case .failed: "the compositor could not use the dma-buf"
    }
  }
}
