import Buffers
import HubProtocol
import Platform

// Buffers in the pages of a VM, offered by a program of its guest (protocol.md section 13).
extension PartyEndpoint {
  /// A file of the VM's memory, which buffers of this connection are in.
  func registerMemory(
    _ memory: MemoryFileID, byteCount: UInt64, _ descriptor: consuming FileDescriptor?
  ) throws(Refusal) {
    try memories.register(memory, byteCount: byteCount, descriptor)
  }

  /// Ranges of a VM's memory that nobody may see are of no use to anybody.
  func checkReaders(of offer: BufferOffer) throws(Refusal) {
    guard offer.memory.kind == .ranges, party.kind == .vm,
      !hub.configuration.memoryReaders.values.contains(where: { $0.contains(party.name) })
    else { return }
    let owner = party.name.text
    throw Refusal(
      .disagreement, reason: "no dma-buf (\(offer.memory.reason)), and no [[vm]] has sees_memory_of = [\"\(owner)\"]")
  }

  /// Why this party may not have a buffer that it was granted: it is in another VM's memory, which nobody let it see.
  func refusalToSee(_ key: BufferKey) -> Refusal? {
    guard let entry = hub.shared.find(key, for: party, where: { _ in true }), entry.offeredAccess != nil,
      hub.grants.access(of: party, to: entry.id, named: entry.sharing.name, of: entry.owner) != nil,
      !hub.sees(party, entry)
    else { return nil }
    let owner = entry.owner.name.text
    return Refusal(
      .disagreement,
      reason: "it is in memory of VM \(owner): the [[vm]] that imports it needs sees_memory_of = [\"\(owner)\"]")
  }

  /// Hands over the files that a buffer's ranges are in, before the buffer; false when answers are not read.
  func sendFiles(of entry: BufferEntry, serial: UInt64) -> Bool {
    for file in entry.files {
      guard peer.send(.memorySet(file.key, byteCount: file.byteCount), serial: serial, descriptor: file.descriptor)
      else { return false }
    }
    return true
  }
}

extension Hub {
  /// Whether a party may be handed the memory that a buffer is in: a VM that the configuration lets see the owner's.
  func sees(_ party: Party, _ entry: BufferEntry) -> Bool {
    guard entry.memory.kind == .ranges else { return true }
    guard party.kind == .vm, entry.owner.kind == .vm else { return false }
    return party == entry.owner || configuration.memoryReaders[party.name]?.contains(entry.owner.name) ?? false
  }
}
