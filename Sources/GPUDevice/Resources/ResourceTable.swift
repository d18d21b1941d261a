import Buffers
import Virtqueue

/// All resources of one guest, each charged to the VM's ledger.
struct ResourceTable {
  /// The most resources at a time.
  let maximumCount: Int
  /// What host pictures and lists of backing pages are charged to.
  let ledger: Ledger
  private var resources: [ResourceID: Resource] = [:]

  init(maximumCount: Int, limits: LedgerAmounts) {
    self.maximumCount = maximumCount
    ledger = Ledger(limits: limits)
  }

  var count: Int { resources.count }

  /// The resource of that id.
  func find(_ id: ResourceID) throws(GPUError) -> Resource {
    guard let resource = resources[id] else { throw .invalidResource(id) }
    return resource
  }

  /// RESOURCE_CREATE_2D.
  mutating func create(_ id: ResourceID, format: UInt32, size: Size) throws(GPUError) {
    guard id != .none else { throw .invalidResource(id) }
    guard resources[id] == nil else { throw .resourceExists(id) }
    let resource = try Resource(id, format: format, size: size)
    guard resources.count < maximumCount else { throw .tooManyResources(limit: maximumCount) }
    try resource.charge(to: ledger)
    resources[id] = resource
  }

  /// RESOURCE_UNREF: the resource, which is no longer here; it is charged for as long as its memory is.
  mutating func remove(_ id: ResourceID) throws(GPUError) -> Resource {
    guard let resource = resources.removeValue(forKey: id) else { throw .invalidResource(id) }
    return resource
  }

  /// RESOURCE_ATTACH_BACKING.
  func attach(_ entries: [MemoryEntry], to resource: Resource, in memory: GuestMemory) throws(GPUError) {
    guard resource.backing == nil else { throw .backingExists(resource.id) }
    let footprint = ScatterList.footprint(entryCount: entries.count)
    let list = try ScatterList(entries, in: memory)
    do throws(Ledger.OverLimit) {
      resource.backingCharge = try ledger.charge(Ledger.Demand(footprint, as: .bookkeeping))
    } catch {
      throw .overLimit(error)
    }
    resource.backing = list
  }

  /// RESOURCE_DETACH_BACKING; the host's picture stays.
  func detach(_ resource: Resource) throws(GPUError) {
    guard resource.backing != nil else { throw .noBacking(resource.id) }
    resource.backing = nil
    resource.backingCharge = nil
  }

  /// Removes all, and returns them.
  mutating func removeAll() -> [Resource] {
    let all = Array(resources.values)
    resources.removeAll(keepingCapacity: false)
    return all
  }
}
