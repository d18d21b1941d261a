import VirtioRing

/// `struct virtio_gpu_mem_entry`: one piece of a resource's backing (virtio 1.3, 5.7.6.7).
public struct MemoryEntry: Hashable, Sendable {
  /// Where the piece begins.
  public var address: GuestAddress
  /// Its length in bytes; 0 adds nothing.
  public var length: UInt32

  /// Bytes on the wire.
  public static let byteCount = 16

  /// A piece of guest memory.
  public init(address: GuestAddress, length: UInt32) {
    self.address = address
    self.length = length
  }

  /// The entry as a driver writes it.
  public var encoded: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.byteCount)
    bytes.withUnsafeMutableBytes { encode(into: $0) }
    return bytes
  }

  /// Stores the entry; `bytes` holds at least ``byteCount``.
  public func encode(into bytes: UnsafeMutableRawBufferPointer) {
    var writer = WireWriter(bytes)
    writer.long(address.rawValue)
    writer.word(length)
    writer.word(0)
  }

  /// The entries in a private copy of a request; what is left of less than an entry is ignored.
  public static func decode(_ bytes: UnsafeRawBufferPointer) -> [MemoryEntry] {
    var reader = WireReader(bytes)
    return (0..<bytes.count / byteCount).map { _ in
      let entry = MemoryEntry(address: GuestAddress(reader.long()), length: reader.word())
      _ = reader.word()
      return entry
    }
  }
}
