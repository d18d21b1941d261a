import Buffers
import Platform
import Virtqueue

/// All resources of one guest, each charged to the VM's ledger.
struct ResourceTable {
  /// The most resources at a time.
  let maximumCount: Int
  /// What host pictures and lists of backing pages are charged to.
  let ledger: Ledger
  private var resources: [ResourceID: GuestResource] = [:]

  init(maximumCount: Int, limits: LedgerAmounts) {
    self.maximumCount = maximumCount
    ledger = Ledger(limits: limits)
  }

  var count: Int { resources.count }
  /// All blobs, in no order.
  var blobs: [Blob] { resources.values.compactMap { $0 as? Blob } }

  /// All resources of CREATE_3D, in no order.
  var textures: [Texture] { resources.values.compactMap { $0 as? Texture } }

  /// The resource of that id, of any kind.
  func findAny(_ id: ResourceID) throws(GPUError) -> GuestResource {
    guard let resource = resources[id] else { throw .invalidResource(id) }
    return resource
  }

  /// The resource of that id, made by CREATE_2D.
  func find(_ id: ResourceID) throws(GPUError) -> Resource {
    let found = try findAny(id)
    guard let resource = found as? Resource else { throw found is Blob ? .isBlob(id) : .isTexture(id) }
    return resource
  }

  /// The resource of that id, made by CREATE_BLOB.
  func findBlob(_ id: ResourceID) throws(GPUError) -> Blob {
    guard let blob = try findAny(id) as? Blob else { throw .noBlob(id) }
    return blob
  }

  /// The resource of that id, made by CREATE_3D.
  func findTexture(_ id: ResourceID) throws(GPUError) -> Texture {
    guard let texture = try findAny(id) as? Texture else { throw .noTexture(id) }
    return texture
  }

  /// Throws unless a resource of that id can be made.
  func checkNew(_ id: ResourceID) throws(GPUError) {
    guard id != .none else { throw .invalidResource(id) }
    guard resources[id] == nil else { throw .resourceExists(id) }
    guard resources.count < maximumCount else { throw .tooManyResources(limit: maximumCount) }
  }

  /// RESOURCE_CREATE_2D, whose id `checkNew` has let pass.
  mutating func create(_ id: ResourceID, format: ResourceFormat, plan: HostPlan) throws(GPUError) {
    resources[id] = try Resource(id, format: format, plan: plan, ledger: ledger)
  }

  /// RESOURCE_UNREF: the resource, which is no longer here; it is charged for as long as its memory is.
  mutating func remove(_ id: ResourceID) throws(GPUError) -> GuestResource {
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
  mutating func removeAll() -> [GuestResource] {
    let all = Array(resources.values)
    resources.removeAll(keepingCapacity: false)
    return all
  }

  // MARK: Blobs and textures

  /// Adds a resource whose id `checkNew` has let pass.
  mutating func add(_ resource: GuestResource) { resources[resource.id] = resource }

  /// Memory of the host for a blob, charged for as long as it is here.
  func allocate(_ byteCount: Int, name: String) throws(GPUError) -> HostMemory {
    guard let pages = HostMemory.wholePages(byteCount) else { throw .invalidBlobSize(UInt64(byteCount)) }
    let charge = try charge(Ledger.Demand(pages, as: .hostAllocated, isBuffer: true, descriptors: 1))
    let memory: HostMemory
    do {
      memory = try HostMemory(byteCount: pages, name: name)
    } catch {
      throw .hostMemory(code: error.code)
    }
    memory.keep(charge)
    return memory
  }

  /// Charges the list of a resource's pages for as long as it is here; a blob of them counts as a buffer.
  func charge(_ pages: GuestPages, isBuffer: Bool = true) throws(GPUError) {
    pages.keep(try charge(Ledger.Demand(pages.footprint, as: .bookkeeping, isBuffer: isBuffer)))
  }

  func charge(_ demand: Ledger.Demand) throws(GPUError) -> Ledger.Charge {
    do throws(Ledger.OverLimit) {
      return try ledger.charge(demand)
    } catch {
      throw .overLimit(error)
    }
  }
}
