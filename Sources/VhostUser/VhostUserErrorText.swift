import Virtqueue

extension VhostUserError: CustomStringConvertible {
  /// What happened, in words for a log.
  public var description: String {
    switch self {
    case .system(let error): "\(error)"
    case .wrongFlags(let request, let flags): "message \(request) with flags 0x\(hex(flags)): not this protocol"
    case .messageTooLarge(let request, let size): "message \(request) announces \(size) bytes"
    case .wrongSize(let request, let size): "request \(name(request)) with \(size) bytes"
    case .unknownRequest(let request): "unknown request \(request)"
    case .unsupported(let code): "request \(code) was not offered"
    case .wrongDescriptorCount(let code, let found): "request \(code) with \(found) descriptors"
    case .noSuchRing(let index): "no ring \(index)"
    case .ringRuns(let index): "ring \(index) runs: stop it first"
    case .ringSize(let size): "a ring cannot have \(size) entries"
    case .configurationRange(let offset, let size): "no configuration space at \(offset), \(size) bytes"
    case .badRegion(let region): "memory region \(text(region)) is empty, wraps or overlaps another"
    case .regionBeyondFile(let region, let size):
      "memory region \(text(region)) ends behind its file of \(size) bytes"
    case .regionNoFile(let region): "memory region \(text(region)) comes without a file that can be mapped"
    case .tooManyRegions(let count): "\(count) memory regions are too many"
    case .noSuchRegion(let region): "no memory region \(text(region))"
    case .noDoorbell(let code): "request \(code) with a descriptor that is no doorbell"
    case .ring(let index, let reason): "ring \(index): \(reason)"
    case .closed: "the peer has gone"
    case .memoryFault: "the front-end took shared memory away"
    case .silent: "the front-end fell silent before SET_OWNER, and another one waits"
    case .ended: "told to end"
    case .timeout: "no answer in time"
    case .refused(let code, let answer): "request \(code) was answered with error \(answer)"
    case .unexpectedReply(let request): "an answer that does not fit request \(name(request))"
    }
  }

  private func name(_ request: UInt32) -> String {
    RequestCode(rawValue: request).map { "\($0)" } ?? "\(request)"
  }

  private func text(_ region: RegionDescription) -> String {
    "0x\(hex(region.guestAddress))+0x\(hex(region.size)) at file offset 0x\(hex(region.mmapOffset))"
  }

  private func hex(_ number: some BinaryInteger) -> String { String(number, radix: 16) }
}
