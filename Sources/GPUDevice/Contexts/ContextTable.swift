import Buffers
import GPUProtocol

/// The contexts of a guest (virtio 1.3, 5.7.6.9): names that commands refer to, and what is behind them. Linux makes one
/// for each program that makes blobs.
struct ContextTable {
  /// The most resources that are attached, over all contexts.
  static let maximumAttachments = 65_536

  private let ledger: Ledger
  private var contexts: [ContextID: Entry] = [:]
  private var attachmentCount = 0

  private struct Entry {
    /// Nil: a context without a capability set, in which nothing can be done.
    let context: (any GuestContext)?
    let maximumCommandByteCount: Int
    var resources: Set<ResourceID> = []
    /// Those of RESOURCE_CREATE_2D among them that nothing was submitted for yet.
    var unprepared: [ResourceID] = []
  }

  /// No contexts; each that is made counts in the ledger.
  init(ledger: Ledger) {
    self.ledger = ledger
  }

  var count: Int { contexts.count }

  /// CTX_CREATE, first half: whether there may be a context of that number. It counts from now on.
  func reserve(_ id: ContextID, nameLength: UInt32) throws(GPUError) {
    guard id != .none, contexts[id] == nil else { throw .invalidContext(id) }
    guard nameLength <= 64 else { throw .invalidNameLength(nameLength) }
    do throws(Ledger.OverLimit) {
      try ledger.take(.contexts)
    } catch {
      throw .overLimit(error)
    }
  }

  /// What was reserved could not be made.
  func giveBack() { ledger.giveBack(.contexts) }

  /// CTX_CREATE, second half: what is behind the context.
  mutating func add(_ id: ContextID, _ context: (any GuestContext)?, maximumCommandByteCount: Int) {
    contexts[id] = Entry(context: context, maximumCommandByteCount: maximumCommandByteCount)
  }

  /// CTX_DESTROY; what was behind the context is yet to be told.
  mutating func remove(_ id: ContextID) throws(GPUError) -> (any GuestContext)? {
    guard let entry = contexts.removeValue(forKey: id) else { throw .invalidContext(id) }
    attachmentCount -= entry.resources.count
    ledger.giveBack(.contexts)
    return entry.context
  }

  func check(_ id: ContextID) throws(GPUError) {
    guard contexts[id] != nil else { throw .invalidContext(id) }
  }

  /// What is behind a context; nil where nothing is.
  func find(_ id: ContextID) throws(GPUError) -> (any GuestContext)? {
    guard let entry = contexts[id] else { throw .invalidContext(id) }
    return entry.context
  }

  /// The most bytes that one SUBMIT_3D in the context has; 0 where nothing can be submitted.
  func maximumCommandByteCount(_ id: ContextID) -> Int { contexts[id]?.maximumCommandByteCount ?? 0 }

  /// The device's reset; what was behind the contexts is yet to be told.
  mutating func removeAll() -> [any GuestContext] {
    ledger.giveBack(.contexts, contexts.count)
    let ended = contexts.values.compactMap(\.context)
    contexts.removeAll()
    attachmentCount = 0
    return ended
  }

  // MARK: Attached resources

  /// CTX_ATTACH_RESOURCE.
  mutating func attach(_ resource: ResourceID, to id: ContextID, isPicture: Bool) throws(GPUError) {
    guard attachmentCount < Self.maximumAttachments else {
      throw .tooManyAttachments(limit: Self.maximumAttachments)
    }
    guard contexts[id]?.resources.insert(resource).inserted == true else { return }
    if isPicture { contexts[id]?.unprepared.append(resource) }
    attachmentCount += 1
  }

  /// CTX_DETACH_RESOURCE.
  mutating func detach(_ resource: ResourceID, from id: ContextID) {
    guard contexts[id]?.resources.remove(resource) != nil else { return }
    contexts[id]?.unprepared.removeAll { $0 == resource }
    attachmentCount -= 1
  }

  /// What has been attached of RESOURCE_CREATE_2D since the last call.
  mutating func takeUnprepared(of id: ContextID) -> [ResourceID] {
    guard let entry = contexts[id], !entry.unprepared.isEmpty else { return [] }
    contexts[id]?.unprepared = []
    return entry.unprepared
  }

  func isAttached(_ resource: ResourceID, to id: ContextID) -> Bool {
    contexts[id]?.resources.contains(resource) == true
  }
}
