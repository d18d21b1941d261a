import Buffers
import HubProtocol
import Platform

/// What memory one consumer can take and may see, and which VMs' memory files it has.
struct ConsumerMemories {
  /// Whether it may see VMs' memory.
  var isTrusted: Bool
  /// What the consumer says that it can use.
  var stated = Constraints.unstated
  /// What it can use and may see.
  var constraints: Constraints {
    var constraints = stated
    constraints.memoryKinds.formIntersection(DisplayTrust.kinds(isTrusted: isTrusted))
    return constraints
  }
  private var told: Set<MemoryKey> = []
  private var removed: [MemoryKey] = []

  init(isTrusted: Bool) {
    self.isTrusted = isTrusted
  }

  /// Why it cannot use a buffer, or may not see its memory, for people; nil when it is shown.
  func misfit(of buffer: BufferEntry) -> String? {
    guard DisplayTrust.kinds(isTrusted: isTrusted).contains(buffer.memory.kind) else {
      return "may not see a VM's memory"
    }
    do throws(Constraints.Unfit) {
      try stated.check(buffer.description.layout, in: buffer.memory.traits, byteCount: buffer.memory.byteCount)
      return nil
    } catch {
      return "cannot use \(error)"
    }
  }

  func requirements(of title: String) -> ConsumerRequirements {
    ConsumerRequirements(title: title, constraints: stated, isTrusted: isTrusted)
  }

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
