import VirtioRing

/// Memory that a device may reach: a guest's addresses are the machine's here, and nothing is ever given back.
enum DeviceMemory {
  /// Zeroed bytes.
  static func allocate(_ count: Int, alignment: Int = 16) -> UnsafeMutableRawBufferPointer {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: alignment)
    bytes.initializeMemory(as: UInt8.self, repeating: 0)
    return bytes
  }

  /// Where a device sees memory.
  static func address(of pointer: UnsafeMutableRawPointer) -> GuestAddress {
    GuestAddress(UInt64(UInt(bitPattern: pointer)))
  }

  /// A piece of memory as a descriptor names it.
  static func buffer(_ bytes: UnsafeMutableRawBufferPointer, _ count: Int) -> DriverQueue.Buffer {
    DriverQueue.Buffer(address(of: bytes.baseAddress.unsafelyUnwrapped), UInt32(count))
  }
}

extension RingParts {
  /// Memory for a new ring.
  init(_ extents: RingExtents) {
    func part(_ part: RingExtents.Part) -> UnsafeMutableRawPointer {
      DeviceMemory.allocate(Int(part.count), alignment: max(16, Int(part.alignment))).baseAddress.unsafelyUnwrapped
    }
    self.init(descriptors: part(extents.descriptors), driver: part(extents.driver), device: part(extents.device))
  }

  /// Where a device sees the three parts.
  var addresses: VirtqueueAddresses {
    VirtqueueAddresses(
      descriptors: DeviceMemory.address(of: descriptors).rawValue, driver: DeviceMemory.address(of: driver).rawValue,
      device: DeviceMemory.address(of: device).rawValue, space: .guest)
  }
}
