import Buffers
import GPUDevice
import HubProtocol
import Platform

/// The buffers that a guest's program has offered: their memory stays, and stays charged to the VM, until nobody reads it.
final class ExportTable {
  private let access: ContextAccess
  private let room: SharingRoom
  private var exports: [BufferID: Export] = [:]
  private var isOffering: [UInt64: BufferID] = [:]
  private let pages: PageExports
  /// Called with a buffer whose pages the guest wants back.
  var recalled: (BufferID) -> Void = { _ in }

  /// What keeps a buffer's memory.
  private enum Export {
    case host(HostMemory)
    case pages(PageExport, ResourceID)
  }

  /// An offer as the hub gets it.
  typealias Offered = (offer: BufferOffer, descriptor: SharedDescriptor)

  init(access: ContextAccess, room: SharingRoom) {
    self.access = access
    self.room = room
    pages = PageExports(room.dmaBufs)
  }

  deinit { room.exports -= exports.count }

  var isEmpty: Bool { exports.isEmpty }
  var ids: [BufferID] { Array(exports.keys) }

  /// Offers a resource of the program's: memory that this process allocated for the guest, or pages of the guest's.
  ///
  /// - Returns: the offer as the hub gets it, and its descriptor: that of the pages, or one that can write, which is
  ///   what VMMs map that cannot map for reading only. Whether anybody gets it is up to the offer and the grants. Or why
  ///   others cannot have it, for the program.
  func add(
    _ offer: BufferOffer, serial: UInt64, resource: ResourceID
  ) throws(GPUError) -> Result<Offered, Refusal> {
    guard serial != 0 else { throw .contextCommand("an offer without a serial") }
    guard isOffering[serial] == nil else { throw .contextCommand("a serial that waits for its answer") }
    guard exports[offer.buffer.id] == nil else { throw .contextCommand("an id that is in use") }
    let offered: Result<Offered, Refusal> =
      if let pages = access.pages(of: resource) { add(offer, pages, of: resource) } else {
        .success(try addHost(offer, resource))
      }
    if case .success = offered { isOffering[serial] = offer.buffer.id }
    return offered
  }

  private func add(
    _ offer: BufferOffer, _ pages: GuestPages, of resource: ResourceID
  ) -> Result<Offered, Refusal> {
    let id = offer.buffer.id
    do throws(Refusal) {
      let export = try self.pages.add(pages, for: offer, access) { [weak self] in self?.recalled(id) }
      keep(.pages(export, resource), as: id)
      var checked = offer
      checked.memory = export.memory
      return .success((checked, export.descriptor))
    } catch {
      return .failure(error)
    }
  }

  private func addHost(_ offer: BufferOffer, _ resource: ResourceID) throws(GPUError) -> Offered {
    guard let memory = access.hostMemory(of: resource), memory.isOwn else { throw .notMappable(resource) }
    let layout = offer.buffer.layout
    guard layout.byteCount <= memory.byteCount else {
      throw .pictureBeyondBlob(layout.size, stride: layout.stride, offset: UInt32(clamping: layout.offset))
    }
    guard ImageChain(count: offer.images, byteCount: UInt64(memory.byteCount), layout: layout) != nil else {
      throw .contextCommand("memory that is not \(offer.images) images of whole pages")
    }
    var checked = offer
    checked.memory = MemoryDescription(
      kind: .file, side: .host, reason: .hostAllocated, byteCount: UInt64(memory.byteCount))
    checked.isShareable = !offer.isWritable
    let descriptor = try Self.descriptor(of: memory)
    keep(.host(memory), as: offer.buffer.id)
    return (checked, descriptor)
  }

  /// Files of the VM's memory that the hub has to know before the offer that was just added.
  func takeUntoldFiles() -> [PageExports.File] { pages.takeUntold() }

  /// Whether a buffer is where it was when it was offered: pages that are gone show something else.
  func isInPlace(_ id: BufferID) -> Bool {
    guard case .pages(let export, let resource)? = exports[id] else { return true }
    return export.isInPlace(access.pages(of: resource))
  }

  private static func descriptor(of memory: HostMemory) throws(GPUError) -> SharedDescriptor {
    do throws(SystemError) {
      return try memory.guestDescriptor()
    } catch {
      throw .hostMemory(code: error.code)
    }
  }

  /// The hub has taken an offer.
  func accepted(serial: UInt64) { isOffering[serial] = nil }

  /// The hub has declined an offer.
  func declined(serial: UInt64) {
    if let id = isOffering.removeValue(forKey: serial) { remove(id) }
  }

  private func keep(_ export: Export, as id: BufferID) {
    exports[id] = export
    room.exports += 1
  }

  /// Nobody reads it any more.
  func remove(_ id: BufferID) {
    if exports.removeValue(forKey: id) != nil { room.exports -= 1 }
  }

  /// The guest wants a buffer's pages back: those that are to be waited for; nil where they are no news.
  func recall(_ id: BufferID) -> PageExport? {
    guard case .pages(let export, _)? = exports[id], !export.isRecalled else { return nil }
    export.isRecalled = true
    return export
  }

  /// The guest is not kept waiting for its pages any longer.
  func giveUp(_ export: PageExport) {
    let kept = exports.first { entry in
      guard case .pages(let kept, _) = entry.value else { return false }
      return kept === export
    }
    if let kept { remove(kept.key) }
  }

  /// A reader does not let go: its pages go, so that it reads zeros and costs nothing. The guest's own stay.
  func empty(_ id: BufferID) { if case .host(let memory)? = exports[id] { try? memory.punch() } }

  /// The hub is gone, and with it who had what: nobody is left with pixels when the guest has let go of the memory.
  func removeAll() {
    for case .host(let memory) in exports.values { memory.losesPagesAtEnd = true }
    room.exports -= exports.count
    exports.removeAll()
    isOffering.removeAll()
  }
}
