import Buffers
import Platform
import Virtqueue

/// All resources of one guest, and what they take of the VM's memory.
struct ResourceTable {
  /// The most resources at a time.
  let maximumCount: Int
  /// What host pictures and lists of backing pages are charged to.
  let budget: MemoryBudget
  private var resources: [ResourceID: GuestResource] = [:]

  init(maximumCount: Int, memoryLimit: Int) {
    self.maximumCount = maximumCount
    budget = MemoryBudget(limit: memoryLimit)
  }

  var count: Int { resources.count }
  /// All blobs, in no order.
  var blobs: [Blob] { resources.values.compactMap { $0 as? Blob } }

  /// The resource of that id, of either kind.
  func findAny(_ id: ResourceID) throws(GPUError) -> GuestResource {
    guard let resource = resources[id] else { throw .invalidResource(id) }
    return resource
  }

  /// The resource of that id, made by CREATE_2D.
  func find(_ id: ResourceID) throws(GPUError) -> Resource {
    guard let resource = try findAny(id) as? Resource else { throw .isBlob(id) }
    return resource
  }

  /// The resource of that id, made by CREATE_BLOB.
  func findBlob(_ id: ResourceID) throws(GPUError) -> Blob {
    guard let blob = try findAny(id) as? Blob else { throw .noBlob(id) }
    return blob
  }

  /// Throws unless a resource of that id can be made.
  func checkNew(_ id: ResourceID) throws(GPUError) {
    guard id != .none else { throw .invalidResource(id) }
    guard resources[id] == nil else { throw .resourceExists(id) }
    guard resources.count < maximumCount else { throw .tooManyResources(limit: maximumCount) }
  }

  /// RESOURCE_CREATE_2D.
  mutating func create(_ id: ResourceID, format: UInt32, size: Size) throws(GPUError) {
    try checkNew(id)
    let resource = try Resource(id, format: format, size: size)
    guard budget.reserve(resource.byteCount) else { throw .overMemoryLimit(byteCount: resource.byteCount) }
    resources[id] = resource
  }

  /// RESOURCE_UNREF: the resource, which is no longer here and no longer charged.
  mutating func remove(_ id: ResourceID) throws(GPUError) -> GuestResource {
    guard let resource = resources.removeValue(forKey: id) else { throw .invalidResource(id) }
    release(resource)
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
  mutating func removeAll() -> [GuestResource] {
    let all = Array(resources.values)
    for resource in all { release(resource) }
    resources.removeAll(keepingCapacity: false)
    return all
  }

  private func release(_ resource: GuestResource) {
    guard let resource = resource as? Resource else { return }
    budget.release(resource.byteCount + resource.backingFootprint)
  }

  // MARK: Blobs

  /// Adds a blob whose id `checkNew` has let pass.
  mutating func add(_ blob: Blob) { resources[blob.id] = blob }

  /// Memory of the host for a blob, charged for as long as it is here.
  func allocate(_ byteCount: Int, name: String) throws(GPUError) -> HostMemory {
    guard let pages = HostMemory.wholePages(byteCount), let charge = MemoryCharge(pages, of: budget) else {
      throw .overMemoryLimit(byteCount: byteCount)
    }
    do {
      let memory = try HostMemory(byteCount: byteCount, name: name)
      memory.keep(charge)
      return memory
    } catch {
      throw .hostMemory(code: error.code)
    }
  }

  /// Charges the list of a blob's pages for as long as it is here.
  func charge(_ pages: GuestPages) throws(GPUError) {
    guard let charge = MemoryCharge(pages.footprint, of: budget) else {
      throw .overMemoryLimit(byteCount: pages.footprint)
    }
    pages.charge = charge
  }
}
