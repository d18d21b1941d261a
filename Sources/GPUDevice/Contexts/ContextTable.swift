import Buffers

/// The 3D contexts of a guest (virtio 1.3, 5.7.6.9): names that commands refer to. Linux makes one for each program that
/// makes blobs. Without a capability set nothing can be drawn in one.
struct ContextTable {
  private let ledger: Ledger
  private var contexts: Set<ContextID> = []

  /// No contexts; each that is made counts in the ledger.
  init(ledger: Ledger) {
    self.ledger = ledger
  }

  var count: Int { contexts.count }

  /// CTX_CREATE.
  mutating func create(_ id: ContextID, nameLength: UInt32) throws(GPUError) {
    guard id != .none, !contexts.contains(id) else { throw .invalidContext(id) }
    guard nameLength <= 64 else { throw .invalidNameLength(nameLength) }
    do throws(Ledger.OverLimit) {
      try ledger.take(.contexts)
    } catch {
      throw .overLimit(error)
    }
    contexts.insert(id)
  }

  /// CTX_DESTROY.
  mutating func destroy(_ id: ContextID) throws(GPUError) {
    guard contexts.remove(id) != nil else { throw .invalidContext(id) }
    ledger.giveBack(.contexts)
  }

  func check(_ id: ContextID) throws(GPUError) {
    guard contexts.contains(id) else { throw .invalidContext(id) }
  }

  mutating func removeAll() {
    ledger.giveBack(.contexts, contexts.count)
    contexts.removeAll()
  }
}

extension GPUDevice {
  /// What Linux needs for blobs in the host's memory: contexts, and resources in them. Nothing is drawn there, so that
  /// which resource is in which makes no difference.
  func performInContext(_ command: Command, _ context: ContextID) throws(GPUError) {
    try requireFeature(Self.virglFeature, for: command.code)
    switch command {
    case .contextCreate(let length, _): try contexts.create(context, nameLength: length)
    case .contextDestroy: try contexts.destroy(context)
    case .contextAttachResource(let id), .contextDetachResource(let id):
      try contexts.check(context)
      _ = try resources.findAny(id)
    default: throw .notOffered(command.code)
    }
  }
}
