import Buffers
import HubProtocol
import Platform

/// A VM's memory file that its producer gave the hub.
final class MemoryEntry {
  let key: MemoryKey
  let descriptor: SharedDescriptor
  let byteCount: UInt64

  private init(_ key: MemoryKey, _ descriptor: SharedDescriptor, byteCount: UInt64) {
    self.key = key
    self.descriptor = descriptor
    self.byteCount = byteCount
  }

  /// Takes a file that cannot be written through this descriptor and that has as many bytes as its owner says. It may
  /// become shorter at any time: who maps it guards itself.
  static func check(
    _ key: MemoryKey, byteCount: UInt64, _ descriptor: consuming FileDescriptor?
  ) throws(Refusal) -> MemoryEntry {
    guard let descriptor else { throw Refusal(.malformed, reason: "no descriptor") }
    let raw = descriptor.raw
    guard SharedMemory.isMemoryFile(raw) else { throw Refusal(.badBuffer, reason: "not a file that can be mapped") }
    guard SharedMemory.hasUsualPages(raw) else {
      throw Refusal(.badBuffer, reason: "memory in huge pages cannot be mapped in ranges")
    }
    guard SharedMemory.isReadOnly(raw) else {
      throw Refusal(.badBuffer, reason: "the descriptor can write: open it read-only")
    }
    guard let size = try? SharedMemory.size(of: raw), size >= byteCount else {
      throw Refusal(.badBuffer, reason: "the memory file is shorter than \(byteCount) bytes")
    }
    return MemoryEntry(key, SharedDescriptor(descriptor), byteCount: byteCount)
  }
}

/// The memory files of one producer.
struct ProducerMemories {
  let space: MemorySpace
  private var entries: [MemoryFileID: MemoryEntry] = [:]
  private var highest: MemoryFileID?

  init(space: MemorySpace) {
    self.space = space
  }

  subscript(memory: MemoryFileID) -> MemoryEntry? { entries[memory] }
  var all: [MemoryEntry] { Array(entries.values) }

  /// Takes a file under a number above all before, so that a number never means two files.
  mutating func register(
    _ memory: MemoryFileID, byteCount: UInt64, _ descriptor: consuming FileDescriptor?
  ) throws(Refusal) {
    guard entries.count < MemoryFileID.maximumCount else {
      throw Refusal(.limit, reason: "more than \(MemoryFileID.maximumCount) memory files")
    }
    if let highest, memory <= highest {
      throw Refusal(.badBuffer, reason: "memory \(memory) is not above \(highest), the one before")
    }
    let key = MemoryKey(space: space, memory: memory)
    entries[memory] = try MemoryEntry.check(key, byteCount: byteCount, descriptor)
    highest = memory
  }

  /// Gives a file up that no registered buffer uses.
  mutating func unregister(_ memory: MemoryFileID, isUsed: (MemoryEntry) -> Bool) throws(Refusal) -> MemoryEntry {
    guard let entry = entries[memory] else {
      throw Refusal(.unknownObject, reason: "memory \(memory) is not registered")
    }
    guard !isUsed(entry) else { throw Refusal(.badBuffer, reason: "a registered buffer is in memory \(memory)") }
    entries[memory] = nil
    return entry
  }

  /// The producer has left.
  mutating func removeAll() -> [MemoryEntry] {
    defer { entries.removeAll() }
    return Array(entries.values)
  }
}
