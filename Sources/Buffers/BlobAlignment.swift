/// What sizes and places of a guest's blobs are multiples of (`blob_alignment`, virtio 1.4): the larger one of the guest's
/// and the host's page sizes.
public enum BlobAlignment: UInt32, Sendable, CaseIterable, CustomStringConvertible {
  case pages4K = 4096
  case pages16K = 16384
  case pages64K = 65536

  /// Reads "4K", "16K" or "64K".
  public init?(_ text: String) {
    guard let known = Self.allCases.first(where: { $0.description == text }) else { return nil }
    self = known
  }

  /// As "4K".
  public var description: String { "\(rawValue >> 10)K" }
}
