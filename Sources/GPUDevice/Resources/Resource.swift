import Buffers
import Platform
import Virtqueue

/// A picture of the guest's on the host: what CREATE_2D makes (virtio 1.3, 5.7.6.7).
///
/// Its memory is charged to the VM at once and allocated at its first use, as those who will be shown it can use it; the
/// charge goes with the memory.
final class Resource: GuestResource {
  /// The longest side in pixels.
  static let maximumExtent: UInt32 = 16_384

  let format: ResourceFormat
  let size: Size
  /// How its memory is allocated, now or later.
  private(set) var plan: HostPlan
  /// Identity of the picture's memory, now or later.
  private(set) lazy var uuid = BufferID.random()
  /// The host's copy; nil until it is needed.
  private(set) var storage: HostBuffer? { didSet { picture = storage.map { Picture($0) } } }
  /// The host's copy as a scanout shows it.
  private(set) var picture: Picture?
  /// The guest's pages; nil while none are attached.
  var backing: ScatterList?
  /// What `backing` is charged.
  var backingCharge: Ledger.Charge?
  /// What the renderer has of it; nil where it has nothing.
  var rendered: RenderedPicture?
  /// What its picture is charged, until the memory is there.
  private var charge: Ledger.Charge?

  /// A resource without memory, which is charged and allocated later.
  init(
    _ id: ResourceID, format: ResourceFormat, plan: HostPlan, ledger: Ledger, uuid: BufferID? = nil
  ) throws(GPUError) {
    self.format = format
    size = plan.layout.size
    self.plan = plan
    super.init(id)
    if let uuid { self.uuid = uuid }
    charge = try Self.charge(plan, to: ledger)
    charge?.setPromised(true)
  }

  /// Checks CREATE_2D's numbers.
  static func check(format: UInt32, size: Size) throws(GPUError) -> ResourceFormat {
    guard let known = ResourceFormat(rawValue: format) else { throw .unknownFormat(format) }
    let extents: ClosedRange<UInt32> = 1...maximumExtent
    guard extents.contains(size.width), extents.contains(size.height) else { throw .invalidSize(size) }
    return known
  }

  private static func charge(_ plan: HostPlan, to ledger: Ledger) throws(GPUError) -> Ledger.Charge {
    do throws(Ledger.OverLimit) {
      return try ledger.charge(Ledger.Demand(plan.byteCount, as: .hostAllocated, isBuffer: true, descriptors: 1))
    } catch {
      throw .overLimit(error)
    }
  }

  private static func buffer(
    _ plan: HostPlan, id: BufferID, _ ledger: Ledger, name: String
  ) throws(GPUError) -> HostBuffer {
    let buffer: HostBuffer
    do throws(SystemError) {
      buffer = try HostBuffer(plan, id: id, name: name)
    } catch {
      throw .hostMemory(code: error.code)
    }
    do throws(Ledger.OverLimit) {
      try buffer.chargeSurplus(to: ledger)
      return buffer
    } catch {
      throw .overLimit(error)
    }
  }

  /// The host's copy, zero: there was none.
  func allocate(_ plan: HostPlan, ledger: Ledger, name: String) throws(GPUError) -> HostBuffer {
    if plan.byteCount != self.plan.byteCount { try promise(plan, ledger) }
    let fresh = try Self.buffer(plan, id: uuid, ledger, name: name)
    fresh.keep(charge.take())
    self.plan = plan
    storage = fresh
    return fresh
  }

  /// Charges another plan instead of the first one; when that is too much, nothing changes.
  private func promise(_ plan: HostPlan, _ ledger: Ledger) throws(GPUError) {
    charge = nil
    defer { charge?.setPromised(true) }
    do throws(GPUError) {
      charge = try Self.charge(plan, to: ledger)
    } catch {
      charge = try? Self.charge(self.plan, to: ledger)
      throw error
    }
    self.plan = plan
  }

  /// Moves the picture to other memory, where it has another identity: both are charged for as long as both are there.
  func move(to plan: HostPlan, ledger: Ledger, name: String) throws(GPUError) {
    guard let former = picture else { return }
    let charge = try Self.charge(plan, to: ledger)
    let fresh = try Self.buffer(plan, id: .random(), ledger, name: name)
    fresh.keep(charge)
    guard let base = fresh.bytes.baseAddress else { throw .hostMemory(code: 0) }
    fresh.beginWriting()
    _ = former.copy(Rectangle(size), to: base + Int(plan.layout.offset), stride: Int(plan.layout.stride))
    fresh.endWriting()
    self.plan = plan
    uuid = fresh.id
    storage = fresh
  }
}

// MARK: Transfers

extension Resource {
  /// TRANSFER_TO_HOST_2D: the rows of a rectangle in the backing, where rows have no gaps; its first pixel lies at
  /// `offset`. Nil for a rectangle without pixels.
  func rows(of rectangle: Rectangle, at offset: UInt64, in memory: GuestMemory?) throws(GPUError) -> ScatterList.Rows? {
    guard rectangle.fits(in: size) else { throw .rectangleOutside(rectangle, of: size) }
    guard backing != nil, let memory else { throw .noBacking(id) }
    guard !rectangle.isEmpty else { return nil }
    guard let start = Int(exactly: offset) else { throw .outsideBacking(id, offset: offset) }
    let rows = ScatterList.Rows(
      offset: start, byteCount: Int(rectangle.width) * 4, count: Int(rectangle.height), stride: Int(size.width) * 4)
    backing?.refresh(in: memory)
    switch backing?.reach(of: rows) {
    case .complete: break
    case .outside, nil: throw .outsideBacking(id, offset: offset)
    case .removed: throw .backingRemoved(id)
    }
    return rows
  }

  /// Copies such rows to a rectangle of the picture.
  ///
  /// - Returns: how many bytes were copied.
  func transfer(_ rows: ScatterList.Rows, to rectangle: Rectangle, of target: HostBuffer) throws(GPUError) -> Int {
    guard let base = target.bytes.baseAddress else { throw .hostMemory(code: 0) }
    let start = base + target.layout.byteOffset(x: rectangle.x, y: rectangle.y)
    target.beginWriting()
    backing?.copy(rows, to: start, stride: Int(target.layout.stride))
    target.endWriting()
    return rows.byteCount * rows.count
  }
}
