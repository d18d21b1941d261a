import Synchronization

// Words that a guest may change at any moment are read and written through these only: each call is one access, and
// what it returned is checked and used without a second look. All words of a ring are little-endian.
extension UnsafeMutableRawPointer {
  @inlinable @inline(__always)
  package func atomic16(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt16>> {
    (self + offset).assumingMemoryBound(to: Atomic<UInt16>.self)
  }

  @inlinable @inline(__always)
  package func atomic32(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
    (self + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
  }

  @inlinable @inline(__always)
  package func atomic64(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    (self + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  @inlinable @inline(__always)
  package func word16(_ offset: Int) -> UInt16 {
    UInt16(littleEndian: atomic16(offset).pointee.load(ordering: .relaxed))
  }

  /// What was written before the value that this returns is visible afterwards.
  @inlinable @inline(__always)
  package func acquireWord16(_ offset: Int) -> UInt16 {
    UInt16(littleEndian: atomic16(offset).pointee.load(ordering: .acquiring))
  }

  @inlinable @inline(__always)
  package func setWord16(_ offset: Int, _ value: UInt16) {
    atomic16(offset).pointee.store(value.littleEndian, ordering: .relaxed)
  }

  /// Who reads this value sees what was written before it.
  @inlinable @inline(__always)
  package func releaseWord16(_ offset: Int, _ value: UInt16) {
    atomic16(offset).pointee.store(value.littleEndian, ordering: .releasing)
  }

  @inlinable @inline(__always)
  package func word32(_ offset: Int) -> UInt32 {
    UInt32(littleEndian: atomic32(offset).pointee.load(ordering: .relaxed))
  }

  @inlinable @inline(__always)
  package func setWord32(_ offset: Int, _ value: UInt32) {
    atomic32(offset).pointee.store(value.littleEndian, ordering: .relaxed)
  }

  @inlinable @inline(__always)
  package func word64(_ offset: Int) -> UInt64 {
    UInt64(littleEndian: atomic64(offset).pointee.load(ordering: .relaxed))
  }

  @inlinable @inline(__always)
  package func setWord64(_ offset: Int, _ value: UInt64) {
    atomic64(offset).pointee.store(value.littleEndian, ordering: .relaxed)
  }

  @inlinable
  package func isAligned(to alignment: UInt) -> Bool {
    UInt(bitPattern: self) & (alignment - 1) == 0
  }
}

/// The full barrier between a write of one's own and a read of what the other side wrote, without which both sides
/// could miss each other's news (virtio 1.3, 2.7.7.1 and 2.7.10).
@inlinable @inline(__always)
package func fullBarrier() {
  atomicMemoryFence(ordering: .sequentiallyConsistent)
}

/// Whether an index that moved from `old` to `new` has passed `event` (virtio 1.3, 2.7.10: `vring_need_event`).
@inlinable @inline(__always)
package func passes(_ event: UInt16, from old: UInt16, to new: UInt16) -> Bool {
  new &- event &- 1 < new &- old
}
