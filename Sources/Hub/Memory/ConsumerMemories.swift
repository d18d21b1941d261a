import Buffers
import HubProtocol
import Platform

/// What memory one consumer can take and may see, and which VMs' memory files it has.
struct ConsumerMemories {
  private let isTrusted: Bool
  /// What the consumer says that it can use.
  var stated: MemoryKind = .file
  /// As constraints.
  var constraints: Constraints {
    var constraints = Constraints.unstated
    constraints.memoryKinds = takes
    return constraints
  }
  private var told: Set<MemoryKey> = []
  private var removed: [MemoryKey] = []

  init(isTrusted: Bool) {
    self.isTrusted = isTrusted
  }

  /// The kinds of memory that it may be sent.
  var takes: MemoryKind { stated.intersection(DisplayTrust.kinds(isTrusted: isTrusted)) }
  /// Whether it could use more than it may see.
  var isWithheld: Bool { takes != stated }

  /// Sends the files that it does not have yet; false when the socket is full.
  mutating func send(_ files: [MemoryEntry], to peer: Peer) -> Bool {
    precondition(files.isEmpty || isTrusted, "a VM's memory for a consumer that may not see it")
    for file in files where !told.contains(file.key) {
      guard peer.send(.memorySet(file.key, byteCount: file.byteCount), descriptor: file.descriptor) else {
        return false
      }
      told.insert(file.key)
    }
    return true
  }

  /// Notes that a file has gone; whether there is something to tell.
  mutating func remove(_ key: MemoryKey) -> Bool {
    guard told.remove(key) != nil else { return false }
    removed.append(key)
    return true
  }

  /// Says which files have gone; false when the socket is full.
  mutating func tellRemoved(to peer: Peer) -> Bool {
    while let key = removed.last {
      guard peer.send(.memoryRemove(key)) else { return false }
      removed.removeLast()
    }
    return true
  }
}

/// A display's composed frame: readable by whoever asks for a screenshot.
struct DisplayFrame {
  let description: BufferDescription
  let descriptor: SharedDescriptor

  init(_ description: BufferDescription, _ descriptor: consuming FileDescriptor) throws(Refusal) {
    self.description = description
    self.descriptor = SharedDescriptor(descriptor)
    _ = try CheckedMemory.file(self.descriptor.raw, offset: 0, byteCount: UInt64(description.layout.byteCount))
  }
}
