import Glibc
import Virtqueue

/// Guest memory that a resource's pixels come from.
struct Backing {
  /// How the pages lie.
  enum Shape: String {
    /// One entry.
    case contiguous
    /// An entry for each page, no page beside its predecessor.
    case scattered
  }

  static let pageSize = 4096

  /// The pages, or the one piece, in the order of the pixels.
  let entries: [(address: GuestAddress, count: Int)]
  let byteCount: Int

  /// Lays pixels out in the guest's picture memory, whose earlier content is lost; scattered ones behind so many other
  /// pages that stay as they are.
  init(_ guest: Guest, byteCount: Int, _ shape: Shape, behind others: Int = 0) throws(BenchError) {
    self.byteCount = byteCount
    switch shape {
    case .contiguous:
      guard byteCount <= guest.pictureMemory.count else { throw .noRoom("\(byteCount) bytes of pixels") }
      entries = [(guest.pictureMemory.address, byteCount)]
    case .scattered:
      let needed = (byteCount + Self.pageSize - 1) / Self.pageSize
      let pages = Self.shuffled(guest.pictureMemory.count / Self.pageSize)
      guard others + needed <= pages.count else { throw .noRoom("\(needed) pages") }
      entries = pages[others..<others + needed].map { page in
        (GuestAddress(guest.pictureMemory.address.rawValue + UInt64(page * Self.pageSize)), Self.pageSize)
      }
    }
  }

  /// The entries of RESOURCE_ATTACH_BACKING (`struct virtio_gpu_mem_entry`).
  var encoded: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(16 * entries.count)
    for entry in entries {
      withUnsafeBytes(of: entry.address.rawValue.littleEndian) { bytes.append(contentsOf: $0) }
      withUnsafeBytes(of: UInt64(entry.count).littleEndian) { bytes.append(contentsOf: $0) }
    }
    return bytes
  }

  /// The same pages in this process.
  func pieces(_ guest: Guest) -> [UnsafeRawBufferPointer] {
    entries.map { UnsafeRawBufferPointer(guest.arena.bytes(at: $0.address, count: $0.count)) }
  }

  /// Numbers below `count` in an order that is the same every time.
  private static func shuffled(_ count: Int) -> [Int] {
    var numbers = Array(0..<count)
    var state: UInt64 = 0x9e37_79b9_7f4a_7c15
    for last in numbers.indices.reversed().dropLast() {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      numbers.swapAt(last, Int(state >> 33) % (last + 1))
    }
    return numbers
  }
}
