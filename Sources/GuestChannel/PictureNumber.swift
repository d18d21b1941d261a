import Platform

/// The number by which a program makes memory for a picture that it asked about (GET_IMAGE_REQUIREMENTS): it says how many
/// pages there are, so that nothing need be remembered of what was asked, and a number is good for ever, as programs
/// expect that ask once for each size.
///
/// It is above all numbers that a service says.
struct PictureNumber: Equatable {
  private static let first: UInt32 = 0x8000_0000

  let rawValue: UInt32

  /// A number that a program makes memory by; nil when a service has said it.
  init?(_ number: UInt64) {
    guard let number = UInt32(exactly: number), number > Self.first else { return nil }
    rawValue = number
  }

  /// The number of pictures of so many bytes, whole pages; nil when there are none, or too many.
  init?(byteCount: Int) {
    let pages = byteCount / SharedMemory.pageSize
    guard pages > 0, pages < Int(Self.first), byteCount % SharedMemory.pageSize == 0 else { return nil }
    rawValue = Self.first | UInt32(pages)
  }

  /// Bytes of the memory.
  var byteCount: UInt64 { UInt64(rawValue & (Self.first - 1)) * UInt64(SharedMemory.pageSize) }
}
