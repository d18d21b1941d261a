import Buffers
import Virtqueue

/// All resources of one guest, and what they take of the VM's memory.
struct ResourceTable {
  /// The most resources at a time.
  let maximumCount: Int
  /// What host pictures and lists of backing pages are charged to.
  let budget: MemoryBudget
  private var resources: [ResourceID: Resource] = [:]

  init(maximumCount: Int, memoryLimit: Int) {
    self.maximumCount = maximumCount
    budget = MemoryBudget(limit: memoryLimit)
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
    guard budget.reserve(resource.byteCount) else { throw .overMemoryLimit(byteCount: resource.byteCount) }
    resources[id] = resource
  }

  /// RESOURCE_UNREF: the resource, which is no longer here and no longer charged.
  mutating func remove(_ id: ResourceID) throws(GPUError) -> Resource {
    guard let resource = resources.removeValue(forKey: id) else { throw .invalidResource(id) }
    budget.release(resource.byteCount + resource.backingFootprint)
    return resource
  }

  /// RESOURCE_ATTACH_BACKING.
  func attach(_ entries: [MemoryEntry], to resource: Resource, in memory: GuestMemory) throws(GPUError) {
    guard resource.backing == nil else { throw .backingExists(resource.id) }
    let footprint = ScatterList.footprint(entryCount: entries.count)
    let list = try ScatterList(entries, in: memory)
    guard budget.reserve(footprint) else { throw .overMemoryLimit(byteCount: footprint) }
    resource.backing = list
    resource.backingFootprint = footprint
  }

  /// RESOURCE_DETACH_BACKING; the host's picture stays.
  func detach(_ resource: Resource) throws(GPUError) {
    guard resource.backing != nil else { throw .noBacking(resource.id) }
    resource.backing = nil
    budget.release(resource.backingFootprint)
    resource.backingFootprint = 0
  }

  /// Removes all, and returns them.
  mutating func removeAll() -> [Resource] {
    let all = Array(resources.values)
    for resource in all { budget.release(resource.byteCount + resource.backingFootprint) }
    resources.removeAll(keepingCapacity: false)
    return all
  }
}
