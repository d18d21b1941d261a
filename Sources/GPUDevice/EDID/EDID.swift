import Buffers

/// What a scanout says about itself: a VESA E-EDID 1.4 base block and, for modes that it cannot express, a DisplayID
/// extension.
public struct EDID: Hashable, Sendable {
  /// One or two blocks of 128 bytes.
  public let bytes: [UInt8]

  /// What an answer has room for (virtio 1.3, 5.7.6.7).
  public static let maximumByteCount = Response.maximumEDIDByteCount

  /// The EDID of a display with that native size.
  ///
  /// - Parameters:
  ///   - size: the preferred mode; any extent up to 16,384.
  ///   - name: the display's name; at most 13 characters of it are said.
  ///   - serial: a number that stays the same for the same display.
  public init(size: Size, name: String, serial: UInt32) {
    let size = Size(width: min(max(1, size.width), 16_384), height: min(max(1, size.height), 16_384))
    let base = DetailedTiming.base(Self.baseSize(size))
    guard base.size == size else {
      let full = DetailedTiming(size: size, refresh: 60)
      let block = BaseBlock(native: size, timing: base, widest: full, name: name, serial: serial, extensionCount: 1)
      bytes = block.bytes + DisplayIDBlock(timing: full, serial: serial).bytes
      return
    }
    bytes = BaseBlock(native: size, timing: base, widest: base, name: name, serial: serial, extensionCount: 0).bytes
  }

  /// The largest whole fraction of a size that the base block has bits for.
  private static func baseSize(_ size: Size) -> Size {
    let longest = max(size.width, size.height)
    let divisor = (longest + DetailedTiming.maximumBaseExtent - 1) / DetailedTiming.maximumBaseExtent
    return Size(width: max(1, size.width / divisor), height: max(1, size.height / divisor))
  }

  /// A serial number that depends on nothing but the VM's name and the scanout (FNV-1a).
  public static func serial(machine: String, scanout: ScanoutID) -> UInt32 {
    var hash: UInt32 = 0x811c_9dc5
    for byte in machine.utf8 + [UInt8(truncatingIfNeeded: scanout.rawValue)] {
      hash = (hash ^ UInt32(byte)) &* 0x0100_0193
    }
    return hash == 0 ? 1 : hash
  }
}

/// The byte that makes a block's sum 0.
func checksum(_ bytes: some Sequence<UInt8>) -> UInt8 {
  0 &- bytes.reduce(0, &+)
}

/// The four bytes of a number, lowest first.
func littleEndian(_ number: UInt32) -> [UInt8] {
  (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * UInt32($0))) }
}
