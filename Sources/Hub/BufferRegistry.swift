import Buffers
import Glibc
import HubProtocol
import Platform

/// A buffer in its life: registered, leased while consumers hold it, retired when its owner took it back, freed when
/// the last lease ends (protocol.md section 7).
final class BufferEntry {
  let description: BufferDescription
  let owner: PeerName
  let bytes: UInt64
  /// Nil once retired: nobody new gets it.
  private(set) var descriptor: SharedDescriptor?
  fileprivate(set) var leases = 0

  init(_ description: BufferDescription, owner: PeerName, bytes: UInt64, descriptor: SharedDescriptor) {
    self.description = description
    self.owner = owner
    self.bytes = bytes
    self.descriptor = descriptor
  }

  var id: BufferID { description.id }
  var isRetired: Bool { descriptor == nil }

  fileprivate func retire() { descriptor = nil }

  var record: BufferRecord {
    let state: BufferRecord.State = isRetired ? .retired : leases > 0 ? .leased : .registered
    return BufferRecord(buffer: description, owner: owner, bytes: bytes, state: state, leases: UInt32(clamping: leases))
  }
}

/// Every buffer that is not freed.
final class BufferRegistry {
  private var registered: [BufferID: BufferEntry] = [:]
  /// Taken back by their owners, who may register the same ids again, and still held.
  private var retired: [ObjectIdentifier: BufferEntry] = [:]

  var all: [BufferEntry] { Array(registered.values) + retired.values }

  /// Takes a buffer that can be read safely: a memory file that nobody can resize, that the holder of this descriptor
  /// cannot write, and that is as long as its layout says.
  func register(
    _ description: BufferDescription, owner: PeerName, descriptor: consuming FileDescriptor
  ) throws(Refusal) -> BufferEntry {
    guard registered[description.id] == nil else {
      throw Refusal(.badBuffer, reason: "buffer id \(description.id) is in use")
    }
    let entry = try Self.check(description, owner: owner, descriptor)
    registered[entry.id] = entry
    return entry
  }

  /// An entry outside the registry, as a display's frame is.
  static func check(
    _ description: BufferDescription, owner: PeerName, _ descriptor: consuming FileDescriptor
  ) throws(Refusal) -> BufferEntry {
    let raw = descriptor.raw
    guard SharedMemory.isSealedAgainstResize(raw) else {
      throw Refusal(.badBuffer, reason: "not a memory file sealed with F_SEAL_SHRINK and F_SEAL_GROW")
    }
    guard fcntl(raw, F_GETFL) & O_ACCMODE == O_RDONLY else {
      throw Refusal(.badBuffer, reason: "the descriptor can write: open it read-only")
    }
    guard let size = try? SharedMemory.size(of: raw), size >= UInt64(description.layout.byteCount) else {
      throw Refusal(.badBuffer, reason: "the file is shorter than its layout (\(description.layout.byteCount) bytes)")
    }
    return BufferEntry(description, owner: owner, bytes: size, descriptor: SharedDescriptor(descriptor))
  }

  /// Its owner has taken it back or died.
  func retire(_ entry: BufferEntry) {
    registered[entry.id] = nil
    entry.retire()
    if entry.leases > 0 { retired[ObjectIdentifier(entry)] = entry }
  }

  func lease(_ entry: BufferEntry) {
    entry.leases += 1
  }

  func endLease(_ entry: BufferEntry) {
    entry.leases -= 1
    if entry.leases == 0 { retired[ObjectIdentifier(entry)] = nil }
  }
}
