import Buffers
import Virtqueue

/// Why the device refused a request. Each one has an answer for the guest (``response``) and a text for the log.
public enum GPUError: Error, Equatable, Sendable {
  /// Fewer readable bytes than a header has.
  case headerTruncated(byteCount: Int)
  /// A type that no specification knows.
  case unknownCommand(UInt32)
  /// Fewer readable bytes than the command has.
  case commandTruncated(CommandCode, byteCount: Int)
  /// A command of a feature that is not offered, or was not accepted.
  case notOffered(CommandCode)
  /// A cursor command on the control queue, or the reverse.
  case wrongQueue(CommandCode)
  /// No such resource, or 0.
  case invalidResource(ResourceID)
  /// CREATE of an id that is in use.
  case resourceExists(ResourceID)
  /// A scanout beyond `num_scanouts`.
  case invalidScanout(ScanoutID)
  /// No such pixel format.
  case unknownFormat(UInt32)
  /// An extent of 0, or beyond ``Resource/maximumExtent``.
  case invalidSize(Size)
  /// A rectangle that is empty where it must not be, or passes the edge of the picture.
  case rectangleOutside(Rectangle, of: Size)
  /// One resource more than the configuration allows.
  case tooManyResources(limit: Int)
  /// A limit of the VM's does not allow so much more.
  case overLimit(Ledger.OverLimit)
  /// The host refused memory; the value of `errno`.
  case hostMemory(code: Int32)
  /// A backing of no entry, or of more than ``ScatterList/maximumEntryCount``.
  case invalidEntryCount(UInt32)
  /// Fewer entries in the request than it says.
  case entriesTruncated(count: UInt32, byteCount: Int)
  /// An entry that is not, or not wholly, guest memory.
  case entryUnmapped(GuestAddress, byteCount: UInt32)
  /// ATTACH_BACKING of a resource that has one.
  case backingExists(ResourceID)
  /// A transfer or DETACH_BACKING without backing.
  case noBacking(ResourceID)
  /// A transfer from beyond the backing's end.
  case outsideBacking(ResourceID, offset: UInt64)
  /// A transfer from memory that the VMM has taken away.
  case backingRemoved(ResourceID)
  /// A capability set that is not there.
  case unknownCapset(UInt32)
  /// A command for pictures that names a blob.
  case isBlob(ResourceID)
  /// A command for blobs that names a resource of CREATE_2D.
  case noBlob(ResourceID)
  /// A command for pictures that names a resource of CREATE_3D.
  case isTexture(ResourceID)
  /// A command for resources of CREATE_3D that names another.
  case noTexture(ResourceID)
  /// A resource that is no flat picture, to be shown.
  case notFlat(ResourceID)
  /// What the renderer refuses, and what for.
  case renderer(String)
  /// `blob_mem` that nobody specified.
  case unknownBlobMemory(UInt32)
  /// A bit of `blob_flags` that nobody specified.
  case unknownBlobFlags(UInt32)
  /// A blob id that the context does not have.
  case unknownBlob(UInt64)
  /// A blob of 0 bytes, or of more than a process can hold.
  case invalidBlobSize(UInt64)
  /// A blob that is longer than the pages that it is made of.
  case blobBeyondBacking(byteCount: UInt64, backing: UInt64)
  /// A picture whose rows overlap, or whose end passes the blob's.
  case pictureBeyondBlob(Size, stride: UInt32, offset: UInt32)
  /// A size or place that is not a multiple of what it has to be.
  case unaligned(UInt64)
  /// ATTACH_BACKING or DETACH_BACKING of a blob in the host's memory.
  case notGuestMemory(ResourceID)
  /// MAP_BLOB of a blob that is not in the host's memory, or was not made mappable.
  case notMappable(ResourceID)
  /// A blob in memory of a driver's that no descriptor stands for, where one is needed.
  case noDescriptor(ResourceID)
  /// MAP_BLOB of a blob that is mapped.
  case mapped(ResourceID)
  /// UNMAP_BLOB of a blob that is not.
  case notMapped(ResourceID)
  /// A place that is not, or not wholly, in the host-visible region.
  case outsideWindow(offset: UInt64, byteCount: UInt64)
  /// A place where another blob is.
  case windowOverlap(offset: UInt64)
  /// One mapping more than the configuration allows.
  case tooManyMappings(limit: Int)
  /// The VMM cannot map memory for its guest, or did not.
  case windowUnavailable
  /// No such context, or 0, or CTX_CREATE of one that there is.
  case invalidContext(ContextID)
  /// SUBMIT_3D of no bytes, of more than the context takes, or with fences to wait for.
  case invalidCommandSize(UInt32)
  /// Fewer commands in the request than it says.
  case commandsTruncated(UInt32, byteCount: Int)
  /// Commands that the context cannot read, or refuses.
  case contextCommand(String)
  /// One attached resource more than there may be.
  case tooManyAttachments(limit: Int)
  /// A context's name of more than 64 bytes.
  case invalidNameLength(UInt32)
  /// A cursor picture that is not 64 x 64.
  case invalidCursorSize(Size)

  init(_ error: CommandError) {
    self =
      switch error {
      case .unknown(let type): .unknownCommand(type)
      case .truncated(let code, let count): .commandTruncated(code, byteCount: count)
      }
  }

  /// The code that the guest gets (virtio 1.3, 5.7.6.7).
  public var response: ResponseCode {
    switch self {
    case .headerTruncated, .unknownCommand, .notOffered, .wrongQueue, .backingExists, .noBacking, .backingRemoved,
      .mapped,
      .notMapped, .windowUnavailable:
      .unspecified
    case .invalidResource, .resourceExists: .invalidResourceID
    case .invalidScanout: .invalidScanoutID
    case .invalidContext: .invalidContextID
    case .tooManyResources, .overLimit, .hostMemory, .tooManyMappings, .tooManyAttachments: .outOfMemory
    case .commandTruncated, .unknownFormat, .invalidSize, .rectangleOutside, .invalidEntryCount, .entriesTruncated,
      .entryUnmapped, .outsideBacking, .unknownCapset, .invalidCursorSize, .isBlob, .noBlob, .isTexture,
      .noTexture, .notFlat, .renderer, .unknownBlobMemory, .unknownBlobFlags, .unknownBlob, .invalidBlobSize,
      .blobBeyondBacking, .pictureBeyondBlob, .unaligned,
      .notGuestMemory, .notMappable, .noDescriptor, .outsideWindow, .windowOverlap, .invalidNameLength,
      .invalidCommandSize, .commandsTruncated, .contextCommand:
      .invalidParameter
    }
  }
}
