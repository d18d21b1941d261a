import Buffers
import CDRM
import Glibc
import HubProtocol
import Platform

/// A screen of this VM's own card, which shows an imported buffer from the memory that it is in: of several images each is
/// a framebuffer, and the screen turns from one to the other.
final class Screen {
  private let card: GraphicsCard
  private let screen: cdrm_screen
  private let mode: cdrm_mode
  private let chain: ImageChain
  private var framebuffers: [UInt32] = []
  private let size: Size

  /// Turns the screen of a number to a picture of its own size.
  init(
    _ number: Int, of card: GraphicsCard, showing blob: Blob, _ chain: ImageChain, _ layout: PixelLayout,
    generation: UInt64
  ) throws(GuestError) {
    self.card = card
    self.chain = chain
    size = layout.size
    guard layout.format == .xrgb8888 || layout.format == .argb8888 else { throw .unshowable("\(layout.format)") }
    let screens = try Self.screens(of: card)
    guard screens.indices.contains(number) else { throw .noScreen(number, count: screens.count) }
    screen = screens[number]
    let modes = try Self.modes(of: screen, of: card)
    guard let mode = modes.first(where: { Self.size(of: $0) == layout.size }) else {
      throw .noMode(layout.size, offered: modes.map(Self.size))
    }
    self.mode = mode
    for image in 0..<chain.count {
      framebuffers.append(try Self.addFramebuffer(card, blob, layout, at: chain.offset(of: image)))
    }
    try turn(to: generation)
  }

  /// What shows a picture turns dark.
  deinit {
    for framebuffer in framebuffers { _ = cdrm_remove_framebuffer(card.descriptor.raw, framebuffer) }
  }

  /// Shows the image of a generation; returns when the screen has turned to it.
  private func turn(to generation: UInt64) throws(GuestError) {
    var mode = mode
    let result = cdrm_show(card.descriptor.raw, screen, &mode, framebuffers[chain.image(of: generation)])
    guard result != -EACCES && result != -EBUSY else { throw .screenInUse(card.path) }
    try card.check(result, "show a picture")
  }

  private static func screens(of card: GraphicsCard) throws(GuestError) -> [cdrm_screen] {
    var screens = [cdrm_screen](repeating: cdrm_screen(), count: 16)
    let count = cdrm_screens(card.descriptor.raw, &screens, UInt32(screens.count))
    try card.check(min(count, 0), "list screens")
    return Array(screens.prefix(Int(count)))
  }

  private static func modes(of screen: cdrm_screen, of card: GraphicsCard) throws(GuestError) -> [cdrm_mode] {
    var modes = [cdrm_mode](repeating: cdrm_mode(), count: 128)
    let count = cdrm_modes(card.descriptor.raw, screen.connector, &modes, UInt32(modes.count))
    try card.check(min(count, 0), "list modes")
    return Array(modes.prefix(Int(count)))
  }

  private static func size(of mode: cdrm_mode) -> Size { Size(width: UInt32(mode.width), height: UInt32(mode.height)) }

  private static func addFramebuffer(
    _ card: GraphicsCard, _ blob: Blob, _ layout: PixelLayout, at start: UInt64
  ) throws(GuestError) -> UInt32 {
    var picture = cdrm_picture(
      handle: blob.handle, width: layout.size.width, height: layout.size.height, format: layout.format.rawValue,
      stride: layout.stride, offset: UInt32(clamping: start + layout.offset))
    var framebuffer: UInt32 = 0
    try card.check(cdrm_add_framebuffer(card.descriptor.raw, &picture, &framebuffer), "make a framebuffer")
    return framebuffer
  }

  /// Shows an update: of one image the pixels that have changed, of several the one that it is in. Returns when they are on
  /// their way.
  func show(_ update: BufferUpdate) throws(GuestError) {
    guard chain.count == 1 else { return try turn(to: update.generation) }
    try markDirty(update.damage)
  }

  private func markDirty(_ damage: Rectangle) throws(GuestError) {
    let damage = damage.intersection(Rectangle(size))
    guard !damage.isEmpty else { return }
    let result = cdrm_mark_dirty(
      card.descriptor.raw, framebuffers[0], UInt16(clamping: damage.x), UInt16(clamping: damage.y),
      UInt16(clamping: damage.maxX), UInt16(clamping: damage.maxY))
    guard result != -EACCES else { throw .screenInUse(card.path) }
    try card.check(result, "show what has changed")
  }
}
