import Buffers
import HubProtocol
import Platform

extension BufferEntry {
  /// The most that others can be granted; nil: nothing. A dma-buf cannot be opened again for reading only, and ranges
  /// show all of a VM's memory: only a guest's own program offers them, and only to read.
  var offeredAccess: BufferAccess? {
    switch memory.kind {
    case .file: sharing.most
    case .dmaBuf: sharing.most == .readWrite ? .readWrite : isGuestPages ? .read : nil
    case .ranges: isOffered ? .read : nil
    default: nil
    }
  }

  /// Whether it was offered, and not registered to be shown.
  var isOffered: Bool { ownerEndpoint?.offers[id] === self }

  /// Whether a guest's program offered pages of its VM.
  private var isGuestPages: Bool { owner.kind == .vm && memory.side == .guest && isOffered }

  /// All of its pixels.
  var wholePicture: Rectangle { Rectangle(description.layout.size) }

  /// Whether there is a descriptor for that access and no more; of a dma-buf there is none for reading. A VM's card may
  /// read what a guest's program offered: the guest that it reads for has no descriptor.
  func canBeAcquired(for access: BufferAccess, by party: Party) -> Bool {
    memory.kind != .dmaBuf || access == .readWrite || party.kind == .vm && isGuestPages
  }

  /// What a holder gets: that it cannot write is up to the descriptor, not to the holder. A guest's VMM may be unable to
  /// map what cannot be written: then a grant says ``ReadForm/shared``.
  func descriptor(for access: BufferAccess, _ form: ReadForm?) -> SharedDescriptor? {
    access == .readWrite || form == .shared && memory.kind == .file ? sharing.writable : descriptor
  }

  /// What somebody is told who may use it so.
  func info(access: BufferAccess, form: ReadForm? = nil) -> BufferInfo {
    BufferInfo(
      buffer: description, memory: memory, owner: owner, name: sharing.name, generation: sharing.generation,
      state: state, access: access, form: access == .read ? form : nil, leases: UInt32(clamping: life.leases),
      properties: sharing.properties, images: sharing.images)
  }

  /// Whether a query asks for it.
  func fits(_ query: BufferQuery, _ access: BufferAccess) -> Bool {
    access >= query.access && query.format.map { $0 == description.layout.format } ?? true
      && query.ownerKind.map { $0 == owner.kind } ?? true && query.ownerName.map { $0 == owner.name } ?? true
      && query.name.map { $0 == sharing.name } ?? true && query.property.map(has) ?? true
  }

  private func has(_ wanted: BufferProperty) -> Bool {
    sharing.properties.contains { $0.name == wanted.name && (wanted.value.isEmpty || $0.value == wanted.value) }
  }
}
