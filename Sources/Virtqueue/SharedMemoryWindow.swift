import Platform

/// A shared memory region of a device (virtio 1.3, 2.10): a part of the guest's address space, empty until the host maps
/// memory files into it.
public struct SharedMemoryRegion: Hashable, Sendable {
  /// `shmid`.
  public let id: UInt8
  /// Length in bytes, a multiple of the page size.
  public let byteCount: UInt64

  /// A region of that many bytes.
  public init(id: UInt8, byteCount: UInt64) {
    self.id = id
    self.byteCount = byteCount
  }
}

/// Bytes of a region that one memory file fills.
public struct SharedMemoryPiece: Hashable, Sendable {
  /// `shmid`.
  public let region: UInt8
  /// Where the guest sees the first byte, from the region's begin.
  public let offset: UInt64
  /// Length in bytes.
  public let byteCount: UInt64
  /// Where the file's first mapped byte lies in it.
  public let fileOffset: UInt64

  /// A piece by its numbers.
  public init(region: UInt8, offset: UInt64, byteCount: UInt64, fileOffset: UInt64 = 0) {
    self.region = region
    self.offset = offset
    self.byteCount = byteCount
    self.fileOffset = fileOffset
  }
}

/// A change of a region that was asked for, and is answered later.
public struct SharedMemoryTicket: Hashable, Sendable {
  /// Never used twice by one device.
  public let number: UInt64

  /// A ticket by its number.
  public init(number: UInt64) { self.number = number }
}

/// The transport's way into the guest's address space.
///
/// Changes happen in the order in which they were asked for. Each that was taken is answered once by
/// ``VirtioDevice/sharedMemoryChanged(_:succeeded:)``: when the guest's view is the new one, or, with a failure, at the
/// latest when the transport ends.
public protocol SharedMemoryWindow: AnyObject {
  /// Maps a piece of `file`, for the guest to write or only to read; false, and no answer follows, where the transport
  /// cannot.
  func map(
    _ piece: SharedMemoryPiece, of file: SharedDescriptor, isWritable: Bool, _ ticket: SharedMemoryTicket
  ) -> Bool
  /// Ends what one earlier `map` made; false, and no answer follows, where the transport cannot.
  func unmap(_ piece: SharedMemoryPiece, _ ticket: SharedMemoryTicket) -> Bool
}
