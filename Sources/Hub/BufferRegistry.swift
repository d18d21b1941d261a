import Buffers
import HubProtocol
import Platform

/// A buffer in its life: registered, leased while consumers hold it, retired when its owner took it back, freed when
/// the last lease ends (protocol.md section 7).
final class BufferEntry {
  let description: BufferDescription
  let memory: MemoryDescription
  let owner: PeerName
  let bytes: UInt64
  /// The VM's memory files that its ranges are in, and what consumers know them by.
  let files: [MemoryEntry]
  /// Told when the buffer is freed.
  private weak var session: ProducerSession?
  /// Nil once retired: nobody new gets it.
  private(set) var descriptor: SharedDescriptor?
  fileprivate(set) var leases = 0

  init(
    _ description: BufferDescription, _ memory: MemoryDescription, _ checked: CheckedMemory, owner: PeerName,
    session: ProducerSession
  ) {
    self.description = description
    self.memory = memory
    self.owner = owner
    self.session = session
    bytes = checked.byteCount
    files = checked.files
    descriptor = checked.descriptor
  }

  var space: MemorySpace? { files.first?.key.space }

  var id: BufferID { description.id }
  var isRetired: Bool { descriptor == nil }

  fileprivate func retire() { descriptor = nil }
  fileprivate func noteFreed() { session?.noteFreed(id) }

  var record: BufferRecord {
    let state: BufferRecord.State = isRetired ? .retired : leases > 0 ? .leased : .registered
    return BufferRecord(
      buffer: description, memory: memory, owner: owner, bytes: bytes, state: state, leases: UInt32(clamping: leases))
  }
}

/// Every buffer that is not freed.
final class BufferRegistry {
  private var registered: [BufferID: BufferEntry] = [:]
  /// Taken back by their owners, who may register the same ids again, and still held.
  private var retired: [ObjectIdentifier: BufferEntry] = [:]

  var all: [BufferEntry] { Array(registered.values) + retired.values }

  /// Takes a buffer under an id that is free.
  func register(_ entry: BufferEntry) throws(Refusal) {
    guard registered[entry.id] == nil else {
      throw Refusal(.badBuffer, reason: "buffer id \(entry.id) is in use")
    }
    registered[entry.id] = entry
  }

  /// Its owner has taken it back or died.
  func retire(_ entry: BufferEntry) {
    registered[entry.id] = nil
    entry.retire()
    if entry.leases > 0 { retired[ObjectIdentifier(entry)] = entry } else { entry.noteFreed() }
  }

  func lease(_ entry: BufferEntry) {
    entry.leases += 1
  }

  func endLease(_ entry: BufferEntry) {
    entry.leases -= 1
    if entry.leases == 0, retired.removeValue(forKey: ObjectIdentifier(entry)) != nil { entry.noteFreed() }
  }
}
