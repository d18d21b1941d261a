import Buffers

/// The name of a VM, a display or a control program: 1 to 63 bytes of UTF-8 without control characters.
public struct PeerName: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The most bytes that a name has.
  public static let maximumByteCount = 63

  /// The name.
  public let text: String

  /// A name, if the text can be one.
  public init?(_ text: some StringProtocol) {
    guard Self.isName(text.utf8) else { return nil }
    self.text = String(text)
  }

  private static func isName(_ bytes: some Collection<UInt8>) -> Bool {
    (1...maximumByteCount).contains(bytes.count) && bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
  }

  /// The name.
  public var description: String { text }

  /// In order of Unicode scalars, the same on every machine.
  public static func < (left: PeerName, right: PeerName) -> Bool {
    left.text.unicodeScalars.lexicographicallyPrecedes(right.text.unicodeScalars)
  }
}

/// One screen of a VM, counted from 0 (virtio-gpu: scanout id, at most 16 of them).
public struct ScanoutIndex: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
  /// How many scanouts a VM has at most.
  public static let maximumCount = 16

  /// The number.
  public let rawValue: UInt32

  /// A scanout by its number, checked where it is used.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// A scanout by its number.
  public init(_ number: Int) {
    rawValue = UInt32(clamping: number)
  }

  /// Whether a VM can have this scanout.
  public var isValid: Bool { rawValue < UInt32(Self.maximumCount) }
  /// The number, for arrays.
  public var index: Int { Int(rawValue) }
  /// The number.
  public var description: String { String(rawValue) }

  /// In order of numbers.
  public static func < (left: ScanoutIndex, right: ScanoutIndex) -> Bool { left.rawValue < right.rawValue }
}

/// One place of one scanout on one display. The same place has the same id in a restarted hub.
public struct LayerID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The number.
  public let rawValue: UInt64

  /// A layer by its number.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// The id of a place: a hash (FNV-1a, 64 bits) of its words. `ordinal` tells several places of one scanout on one
  /// display apart.
  public init(vm: PeerName, scanout: ScanoutIndex, display: PeerName, ordinal: Int = 0) {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    vm.text.utf8.forEach(mix)
    mix(0)
    display.text.utf8.forEach(mix)
    mix(0)
    mix(UInt8(truncatingIfNeeded: scanout.rawValue))
    mix(UInt8(truncatingIfNeeded: ordinal))
    mix(UInt8(truncatingIfNeeded: ordinal >> 8))
    rawValue = hash
  }

  /// In hexadecimal.
  public var description: String { String(rawValue, radix: 16) }

  /// In order of numbers.
  public static func < (left: LayerID, right: LayerID) -> Bool { left.rawValue < right.rawValue }
}

/// How a picture meets an area of another size.
public enum ScaleMode: UInt32, Sendable, CaseIterable, CustomStringConvertible {
  /// As large as possible with the whole picture visible and its proportions kept; centred.
  case fit = 0
  /// Covers the whole area with its proportions kept; what does not fit is cut off; centred.
  case fill = 1
  /// Pixel by pixel from the area's upper left corner; what does not fit is cut off.
  case none = 2

  /// The word used in configuration files.
  public var description: String {
    switch self {
    case .fit: "fit"
    case .fill: "fill"
    case .none: "none"
    }
  }

  /// Reads the word used in configuration files.
  public init?(_ text: some StringProtocol) {
    guard let mode = Self.allCases.first(where: { $0.description == text }) else { return nil }
    self = mode
  }
}
