@testable import VirtioRing

typealias Format = VirtqueueConfiguration.Format

/// A ring in memory of this process: the driver under test, and what a device of any kind would write.
final class Ring {
  let size: UInt16
  let parts: RingParts
  var driver: DriverQueue
  private var used: UInt16 = 0

  init(_ format: Format, size: UInt16 = 8, eventIndex: Bool = false) throws {
    self.size = size
    let extents = RingExtents(size: UInt32(size), format: format, eventIndex: eventIndex)
    parts = RingParts(
      descriptors: Self.allocate(extents.descriptors), driver: Self.allocate(extents.driver),
      device: Self.allocate(extents.device))
    let addresses = VirtqueueAddresses(descriptors: 0x1000, driver: 0x2000, device: 0x3000, space: .guest)
    let configuration = VirtqueueConfiguration(
      size: UInt32(size), format: format, eventIndex: eventIndex, indirectDescriptors: false, addresses: addresses)
    driver = try DriverQueue(configuration, parts: parts)
  }

  deinit {
    for part in [parts.descriptors, parts.driver, parts.device] { part.deallocate() }
  }

  private static func allocate(_ part: RingExtents.Part) -> UnsafeMutableRawPointer {
    .allocate(byteCount: Int(part.count), alignment: Int(part.alignment))
  }

  /// Offers a request of 24 bytes with room for 100.
  func offer() -> UInt16? {
    let readable: InlineArray = [DriverQueue.Buffer(GuestAddress(0x10000), 24)]
    let writable: InlineArray = [DriverQueue.Buffer(GuestAddress(0x20000), 100)]
    return driver.add(readable: readable.span, writable: writable.span)
  }

  /// What a device writes to complete something, which it may have invented.
  func complete(_ id: UInt32, written: UInt32, slots: UInt16 = 2) {
    switch driver.configuration.format {
    case .split:
      let place = 4 + 8 * Int(used & (size - 1))
      parts.device.setWord32(place, id)
      parts.device.setWord32(place + 4, written)
      used &+= 1
      parts.device.releaseWord16(2, used)
    case .packed:
      let place = parts.descriptors + 16 * Int(used % size)
      place.setWord32(8, written)
      place.setWord16(12, UInt16(truncatingIfNeeded: id))
      let wrap = used / size % 2 == 0
      place.releaseWord16(14, Descriptor.write | (wrap ? PackedFormat.available | PackedFormat.used : 0))
      used = (used + slots) % (2 * size)
    }
  }

  /// What a device writes that says its used index is another one.
  func jump(to index: UInt16) { parts.device.releaseWord16(2, index) }
}
