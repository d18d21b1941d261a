import CDRM
import Platform

/// Memory that the card knows as a resource, mapped into this program.
public final class Blob {
  private let card: GraphicsCard
  /// Its number for the kernel, of this open card.
  let handle: UInt32
  private let mapping: MemoryMapping
  /// The resource's number, towards the host.
  public let resource: UInt32

  private init(_ card: GraphicsCard, memory: UInt32, flags: UInt32, byteCount: UInt64, number: UInt64)
    throws(GuestError)
  {
    var blob = cdrm_blob(memory: memory, flags: flags, byte_count: byteCount, id: number, handle: 0, resource: 0)
    try card.check(cdrm_create_blob(card.descriptor.raw, &blob), "create a blob")
    do throws(GuestError) {
      mapping = try Self.map(card, blob.handle, byteCount)
    } catch {
      _ = cdrm_close_handle(card.descriptor.raw, blob.handle)
      throw error
    }
    self.card = card
    handle = blob.handle
    resource = blob.resource
  }

  private static func map(_ card: GraphicsCard, _ handle: UInt32, _ byteCount: UInt64) throws(GuestError)
    -> MemoryMapping
  {
    var offset: UInt64 = 0
    try card.check(cdrm_map_offset(card.descriptor.raw, handle, &offset), "map a blob")
    do throws(SystemError) {
      return try MemoryMapping(
        descriptor: card.descriptor.raw, offset: offset, count: Int(clamping: byteCount), access: .readWrite)
    } catch {
      // The kernel learns only now that the host refused the blob.
      throw .noMemory(byteCount: byteCount)
    }
  }

  /// Pages of this VM.
  static func ofGuest(_ card: GraphicsCard, byteCount: UInt64) throws(GuestError) -> Blob {
    try Blob(
      card, memory: UInt32(CDRM_BLOB_GUEST), flags: UInt32(CDRM_BLOB_MAPPABLE), byteCount: byteCount,
      number: 0)
  }

  /// Memory of the host's: new memory, or what the number of an acquired buffer stands for.
  static func ofHost(_ card: GraphicsCard, byteCount: UInt64, number: UInt64 = 0) throws(GuestError) -> Blob {
    try Blob(
      card, memory: UInt32(CDRM_BLOB_HOST3D),
      flags: UInt32(CDRM_BLOB_MAPPABLE | CDRM_BLOB_SHAREABLE), byteCount: byteCount, number: number)
  }

  deinit { _ = cdrm_close_handle(card.descriptor.raw, handle) }

  /// The memory as a dma-buf, for other programs of this VM that use the card.
  func exported() throws(GuestError) -> FileDescriptor {
    var raw: Int32 = -1
    try card.check(cdrm_export(card.descriptor.raw, handle, &raw), "export a blob")
    return FileDescriptor(adopting: raw)
  }

  /// The bytes; others may read and change them at any time.
  public var bytes: UnsafeMutableRawBufferPointer { mapping.mutableBytes }
}
