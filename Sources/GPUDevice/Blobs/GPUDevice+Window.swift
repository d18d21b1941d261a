import Buffers
import Virtqueue

/// The host-visible region: MAP_BLOB and UNMAP_BLOB (virtio 1.3, 5.7.6.10). Both are answered when the guest's address
/// space is as it asked for.
extension GPUDevice {
  /// One, unless the configuration has none.
  public var sharedMemoryRegions: [SharedMemoryRegion] {
    guard hostVisible.byteCount > 0 else { return [] }
    return [SharedMemoryRegion(id: HostVisibleWindow.regionID, byteCount: hostVisible.byteCount)]
  }

  /// Where blobs are mapped from now on. Without a transport there is no guest that could see one.
  public func sharedMemoryWindowChanged(_ window: (any SharedMemoryWindow)?) {
    hostVisible.transport = window
    guard window == nil else { return }
    hostVisible.forgetAll()
    for blob in resources.blobs { blob.mapping = nil }
  }

  func mapBlob(_ id: ResourceID, at offset: UInt64) throws(GPUError) -> SharedMemoryTicket {
    try requireFeature(Self.resourceBlobFeature, for: .resourceMapBlob)
    let blob = try resources.findBlob(id)
    guard let memory = blob.host, blob.flags.contains(.mappable) else { throw .notMappable(id) }
    guard blob.mapping == nil else { throw .mapped(id) }
    guard offset % windowGranule == 0 else { throw .unaligned(offset) }
    try checkWaiting()
    let (mapping, ticket) = try hostVisible.map(memory, blob.caching, at: offset)
    blob.mapping = mapping
    return ticket
  }

  /// What places in the region are multiples of.
  private var windowGranule: UInt64 {
    hasAccepted(Self.blobAlignmentFeature) ? UInt64(configuration.blobAlignment.rawValue) : 4096
  }

  /// - Returns: what to wait for, nil when there is nobody to wait for.
  func unmapBlob(_ id: ResourceID) throws(GPUError) -> SharedMemoryTicket? {
    try requireFeature(Self.resourceBlobFeature, for: .resourceUnmapBlob)
    let blob = try resources.findBlob(id)
    guard let mapping = blob.mapping else { throw .notMapped(id) }
    blob.mapping = nil
    return hostVisible.unmap(mapping)
  }

  /// The transport has answered: the command that waits is answered too.
  public func sharedMemoryChanged(_ ticket: SharedMemoryTicket, succeeded: Bool) {
    switch hostVisible.answered(ticket) {
    case nil: break
    case .map(let mapping):
      let answer = succeeded ? .okMapInfo(mapping.caching) : Response.error(GPUError.windowUnavailable.response)
      let isAwaited = finish(ticket, answer)
      if !succeeded || !isAwaited { drop(mapping, isThere: succeeded) }
    // Whatever the answer is: the guest's address space is the transport's, and there is no other way to ask.
    case .unmap: finish(ticket, .okNoData)
    }
  }

  /// A mapping that failed, or whose command is gone, so that the guest does not know of it.
  private func drop(_ mapping: BlobMapping, isThere: Bool) {
    guard hostVisible.contains(mapping) else { return }
    for blob in resources.blobs where blob.mapping === mapping { blob.mapping = nil }
    if isThere { _ = hostVisible.unmap(mapping) } else { hostVisible.forget(mapping) }
  }

  /// How many blobs the guest sees, or is about to see.
  public var mappedBlobCount: Int { hostVisible.count }
}
