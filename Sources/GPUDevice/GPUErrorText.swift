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
    case .invalidCursorSize(let size): "cursor of \(size), must be 64x64"
    }
  }
}
