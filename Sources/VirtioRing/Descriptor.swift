/// One descriptor, copied out of guest memory: each byte was read once.
@usableFromInline
package struct Descriptor {
  /// VIRTQ_DESC_F_NEXT.
  @inlinable package static var next: UInt16 { 1 }
  /// VIRTQ_DESC_F_WRITE.
  @inlinable package static var write: UInt16 { 2 }
  /// VIRTQ_DESC_F_INDIRECT.
  @inlinable package static var indirect: UInt16 { 4 }
  /// The size in memory.
  @inlinable package static var stride: Int { 16 }

  @usableFromInline package var address: UInt64
  @usableFromInline package var count: UInt32
  @usableFromInline package var flags: UInt16
  /// The next descriptor's index in a split table, the buffer id in a packed ring.
  @usableFromInline package var link: UInt16

  /// Reads a descriptor of a split table (virtio 1.3, 2.7.5).
  @inlinable @inline(__always)
  package init(split pointer: UnsafeMutableRawPointer) {
    let low = pointer.word64(0)
    let high = pointer.word64(8)
    address = low
    count = UInt32(truncatingIfNeeded: high)
    flags = UInt16(truncatingIfNeeded: high >> 32)
    link = UInt16(truncatingIfNeeded: high >> 48)
  }

  /// Reads a descriptor of a packed ring (virtio 1.3, 2.8.13).
  @inlinable @inline(__always)
  package init(packed pointer: UnsafeMutableRawPointer) {
    let low = pointer.word64(0)
    let high = pointer.word64(8)
    address = low
    count = UInt32(truncatingIfNeeded: high)
    link = UInt16(truncatingIfNeeded: high >> 32)
    flags = UInt16(truncatingIfNeeded: high >> 48)
  }

  @inlinable @inline(__always) package var hasNext: Bool { flags & Self.next != 0 }
  @inlinable @inline(__always) package var isWritable: Bool { flags & Self.write != 0 }
  @inlinable @inline(__always) package var isIndirect: Bool { flags & Self.indirect != 0 }
}

extension Descriptor {
  package init(address: UInt64, count: UInt32, flags: UInt16, link: UInt16) {
    self.address = address
    self.count = count
    self.flags = flags
    self.link = link
  }

  /// Writes the descriptor where it belongs; `linked` sets or clears NEXT in a split table.
  package func write(to pointer: UnsafeMutableRawPointer, _ format: VirtqueueConfiguration.Format, linked: Bool?) {
    pointer.setWord64(0, address)
    pointer.setWord32(8, count)
    switch format {
    case .split:
      let next: UInt16 = linked == true ? Descriptor.next : 0
      pointer.setWord16(12, linked == nil ? flags : flags & ~Descriptor.next | next)
      pointer.setWord16(14, link)
    case .packed:
      pointer.setWord16(12, link)
      pointer.releaseWord16(14, flags)
    }
  }
}
