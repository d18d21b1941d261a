extension RingParts {
  /// Finds a ring in guest memory.
  init(_ configuration: VirtqueueConfiguration, in memory: GuestMemory) throws(VirtqueueError) {
    let addresses = configuration.addresses
    let extents = RingExtents(
      size: configuration.size, format: configuration.format, eventIndex: configuration.eventIndex)
    self.init(
      descriptors: try Self.find(addresses.descriptors, extents.descriptors, addresses.space, memory),
      driver: try Self.find(addresses.driver, extents.driver, addresses.space, memory),
      device: try Self.find(addresses.device, extents.device, addresses.space, memory))
  }

  private static func find(
    _ address: UInt64, _ extent: RingExtents.Part, _ space: VirtqueueAddresses.Space,
    _ memory: GuestMemory
  ) throws(VirtqueueError) -> UnsafeMutableRawPointer {
    let found =
      switch space {
      case .user: memory.pointer(forUserAddress: address, count: extent.count)
      case .guest: memory.slice(at: GuestAddress(address), count: extent.count)?.baseAddress
      }
    guard let found else { throw .ringNotMapped(address: address) }
    // Of the pointer, not of the address: atomic access needs it.
    guard found.isAligned(to: extent.alignment) else { throw .misalignedRing(address: address) }
    return found
  }
}
