import Buffers
import GPUDevice
import VhostUser
import Virtqueue

/// A picture in a guest's own pages, the first pixels in the last page: no two that follow each other in the picture are
/// neighbours in memory.
public final class ScatteredPicture {
  /// What the graphics card is told of it.
  public enum Kind: String {
    /// A blob that is these pages.
    case blob
    /// A 2D resource, which is copied from them to memory of the host's.
    case copied = "2d"
  }

  private static let pageSize = 4096
  private static let blobInGuestMemory: UInt32 = 1
  private static let format: UInt32 = 2

  private let guest: SmallGuest
  private let id: ResourceID
  private let size: Size
  private let kind: Kind
  /// How many pages it has.
  public let pageCount: Int

  /// Makes the resource and shows it on the first scanout.
  public init(of guest: SmallGuest, id: UInt32, size: Size, as kind: Kind = .blob) throws {
    self.guest = guest
    self.id = ResourceID(rawValue: id)
    self.size = size
    self.kind = kind
    pageCount = (Int(size.width) * Int(size.height) * 4 + Self.pageSize - 1) / Self.pageSize
    switch kind {
    case .blob: try showBlob()
    case .copied: try showCopied()
    }
  }

  private var entries: [UInt8] {
    (0..<pageCount).flatMap { MemoryEntry(address: address(ofPage: $0), length: UInt32(Self.pageSize)).encoded }
  }

  private func showBlob() throws {
    let blob = Command.CreateBlob(
      resource: id, memory: Self.blobInGuestMemory, flags: 0, entryCount: UInt32(pageCount), blob: 0,
      byteCount: UInt64(pageCount * Self.pageSize))
    try guest.expect(.resourceCreateBlob(blob), tail: entries)
    try guest.expect(
      .setScanoutBlob(
        Command.SetScanoutBlob(
          source: Rectangle(size), scanout: ScanoutID(rawValue: 0), resource: id, size: size, format: Self.format,
          stride: size.width * 4, offset: 0)))
  }

  private func showCopied() throws {
    try guest.expect(.resourceCreate2D(id, format: Self.format, size: size))
    try guest.expect(.resourceAttachBacking(id, entryCount: UInt32(pageCount)), tail: entries)
    try guest.expect(.setScanout(ScanoutID(rawValue: 0), resource: id, source: Rectangle(size)))
  }

  private func address(ofPage number: Int) -> GuestAddress {
    GuestAddress(SmallGuest.pixels.rawValue + UInt64((pageCount - 1 - number) * Self.pageSize))
  }

  // MARK: Drawing, as a guest's processor does

  /// Draws the picture that `paint` (Scripts/guest/paint.c) draws for that seed.
  public func fill(_ seed: UInt32) {
    for number in 0..<pageCount {
      let words = guest.bytes(at: address(ofPage: number), count: Self.pageSize).bindMemory(to: UInt32.self)
      let first = number * words.count
      for index in 0..<words.count {
        let pixel = UInt32(first + index)
        words[index] = Self.colour(x: pixel % size.width, y: pixel / size.width, seed)
      }
    }
  }

  /// The colour of a pixel of that picture.
  public static func colour(x: UInt32, y: UInt32, _ seed: UInt32) -> UInt32 {
    (x & 255) << 16 | (y & 255) << 8 | (16 &* (x >> 8) &+ (y >> 8) &+ 37 &* seed) & 255
  }

  /// Gives one pixel a colour.
  public func set(x: UInt32, y: UInt32, to colour: UInt32) {
    let place = (Int(y) * Int(size.width) + Int(x)) * 4
    let page = guest.bytes(at: address(ofPage: place / Self.pageSize), count: Self.pageSize)
    page.storeBytes(of: colour, toByteOffset: place % Self.pageSize, as: UInt32.self)
  }

  // MARK: Commands

  /// Says that all of it has changed.
  public func flush() throws {
    if kind == .copied { try guest.expect(.transferToHost2D(id, Rectangle(size), offset: 0)) }
    try guest.expect(.resourceFlush(id, Rectangle(size)))
  }

  /// Gives it up.
  public func unref() throws {
    try guest.expect(.resourceUnref(id))
  }
}
