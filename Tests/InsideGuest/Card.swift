import Buffers
import CKMS
import Glibc
import Platform

/// A graphics driver of the kernel that was given a dma-buf. It lets go of it when this object goes.
final class Card {
  /// What a driver is to do with it.
  struct Use {
    let driver: String
    let shows: Bool

    /// Reads "import:vgem" or "show:cirrus".
    init(_ text: String) throws {
      let words = text.split(separator: ":")
      guard words.count == 2, words[0] == "import" || words[0] == "show" else { throw Failure("no use: \(text)") }
      driver = String(words[1])
      shows = words[0] == "show"
    }
  }

  private let card: FileDescriptor
  private var framebuffer: UInt32?

  init(_ use: Use, dmaBuf: Int32, layout: PixelLayout) throws {
    let raw = muntin_kms_open(use.driver)
    guard raw >= 0 else { throw Failure("no card of \(use.driver): \(SystemError.last("open"))") }
    card = FileDescriptor(adopting: raw)
    var picture = muntin_kms_picture(
      descriptor: dmaBuf, width: layout.size.width, height: layout.size.height, stride: layout.stride,
      offset: UInt32(layout.offset), format: layout.format.rawValue)
    guard muntin_kms_import(raw, &picture) == 0 else {
      throw Failure("\(use.driver) does not import it: \(SystemError.last("ioctl"))")
    }
    guard use.shows else { return }
    let number = muntin_kms_show(raw, &picture)
    guard number >= 0 else { throw Failure("\(use.driver) does not show it: \(SystemError.last("ioctl"))") }
    framebuffer = UInt32(number)
  }

  /// The pixels have changed.
  func flush() throws {
    guard let framebuffer, muntin_kms_flush(card.raw, framebuffer) < 0 else { return }
    throw Failure("no flush: \(SystemError.last("DRM_IOCTL_MODE_DIRTYFB"))")
  }
}
