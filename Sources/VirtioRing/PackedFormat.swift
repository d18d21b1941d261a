/// What both sides of a packed virtqueue know of its layout (virtio 1.3, 2.8).
@usableFromInline
package enum PackedFormat {
  /// VIRTQ_DESC_F_AVAIL.
  @inlinable package static var available: UInt16 { 1 << 7 }
  /// VIRTQ_DESC_F_USED.
  @inlinable package static var used: UInt16 { 1 << 15 }

  /// What an event suppression structure asks for (virtio 1.3, 2.8.14).
  @usableFromInline
  package enum Event {
    @inlinable package static var enable: UInt16 { 0 }
    @inlinable package static var disable: UInt16 { 1 }
    @inlinable package static var descriptor: UInt16 { 2 }
  }

  /// A slot of the ring and the wrap counter with which it is met.
  @usableFromInline
  package struct Position: Equatable {
    @usableFromInline package var index: UInt16
    @usableFromInline package var wrap: Bool

    /// As GET_VRING_BASE packs it.
    @inlinable
    package init(_ packed: UInt16) {
      index = packed & 0x7fff
      wrap = packed >> 15 != 0
    }

    @inlinable package var packed: UInt16 { index | (wrap ? 0x8000 : 0) }

    @inlinable @inline(__always)
    package mutating func advance(by count: UInt16, size: UInt16) {
      index += count
      guard index >= size else { return }
      index -= size
      wrap.toggle()
    }

    @inlinable
    package mutating func retreat(by count: UInt16, size: UInt16) {
      if index < count {
        index += size
        wrap.toggle()
      }
      index -= count
    }
  }
}
