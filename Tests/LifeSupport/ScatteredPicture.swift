import Buffers
import GPUDevice
import VhostUser
import Virtqueue

/// A picture as a blob in a guest's own pages, the first pixels in the last page: no two that follow each other in the
/// picture are neighbours in memory.
public final class ScatteredPicture {
  private static let pageSize = 4096
  private static let blobInGuestMemory: UInt32 = 1

  private let guest: SmallGuest
  private let id: ResourceID
  private let size: Size
  /// How many pages it has.
  public let pageCount: Int

  /// Makes the blob and shows it on the first scanout.
  public init(of guest: SmallGuest, id: UInt32, size: Size) throws {
    self.guest = guest
    self.id = ResourceID(rawValue: id)
    self.size = size
    pageCount = (Int(size.width) * Int(size.height) * 4 + Self.pageSize - 1) / Self.pageSize
    try create()
    try guest.expect(
      .setScanoutBlob(
        Command.SetScanoutBlob(
          source: Rectangle(size), scanout: ScanoutID(rawValue: 0), resource: self.id, size: size, format: 2,
          stride: size.width * 4, offset: 0)))
  }

  private func create() throws {
    let entries = (0..<pageCount).flatMap { number -> [UInt8] in
      MemoryEntry(address: address(ofPage: number), length: UInt32(Self.pageSize)).encoded
    }
    let blob = Command.CreateBlob(
      resource: id, memory: Self.blobInGuestMemory, flags: 0, entryCount: UInt32(pageCount), blob: 0,
      byteCount: UInt64(pageCount * Self.pageSize))
    try guest.expect(.resourceCreateBlob(blob), tail: entries)
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
      for index in 0..<words.count { words[index] = colour(UInt32(first + index), seed) }
    }
  }

  private func colour(_ pixel: UInt32, _ seed: UInt32) -> UInt32 {
    let x = pixel % size.width
    let y = pixel / size.width
    return (x & 255) << 16 | (y & 255) << 8 | (16 &* (x >> 8) &+ (y >> 8) &+ 37 &* seed) & 255
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
    try guest.expect(.resourceFlush(id, Rectangle(size)))
  }

  /// Gives it up.
  public func unref() throws {
    try guest.expect(.resourceUnref(id))
  }
}
