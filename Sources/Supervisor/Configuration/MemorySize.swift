/// An amount of memory as people write it: "262144", "256M", "1GiB". The units are powers of 1024.
public struct MemorySize: Hashable, Sendable, CustomStringConvertible {
  /// The number of bytes, above 0.
  public let bytes: Int

  /// What ``init(_:)`` reads, for messages.
  public static let expectation = "an amount above 0 such as 512K, 256M or 1GiB"

  /// An amount in bytes; nil when it is not above 0.
  public init?(bytes: Int) {
    guard bytes > 0 else { return nil }
    self.bytes = bytes
  }

  /// Reads digits and a unit: none (bytes), K, M, G or T, which may be followed by "iB".
  public init?(_ text: String) {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let number = Int(digits), let unit = Self.unit(text.dropFirst(digits.count)) else { return nil }
    let (bytes, overflow) = number.multipliedReportingOverflow(by: unit)
    guard !overflow else { return nil }
    self.init(bytes: bytes)
  }

  private static func unit(_ suffix: Substring) -> Int? {
    switch suffix {
    case "": 1
    case "K", "KiB": 1 << 10
    case "M", "MiB": 1 << 20
    case "G", "GiB": 1 << 30
    case "T", "TiB": 1 << 40
    default: nil
    }
  }

  /// In the largest unit that leaves no fraction, as ``init(_:)`` reads it.
  public var description: String {
    for (unit, shift) in [("T", 40), ("G", 30), ("M", 20), ("K", 10)] where bytes & (1 << shift - 1) == 0 {
      return "\(bytes >> shift)\(unit)"
    }
    return "\(bytes)"
  }
}
