import Buffers

/// An extension block with a DisplayID 1.3 section (VESA DisplayID 1.3, appendix B) that holds one mode: what is too
/// large for the base block.
struct DisplayIDBlock {
  var timing: DetailedTiming
  var serial: UInt32

  /// Bytes of the section between its header and its checksum.
  private static let capacity = 121

  var bytes: [UInt8] {
    let dataBlocks = product + parameters + timings + interface
    let padding = [UInt8](repeating: 0, count: Self.capacity - dataBlocks.count)
    // Version 1.3; a stand-alone display; no further section.
    let section = [0x13, UInt8(Self.capacity), 3, 0] + dataBlocks + padding
    let block = [0x70] + section + [checksum(section)]
    return block + [checksum(block)]
  }

  /// Product identification: manufacturer, product 1, serial number, year 2000 + 26, no name.
  private var product: [UInt8] {
    [0x00, 0, 12] + Array(BaseBlock.manufacturer.utf8) + [1, 0] + littleEndian(serial) + [0, 26, 0]
  }

  /// Display parameters: no physical size, the native pixels, fixed, gamma 2.2, the aspect ratio, 8 bits a colour.
  private var parameters: [UInt8] {
    let (width, height) = (timing.size.width, timing.size.height)
    let long = max(width, height)
    let ratio = UInt8(clamping: (long * 100 + height / 2) / min(width, height) - 100)
    let pixels = [width, width >> 8, height, height >> 8].map { UInt8(truncatingIfNeeded: $0) }
    return [0x01, 0, 12, 0, 0, 0, 0] + pixels + [0, 120, ratio, 0x77]
  }

  /// Interface features: a digital link of no standard, RGB with 8 bits a colour.
  private var interface: [UInt8] { [0x0f, 0, 10, 0xb0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0] }

  /// Type I detailed timings.
  private var timings: [UInt8] {
    let timing = timing.displayIDTypeI(preferred: true)
    return [0x03, 0, UInt8(timing.count)] + timing
  }
}
