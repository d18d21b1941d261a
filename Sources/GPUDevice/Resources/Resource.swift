import Buffers
import Platform
import Virtqueue

/// A picture of the guest's on the host: what CREATE_2D makes (virtio 1.3, 5.7.6.7).
///
/// Its memory is charged to the VM at once and allocated at its first use; the charge goes with the memory.
final class Resource: GuestResource {
  /// The longest side in pixels.
  static let maximumExtent: UInt32 = 16_384

  let format: ResourceFormat
  let layout: PixelLayout
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
  /// What its picture is charged, until the memory is there.
  private var charge: Ledger.Charge?

  /// A resource without memory; its numbers are checked here.
  init(_ id: ResourceID, format: UInt32, size: Size) throws(GPUError) {
    guard let known = ResourceFormat(rawValue: format) else { throw .unknownFormat(format) }
    let extents: ClosedRange<UInt32> = 1...Self.maximumExtent
    guard extents.contains(size.width), extents.contains(size.height),
      let layout = PixelLayout(size: size, format: known.pixelFormat)
    else { throw .invalidSize(size) }
    self.format = known
    self.layout = layout
    super.init(id)
  }

  var size: Size { layout.size }
  /// What its picture takes of the host's memory.
  var byteCount: Int { HostBuffer.byteCount(for: layout) }

  /// Charges its picture, which is allocated later.
  func charge(to ledger: Ledger) throws(GPUError) {
    do throws(Ledger.OverLimit) {
      charge = try ledger.charge(Ledger.Demand(byteCount, as: .hostAllocated, isBuffer: true, descriptors: 1))
      charge?.setPromised(true)
    } catch {
      throw .overLimit(error)
    }
  }

  /// The host's copy, allocated and zero when there was none.
  func allocated(name: String) throws(GPUError) -> HostBuffer {
    if let storage { return storage }
    do {
      let fresh = try HostBuffer(layout: layout, id: uuid, name: name)
      fresh.keep(charge.take())
      storage = fresh
      return fresh
    } catch {
      throw .hostMemory(code: error.code)
    }
  }
}

// MARK: Transfers

extension Resource {
  /// TRANSFER_TO_HOST_2D: copies a rectangle from the backing, whose rows are as long as the picture's; its first
  /// pixel lies at `offset`.
  ///
  /// - Returns: how many bytes were copied.
  func transfer(_ rectangle: Rectangle, offset: UInt64, in memory: GuestMemory?, name: String) throws(GPUError) -> Int {
    guard rectangle.fits(in: size) else { throw .rectangleOutside(rectangle, of: size) }
    guard backing != nil, let memory else { throw .noBacking(id) }
    guard !rectangle.isEmpty else { return 0 }
    guard let start = Int(exactly: offset) else { throw .outsideBacking(id, offset: offset) }
    let rows = ScatterList.Rows(
      offset: start, byteCount: Int(rectangle.width) * 4, count: Int(rectangle.height), stride: Int(layout.stride))
    backing?.refresh(in: memory)
    switch backing?.reach(of: rows) {
    case .complete: break
    case .outside, nil: throw .outsideBacking(id, offset: offset)
    case .removed: throw .backingRemoved(id)
    }
    let target = try allocated(name: name).bytes.baseAddress
    guard let target else { throw .hostMemory(code: 0) }
    backing?.copy(rows, to: target + layout.byteOffset(x: rectangle.x, y: rectangle.y))
    return rows.byteCount * rows.count
  }
}
