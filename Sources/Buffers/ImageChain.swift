import Platform

/// The images of one buffer: pictures of one layout, one behind the other in equal shares of its memory. What is drawn as
/// generation g is in image g mod count (protocol.md section 8).
public struct ImageChain: Hashable, Sendable {
  /// The most images of a buffer.
  public static let maximumCount = 3

  /// How many images there are.
  public let count: Int
  /// Bytes of each image's share.
  public let share: UInt64

  /// The images of memory of so many bytes. Nil when there are none or too many, when the shares are not whole pages, or
  /// when the layout does not fit into one.
  public init?(count: Int, byteCount: UInt64, layout: PixelLayout) {
    guard (1...Self.maximumCount).contains(count) else { return nil }
    let share = byteCount / UInt64(count)
    guard count == 1 || byteCount % (UInt64(count) * UInt64(SharedMemory.pageSize)) == 0 else { return nil }
    guard UInt64(layout.byteCount) <= share else { return nil }
    self.count = count
    self.share = share
  }

  /// Room for so many images of a layout; nil when that is more than can be addressed.
  public init?(count: Int, of layout: PixelLayout) {
    guard let share = HostMemory.wholePages(layout.byteCount) else { return nil }
    let (sum, overflow) = share.multipliedReportingOverflow(by: count)
    guard !overflow, sum >= 0 else { return nil }
    self.init(count: count, byteCount: UInt64(sum), layout: layout)
  }

  /// Bytes of all images.
  public var byteCount: UInt64 { share * UInt64(count) }

  /// The image that a generation is in.
  public func image(of generation: UInt64) -> Int { Int(generation % UInt64(count)) }

  /// Where an image begins, counted from the buffer's first byte.
  public func offset(of image: Int) -> UInt64 { UInt64(image) * share }

  /// Where the image of a generation begins.
  public func offset(ofGeneration generation: UInt64) -> UInt64 { offset(of: image(of: generation)) }
}
