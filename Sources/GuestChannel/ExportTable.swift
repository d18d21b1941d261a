import Buffers
import GPUDevice
import HubProtocol
import Platform

/// The buffers that a guest's program has offered: their memory stays, and stays charged to the VM, until nobody reads it.
final class ExportTable {
  private let access: ContextAccess
  private let room: SharingRoom
  private var memories: [BufferID: HostMemory] = [:]
  private var isOffering: [UInt64: BufferID] = [:]

  init(access: ContextAccess, room: SharingRoom) {
    self.access = access
    self.room = room
  }

  deinit { room.exports -= memories.count }

  var isEmpty: Bool { memories.isEmpty }
  var ids: [BufferID] { Array(memories.keys) }

  /// Offers a resource of the program's: memory that this process allocated for the guest.
  ///
  /// - Returns: the offer as the hub gets it, and a descriptor that can write: what VMMs map that cannot map for reading
  ///   only. Whether anybody gets it is up to the offer and the grants.
  func add(
    _ offer: BufferOffer, serial: UInt64, resource: ResourceID
  ) throws(GPUError) -> (BufferOffer, SharedDescriptor) {
    guard let memory = access.hostMemory(of: resource), memory.isOwn else { throw .notMappable(resource) }
    guard serial != 0 else { throw .contextCommand("an offer without a serial") }
    guard isOffering[serial] == nil else { throw .contextCommand("a serial that waits for its answer") }
    guard memories[offer.buffer.id] == nil else { throw .contextCommand("an id that is in use") }
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
    memories[offer.buffer.id] = memory
    room.exports += 1
    isOffering[serial] = offer.buffer.id
    return (checked, descriptor)
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

  /// Nobody reads it any more.
  func remove(_ id: BufferID) {
    if memories.removeValue(forKey: id) != nil { room.exports -= 1 }
  }

  /// A reader does not let go: its pages go, so that it reads zeros and costs nothing.
  func empty(_ id: BufferID) { try? memories[id]?.punch() }

  /// The hub is gone, and with it who had what: nobody is left with pixels when the guest has let go of the memory.
  func removeAll() {
    for memory in memories.values { memory.losesPagesAtEnd = true }
    room.exports -= memories.count
    memories.removeAll()
    isOffering.removeAll()
  }
}
