import Buffers

/// Host pictures lie in memory as all can use them who are shown them (``DisplaySink/constraints(of:)``).
extension GPUDevice {
  /// RESOURCE_CREATE_2D. Who will be shown it is not known yet: it is planned for all who may be.
  func createPicture(_ id: ResourceID, _ format: UInt32, _ size: Size) throws(GPUError) {
    try resources.checkNew(id)
    let known = try Resource.check(format: format, size: size)
    try resources.create(id, format: known, plan: plan(size, known.pixelFormat, for: []))
  }

  /// How a picture is to lie for those who are shown these scanouts. Where nothing suits all it lies as if nobody had
  /// asked: then the sink finds a way for it, or says who cannot be shown it.
  func plan(_ size: Size, _ format: PixelFormat, for scanouts: ScanoutMask) throws(GPUError) -> HostPlan {
    do throws(Constraints.Unfit) {
      return try sink.constraints(of: scanouts).plan(size: size, format: format, from: configuration.sources)
    } catch {
      guard let layout = PixelLayout(size: size, format: format) else { throw .invalidSize(size) }
      return HostPlan(layout)
    }
  }

  /// The memory of a picture that has none.
  func allocate(_ resource: Resource, for scanouts: ScanoutMask) throws(GPUError) -> HostBuffer {
    let plan = try plan(resource.size, resource.format.pixelFormat, for: scanouts)
    return try resource.allocate(plan, ledger: ledger, name: configuration.name)
  }

  /// A picture has memory that all can use who are shown these scanouts, besides those that show it already.
  func makeUsable(_ resource: Resource, for scanouts: ScanoutMask) throws(GPUError) {
    let all = scanouts.union(ScanoutMask(rawValue: resource.scanouts))
    guard let storage = resource.storage else {
      _ = try allocate(resource, for: all)
      return
    }
    guard !isUsable(storage, for: all) else { return }
    let plan = try plan(resource.size, resource.format.pixelFormat, for: all)
    if plan != storage.plan { try move(resource, to: plan) }
  }

  private func isUsable(_ storage: HostBuffer, for scanouts: ScanoutMask) -> Bool {
    do throws(Constraints.Unfit) {
      let constraints = sink.constraints(of: scanouts)
      try constraints.check(storage.layout, in: storage.traits, byteCount: UInt64(storage.byteCount))
      return true
    } catch {
      return false
    }
  }

  /// The picture moves to other memory, and is shown from there.
  private func move(_ resource: Resource, to plan: HostPlan) throws(GPUError) {
    let former = resource.picture
    try resource.move(to: plan, ledger: ledger, name: configuration.name)
    for index in scanouts.indices where resource.scanouts & scanouts[index].bit != 0 {
      guard let picture = resource.picture else { continue }
      let source = scanouts[index].source
      if scanouts[index].show(resource, picture, source) {
        sink.scanoutChanged(scanouts[index].id, to: ScanoutContent(picture: picture, source: source))
      }
    }
    if let former { sink.pictureRetired(former) }
  }

  /// Those who are shown a scanout can use more or less than before: a host picture that they cannot use moves to memory
  /// that they can. Others move when they are shown.
  ///
  /// - Throws: when that would exceed the VM's limits, or the host has no memory: the picture stays where it is.
  public func constraintsChanged(of id: ScanoutID) throws(GPUError) {
    guard id.rawValue < ScanoutID.maximumCount else { return }
    guard let resource = scanouts[Int(id.rawValue)].resource as? Resource else { return }
    try makeUsable(resource, for: [])
  }
}
