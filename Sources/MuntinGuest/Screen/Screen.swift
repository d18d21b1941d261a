import Buffers
import CDRM
import Glibc
import Platform

/// A screen of this VM's own card, which shows an imported buffer from the memory that it is in.
final class Screen {
  private let card: GraphicsCard
  private let framebuffer: UInt32
  private let size: Size

  /// Turns the screen of a number to a picture of its own size.
  init(_ number: Int, of card: GraphicsCard, showing blob: Blob, _ layout: PixelLayout) throws(GuestError) {
    self.card = card
    size = layout.size
    guard layout.format == .xrgb8888 || layout.format == .argb8888 else { throw .unshowable("\(layout.format)") }
    let screens = try Self.screens(of: card)
    guard screens.indices.contains(number) else { throw .noScreen(number, count: screens.count) }
    let screen = screens[number]
    let modes = try Self.modes(of: screen, of: card)
    guard var mode = modes.first(where: { Self.size(of: $0) == layout.size }) else {
      throw .noMode(layout.size, offered: modes.map(Self.size))
    }
    framebuffer = try Self.addFramebuffer(card, blob, layout)
    let result = cdrm_show(card.descriptor.raw, screen, &mode, framebuffer)
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
    _ card: GraphicsCard, _ blob: Blob, _ layout: PixelLayout
  ) throws(GuestError) -> UInt32 {
    var picture = cdrm_picture(
      handle: blob.handle, width: layout.size.width, height: layout.size.height, format: layout.format.rawValue,
      stride: layout.stride, offset: UInt32(clamping: layout.offset))
    var framebuffer: UInt32 = 0
    try card.check(cdrm_add_framebuffer(card.descriptor.raw, &picture, &framebuffer), "make a framebuffer")
    return framebuffer
  }

  /// Says which pixels have changed; returns when they are on their way.
  func update(_ damage: Rectangle) throws(GuestError) {
    let damage = damage.intersection(Rectangle(size))
    guard !damage.isEmpty else { return }
    let result = cdrm_mark_dirty(
      card.descriptor.raw, framebuffer, UInt16(clamping: damage.x), UInt16(clamping: damage.y),
      UInt16(clamping: damage.maxX), UInt16(clamping: damage.maxY))
    guard result != -EACCES else { throw .screenInUse(card.path) }
    try card.check(result, "show what has changed")
  }
}
