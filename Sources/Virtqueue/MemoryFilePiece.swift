import Platform

/// A file that holds guest memory, kept open so that others can map it too.
public final class MemoryRegionFile: Sendable {
  /// Which file it is, however often it was opened.
  public struct Identity: Hashable, Sendable {
    private let device: UInt64
    private let number: UInt64

    /// A file by its numbers (`fstat`).
    public init(device: UInt64, number: UInt64) {
      self.device = device
      self.number = number
    }
  }

  /// Which file it is.
  public let identity: Identity
  /// As the front-end opened it: writable.
  public let descriptor: SharedDescriptor

  /// A file that stays open as long as this object lives.
  public init(identity: Identity, descriptor: SharedDescriptor) {
    self.identity = identity
    self.descriptor = descriptor
  }
}

/// Bytes of guest memory by their place in the file that holds them.
public struct MemoryFilePiece: Equatable {
  /// The file.
  public let file: MemoryRegionFile
  /// Where in it.
  public let offset: UInt64
  /// How many bytes.
  public internal(set) var count: UInt64

  /// Whether both are the same bytes.
  public static func == (left: MemoryFilePiece, right: MemoryFilePiece) -> Bool {
    left.file.identity == right.file.identity && left.offset == right.offset && left.count == right.count
  }

  /// Makes a piece that follows this one in its file a part of it; false where it does not follow.
  mutating func join(_ next: MemoryFilePiece) -> Bool {
    guard file.identity == next.file.identity, offset + count == next.offset else { return false }
    count += next.count
    return true
  }
}

extension [MemoryFilePiece] {
  /// Adds a piece at the end, to the last one where it follows that in its file.
  public mutating func join(_ next: MemoryFilePiece) {
    if isEmpty || !self[count - 1].join(next) { append(next) }
  }
}

extension GuestMemory {
  /// Adds the pieces of a range, in order, neighbours joined; false where a byte of it is not guest memory, or not in a known file.
  public func appendFilePieces(at address: GuestAddress, count: UInt64, to pieces: inout [MemoryFilePiece]) -> Bool {
    var place = address.rawValue
    var rest = count
    while rest > 0 {
      guard let region = region(containing: GuestAddress(place)), let file = region.file else { return false }
      let offset = place - region.guestAddress.rawValue
      let part = min(rest, region.count - offset)
      pieces.join(MemoryFilePiece(file: file, offset: region.fileOffset + offset, count: part))
      place &+= part
      rest -= part
    }
    return true
  }
}
