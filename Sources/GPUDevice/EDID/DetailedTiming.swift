import Buffers

/// A video mode with its blanking, in the manner of VESA CVT 1.2 with reduced blanking (version 1).
///
/// No signal with these numbers exists: a guest reads size and refresh from them.
struct DetailedTiming: Equatable {
  var size: Size
  /// Frames per second.
  var refresh: UInt32
  /// Picture, front porch, sync and back porch are 160 more pixels a line.
  static let horizontalBlanking: UInt32 = 160
  static let horizontalFrontPorch: UInt32 = 48
  static let horizontalSync: UInt32 = 32
  static let verticalFrontPorch: UInt32 = 3
  /// Lines whose number names the aspect ratio.
  var verticalSync: UInt32
  var verticalBlanking: UInt32
  /// In units of 10 kHz.
  var pixelClock: UInt32

  /// What an EDID's base block can say: sixteen bits of clock, twelve bits of each extent.
  static let minimumClock: UInt32 = 1_000
  static let maximumBaseClock: UInt32 = 0xffff
  static let maximumBaseExtent: UInt32 = 0xfff

  init(size: Size, refresh: UInt32) {
    self.size = size
    self.refresh = refresh
    verticalSync = Self.syncLines(size)
    // Nanoseconds that one line may take when 460 µs of each frame are blank.
    let line = max(1, (1_000_000_000 / refresh - 460_000) / max(1, size.height))
    // A clock below 10 MHz is not believed, so small pictures have more blank lines.
    let least = (Self.minimumClock * 10_000 / refresh) / (size.width + Self.horizontalBlanking) + 1
    let porches = Self.verticalFrontPorch + verticalSync + 6
    verticalBlanking = max(460_000 / line + 1, porches, least > size.height ? least - size.height : 0)
    let pixels = UInt64(size.width + Self.horizontalBlanking) * UInt64(size.height + verticalBlanking)
    pixelClock = max(1, UInt32(clamping: (pixels * UInt64(refresh) + 5_000) / 10_000))
  }

  /// The fastest of the usual refresh rates that the base block can say. `size` fits the base block.
  static func base(_ size: Size) -> DetailedTiming {
    for refresh: UInt32 in [60, 50, 40, 30] {
      let timing = DetailedTiming(size: size, refresh: refresh)
      if timing.pixelClock <= maximumBaseClock { return timing }
    }
    return DetailedTiming(size: size, refresh: 24)
  }

  /// CVT 1.2, table 3-3: lines of vertical sync by aspect ratio.
  private static func syncLines(_ size: Size) -> UInt32 {
    let ratios: [(width: UInt64, height: UInt64, lines: UInt32)] = [
      (4, 3, 4), (16, 9, 5), (16, 10, 6), (5, 4, 7), (15, 9, 7),
    ]
    let (width, height) = (UInt64(size.width), UInt64(size.height))
    return ratios.first { width * $0.height == height * $0.width }?.lines ?? 10
  }

  var totalWidth: UInt32 { size.width + Self.horizontalBlanking }
  var totalHeight: UInt32 { size.height + verticalBlanking }
  /// Lines per second, in kHz, rounded down.
  var lineRate: UInt32 { pixelClock * 10 / totalWidth }
}

// MARK: Bytes

extension DetailedTiming {
  /// The eighteen bytes of a detailed timing descriptor (E-EDID 1.4, 3.10.2).
  func descriptor(millimetres: Size) -> [UInt8] {
    let (clock, width, height) = (pixelClock, size.width, size.height)
    let (hBlank, vBlank) = (Self.horizontalBlanking, verticalBlanking)
    let (hFront, hSync) = (Self.horizontalFrontPorch, Self.horizontalSync)
    let (vFront, vSync) = (Self.verticalFrontPorch, verticalSync)
    let fields: [UInt32] = [
      clock, clock >> 8,
      width, hBlank, high(width, hBlank),
      height, vBlank, high(height, vBlank),
      hFront, hSync, vFront << 4 | vSync, 0,
      millimetres.width, millimetres.height, high(millimetres.width, millimetres.height),
      0, 0,
      // Digital separate sync, horizontal positive, vertical negative: the sign of reduced blanking.
      0x1a,
    ]
    return fields.map { UInt8(truncatingIfNeeded: $0) }
  }

  /// The upper four bits of two twelve-bit numbers.
  private func high(_ first: UInt32, _ second: UInt32) -> UInt32 { (first >> 8) << 4 | second >> 8 }

  /// The twenty bytes of a DisplayID type I timing (DisplayID 1.3, 4.4.1), marked as preferred.
  func displayIDTypeI(preferred: Bool) -> [UInt8] {
    let clock = pixelClock - 1
    var bytes: [UInt8] = [
      UInt8(truncatingIfNeeded: clock), UInt8(truncatingIfNeeded: clock >> 8), UInt8(truncatingIfNeeded: clock >> 16),
      (preferred ? 0x80 : 0) | aspectCode,
    ]
    let positiveSync: UInt32 = 1 << 15
    let words: [UInt32] = [
      size.width - 1, Self.horizontalBlanking - 1, Self.horizontalFrontPorch - 1 | positiveSync,
      Self.horizontalSync - 1, size.height - 1, verticalBlanking - 1, Self.verticalFrontPorch - 1, verticalSync - 1,
    ]
    for word in words {
      bytes.append(UInt8(truncatingIfNeeded: word))
      bytes.append(UInt8(truncatingIfNeeded: word >> 8))
    }
    return bytes
  }

  private var aspectCode: UInt8 {
    let ratios: [(width: UInt64, height: UInt64)] = [(1, 1), (5, 4), (4, 3), (15, 9), (16, 9), (16, 10)]
    let (width, height) = (UInt64(size.width), UInt64(size.height))
    return ratios.firstIndex { width * $0.height == height * $0.width }.map { UInt8($0) } ?? 8
  }
}
