import Buffers
import Virtqueue

extension GPUError: CustomStringConvertible {
  /// One line for a log.
  public var description: String {
    switch self {
    case .headerTruncated(let count): "request of \(count) bytes, a header has \(CommandHeader.byteCount)"
    case .unknownCommand(let type): "unknown command 0x\(String(type, radix: 16))"
    case .commandTruncated(let code, let count): "\(code) of \(count) bytes, needs \(code.byteCount)"
    case .notOffered(let code): "\(code) belongs to a feature that is not offered or was not accepted"
    case .wrongQueue(let code): "\(code) on the wrong queue"
    case .invalidResource(let id): "no resource \(id.rawValue)"
    case .resourceExists(let id): "resource \(id.rawValue) exists"
    case .invalidScanout(let id): "no scanout \(id.rawValue)"
    case .unknownFormat(let format): "unknown format \(format)"
    case .invalidSize(let size): "size \(size), allowed is 1 to \(Resource.maximumExtent) each way"
    case .rectangleOutside(let rectangle, let size): "rectangle \(rectangle) does not fit \(size)"
    case .tooManyResources(let limit): "more than \(limit) resources"
    case .overLimit(let error): "\(error)"
    case .hostMemory(let code): "the host has no memory (errno \(code))"
    case .invalidEntryCount(let count): "\(count) entries, allowed is 1 to \(ScatterList.maximumEntryCount)"
    case .entriesTruncated(let count, let bytes): "\(count) entries in \(bytes) bytes"
    case .entryUnmapped(let address, let count): "entry of \(count) bytes at \(address) is not guest memory"
    case .backingExists(let id): "resource \(id.rawValue) has a backing"
    case .noBacking(let id): "resource \(id.rawValue) has no backing"
    case .outsideBacking(let id, let offset): "transfer from offset \(offset) passes the backing of \(id.rawValue)"
    case .backingRemoved(let id): "memory behind resource \(id.rawValue) was removed"
    case .unknownCapset(let number): "no capability set \(number)"
    case .isBlob(let id): "resource \(id.rawValue) is a blob"
    case .noBlob(let id): "resource \(id.rawValue) is no blob"
    case .isTexture(let id): "resource \(id.rawValue) is the renderer's"
    case .noTexture(let id): "resource \(id.rawValue) is not the renderer's"
    case .notFlat(let id): "resource \(id.rawValue) is no flat picture"
    case .renderer(let reason): "the renderer refuses: \(reason)"
    case .unknownBlobMemory(let kind): "unknown blob memory \(kind)"
    case .unknownBlobFlags(let flags): "unknown blob flags 0x\(String(flags, radix: 16))"
    case .unknownBlob(let id): "no blob 0x\(String(id, radix: 16)) to make a resource of"
    case .invalidBlobSize(let count): "blob of \(count) bytes"
    case .blobBeyondBacking(let count, let backing): "blob of \(count) bytes in pages of \(backing)"
    case .pictureBeyondBlob(let size, let stride, let offset):
      "picture of \(size), stride \(stride), from offset \(offset) is not in its blob"
    case .unaligned(let number): "\(number) is not aligned"
    case .notGuestMemory(let id): "blob \(id.rawValue) is the host's memory"
    case .notMappable(let id): "blob \(id.rawValue) is not mappable"
    case .noDescriptor(let id):
      "blob \(id.rawValue) is memory that its driver gives no descriptor of: it can be neither mapped nor shown"
    case .mapped(let id): "blob \(id.rawValue) is mapped"
    case .notMapped(let id): "blob \(id.rawValue) is not mapped"
    case .outsideWindow(let offset, let count): "\(count) bytes at \(offset) are not in the host-visible region"
    case .windowOverlap(let offset): "another blob is at \(offset) of the host-visible region"
    case .tooManyMappings(let limit): "more than \(limit) blobs in the host-visible region"
    case .windowUnavailable: "the VMM does not map memory for its guest"
    case .invalidContext(let id): "context \(id.rawValue) does not exist, or exists already"
    case .invalidCommandSize(let count): "\(count) bytes of commands, or fences to wait for"
    case .commandsTruncated(let count, let bytes): "\(count) bytes of commands in \(bytes)"
    case .contextCommand(let reason): "\(reason)"
    case .tooManyAttachments(let limit): "more than \(limit) resources attached to contexts"
    case .invalidNameLength(let count): "context name of \(count) bytes"
    case .invalidCursorSize(let size): "cursor of \(size), must be 64x64"
    }
  }
}
