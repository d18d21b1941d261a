import Buffers
import Platform

/// What a producer has given the hub, and what of it the hub knows: memory files, and buffers in their life.
struct ProducerBuffers {
  struct Registration {
    let buffer: BufferDescription
    let memory: MemoryDescription
    let descriptor: SharedDescriptor
    var isAnnounced = false
    /// Whether an earlier hub knew it, whose consumers may still have it mapped although this one knows of none.
    var isFromEarlierHub = false
  }

  private struct MemoryFile {
    let descriptor: SharedDescriptor
    let byteCount: UInt64
    var isAnnounced = false
  }

  private var memories: [MemoryFileID: MemoryFile] = [:]
  private var lastMemory: UInt32 = 0
  private var unregisteredMemories: [MemoryFileID] = []
  private var registrations: [BufferID: Registration] = [:]
  private var unregistered: [BufferID] = []
  /// Taken back, and not freed by the hub yet; whether an earlier hub knew it.
  private var retired: [BufferID: Bool] = [:]

  /// A connection to a hub that knows nothing.
  ///
  /// - Returns: the buffers that nobody will tell to be freed any more.
  mutating func forgetAnnounced() -> [BufferID] {
    for memory in memories.keys { memories[memory]?.isAnnounced = false }
    for (id, registration) in registrations where registration.isAnnounced {
      registrations[id]?.isAnnounced = false
      registrations[id]?.isFromEarlierHub = true
    }
    unregisteredMemories.removeAll()
    unregistered.removeAll()
    defer { retired.removeAll() }
    return Array(retired.keys)
  }

  // MARK: Changes

  mutating func addMemory(_ descriptor: SharedDescriptor, byteCount: UInt64) -> MemoryFileID {
    lastMemory &+= 1
    let memory = MemoryFileID(rawValue: lastMemory)
    memories[memory] = MemoryFile(descriptor: descriptor, byteCount: byteCount)
    return memory
  }

  mutating func removeMemory(_ memory: MemoryFileID) {
    guard let file = memories.removeValue(forKey: memory), file.isAnnounced else { return }
    unregisteredMemories.append(memory)
  }

  func contains(_ id: BufferID) -> Bool { registrations[id] != nil }

  /// Notes a picture; nothing when it is known.
  mutating func add(_ picture: SharedPicture) throws(SystemError) {
    guard registrations[picture.id] == nil else { return }
    let descriptor =
      switch picture.memory {
      case .file(let descriptor, _, _), .dmaBuf(let descriptor, _): descriptor
      case .ranges(let table): SharedDescriptor(try table.makeFile())
      }
    registrations[picture.id] = Registration(
      buffer: BufferDescription(id: picture.id, layout: picture.layout), memory: MemoryDescription(picture),
      descriptor: descriptor)
  }

  /// What becomes of a buffer that its owner takes back.
  enum Retirement {
    /// Nobody knew it.
    case unknown
    /// Nobody but the owner knew it.
    case freed
    /// The hub that knew it is gone: nobody says whether its consumers still have it.
    case unsure
    /// The hub says when it is freed.
    case waits
  }

  mutating func retire(_ id: BufferID) -> Retirement {
    guard let registration = registrations.removeValue(forKey: id) else { return .unknown }
    guard registration.isAnnounced else { return registration.isFromEarlierHub ? .unsure : .freed }
    unregistered.append(id)
    retired[id] = registration.isFromEarlierHub
    return .waits
  }

  /// The hub has freed a buffer: whether consumers of an earlier hub may still have it; nil when it was not waited for.
  mutating func noteFreed(_ id: BufferID) -> Bool? { retired.removeValue(forKey: id) }

  // MARK: Telling

  mutating func announceMemories(on link: HubLink) -> Bool {
    for (memory, file) in memories where !file.isAnnounced {
      let message = Message.memoryRegister(memory, byteCount: file.byteCount)
      guard link.send(message, descriptor: file.descriptor) else { return false }
      memories[memory]?.isAnnounced = true
    }
    return true
  }

  mutating func announce(_ id: BufferID, on link: HubLink) -> Bool {
    guard let registration = registrations[id], !registration.isAnnounced else { return true }
    if registration.memory.kind == .ranges, !announceMemories(on: link) { return false }
    let message = Message.bufferRegister(registration.buffer, registration.memory)
    guard link.send(message, descriptor: registration.descriptor) else { return false }
    registrations[id]?.isAnnounced = true
    return true
  }

  mutating func pumpUnregistered(on link: HubLink) -> Bool {
    while let id = unregistered.last {
      guard link.send(.bufferUnregister(id)) else { return false }
      unregistered.removeLast()
    }
    while let memory = unregisteredMemories.last {
      guard link.send(.memoryUnregister(memory)) else { return false }
      unregisteredMemories.removeLast()
    }
    return true
  }
}
