import Buffers

/// The first 128 bytes of an EDID (E-EDID 1.4, 3).
struct BaseBlock {
  /// The display's size in pixels.
  var native: Size
  /// The mode of the first descriptor.
  var timing: DetailedTiming
  /// The mode that needs the most, for the range limits.
  var widest: DetailedTiming
  var name: String
  var serial: UInt32
  var extensionCount: UInt8

  var bytes: [UInt8] {
    let blocks: [[UInt8]] = [
      header, identity, display, Self.sRGB, establishedTimings, standardTimings,
      timing.descriptor(millimetres: millimetres), rangeLimits, Self.text(0xfc, name),
      Self.text(0xff, serialText), [extensionCount],
    ]
    let all = blocks.flatMap { $0 }
    return all + [checksum(all)]
  }

  private var header: [UInt8] { [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0] }

  /// "MNT", which no register lists.
  static let manufacturer = "MNT"

  /// Manufacturer, product 1, serial number, year 1990 + 36, EDID 1.4.
  private var identity: [UInt8] {
    let letters = Self.manufacturer.utf8.reduce(UInt16(0)) { $0 << 5 | UInt16($1 & 0x1f) }
    return [UInt8(letters >> 8), UInt8(letters & 0xff), 1, 0] + littleEndian(serial) + [0, 36, 1, 4]
  }

  /// Digital, 8 bits a colour, interface not said; size; gamma 2.2; RGB 4:4:4, sRGB, preferred mode is native.
  private var display: [UInt8] {
    let preferredIsNative: UInt8 = timing.size == native ? 0x02 : 0
    return [0xa0, centimetres.0, centimetres.1, 120, 0x04 | preferredIsNative]
  }

  /// Chromaticity of sRGB.
  private static let sRGB: [UInt8] = [0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54]

  /// The size at 96 pixels an inch; none where that is no size of a display.
  private var millimetres: Size {
    let (width, height) = (native.width * 254 / 960, native.height * 254 / 960)
    let believable: ClosedRange<UInt32> = 100...2550
    guard believable.contains(width), believable.contains(height) else { return Size(width: 0, height: 0) }
    return Size(width: width, height: height)
  }

  private var centimetres: (UInt8, UInt8) {
    let (width, height) = ((millimetres.width + 5) / 10, (millimetres.height + 5) / 10)
    return (UInt8(clamping: width), UInt8(clamping: height))
  }

  // MARK: Other modes

  private func holds(_ width: UInt32, _ height: UInt32) -> Bool {
    width <= native.width && height <= native.height && Size(width: width, height: height) != native
  }

  /// 640x480, 800x600 and 1024x768 at 60 Hz where they fit.
  private var establishedTimings: [UInt8] {
    let first: UInt8 = (holds(640, 480) ? 0x20 : 0) | (holds(800, 600) ? 0x01 : 0)
    return [first, holds(1024, 768) ? 0x08 : 0, 0]
  }

  /// Common larger modes at 60 Hz where they fit (E-EDID 1.4, 3.9).
  private static let standardModes: [(width: UInt32, height: UInt32, aspect: UInt8)] = [
    (1280, 720, 0xc0), (1280, 800, 0x00), (1280, 1024, 0x80), (1440, 900, 0x00), (1600, 1200, 0x40),
    (1680, 1050, 0x00), (1920, 1080, 0xc0), (1920, 1200, 0x00),
  ]

  private var standardTimings: [UInt8] {
    var bytes = Self.standardModes.filter { holds($0.width, $0.height) }
      .flatMap { [UInt8($0.width / 8 - 31), $0.aspect] }
    while bytes.count < 16 { bytes.append(0x01) }
    return bytes
  }

  // MARK: Descriptors

  /// Range limits wide enough for every mode (E-EDID 1.4, 3.10.3.3); a dummy descriptor where they have not the bits.
  private var rangeLimits: [UInt8] {
    let fastest = (max(widest.pixelClock, timing.pixelClock, 20_000) + 999) / 1000
    let lines = max(widest.lineRate, timing.lineRate, 80) + 1
    guard fastest <= 255, lines <= 510 else { return [0, 0, 0, 0x10] + [UInt8](repeating: 0, count: 14) }
    let (lineLimit, lineOffset) = lines > 255 ? (lines - 255, UInt8(0x08)) : (lines, 0)
    let slowestLines = max(1, min(15, widest.lineRate, timing.lineRate))
    let slowest = min(widest.refresh, timing.refresh, 60)
    return [
      0, 0, 0, 0xfd, lineOffset, UInt8(clamping: slowest - 1), 61, UInt8(clamping: slowestLines),
      UInt8(clamping: lineLimit), UInt8(clamping: fastest), 0x01, 0x0a, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    ]
  }

  private var serialText: String {
    let digits = String(serial, radix: 16, uppercase: true)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }

  /// A descriptor of up to thirteen printable characters.
  private static func text(_ tag: UInt8, _ text: String) -> [UInt8] {
    let printable = text.utf8.filter { (0x20...0x7e).contains($0) }
    var characters = Array(printable.prefix(13))
    while characters.last == 0x20 { characters.removeLast() }
    if characters.count < 13 { characters.append(0x0a) }
    while characters.count < 13 { characters.append(0x20) }
    return [0, 0, 0, tag, 0] + characters
  }
}
