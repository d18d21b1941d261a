/// An address in a guest's physical memory.
public struct GuestAddress: RawRepresentable, Hashable, Comparable, Sendable {
  /// The address as the guest writes it.
  public var rawValue: UInt64

  /// An address; any value is one, whether memory is there or not.
  @inlinable
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// An address; any value is one, whether memory is there or not.
  @inlinable
  public init(_ rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// Orders by number.
  @inlinable
  public static func < (left: GuestAddress, right: GuestAddress) -> Bool {
    left.rawValue < right.rawValue
  }

  /// The address `count` bytes further on, or nil where it would pass 2^64.
  @inlinable
  public func advanced(by count: UInt64) -> GuestAddress? {
    let (sum, overflow) = rawValue.addingReportingOverflow(count)
    return overflow ? nil : GuestAddress(sum)
  }
}

extension GuestAddress: CustomStringConvertible {
  /// The address in hexadecimal.
  public var description: String { "0x" + String(rawValue, radix: 16) }
}
