import Buffers
import CrossDomain
import GPUDevice
import HubProtocol
import Platform

/// The buffers of others that a guest's program holds, and the numbers by which it makes resources of them.
final class ImportTable {
  private enum Import {
    /// The owner's memory itself, kept by those who use it.
    case shared(WeakMemory)
    /// The guest's own copy.
    case shadow(ShadowCopy)
  }

  private final class WeakMemory {
    weak var memory: HostMemory?
    /// Kept until a resource was made of it, or the program lets go.
    var held: HostMemory?
    /// Whether the guest must not have it any more, and somebody of the host's still looks.
    var isTaken = false
    init(_ memory: HostMemory) {
      self.memory = memory
      held = memory
    }
  }

  private let access: ContextAccess
  private let room: SharingRoom
  private let allocate: (Int) throws(GPUError) -> HostMemory
  private var imports: [BufferID: Import] = [:]
  /// What each number stands for; a buffer has one at a time.
  private var numbers: [UInt64: BufferID] = [:]
  private var lastNumber: UInt32 = 0
  /// Called when nobody in the guest uses a buffer any more.
  var released: (BufferID) -> Void = { _ in }
  /// Called with what the guest is to be told.
  var tell: (BufferUpdate) -> Void = { _ in }
  /// Called with a generation of a buffer's owner that is read.
  var done: (BufferID, UInt64) -> Void = { _, _ in }

  init(access: ContextAccess, room: SharingRoom, allocate: @escaping (Int) throws(GPUError) -> HostMemory) {
    self.access = access
    self.room = room
    self.allocate = allocate
  }

  deinit { room.imports -= imports.count }

  var isEmpty: Bool { imports.isEmpty }

  /// Whether a buffer is held.
  func holds(_ id: BufferID) -> Bool { imports[id] != nil }

  /// A buffer was acquired, or once more: the number that stands for it, and what its memory is to the guest. Whoever may
  /// write it now, and had a copy to read, gets the memory itself.
  /// `files`: where its ranges are, if it consists of such.
  func add(
    _ info: BufferInfo, _ descriptor: SharedDescriptor, in files: VMFiles = [:],
    for acquisition: Acquisition
  ) throws(GPUError) -> (Transmission.Identifier, BufferInfo) {
    let id = info.buffer.id
    if try !hasMemory(id, info.access) {
      if imports[id] == nil, let reason = room.importRefusal { throw .contextCommand(reason) }
      let fresh = try makeImport(info, descriptor, files, acquisition)
      if imports[id] == nil { room.imports += 1 }
      if case .shadow(let shadow) = imports[id] { shadow.abandon() }
      imports[id] = fresh
      forgetNumber(of: id)
    } else if case .shadow(let shadow) = imports[id] {
      shadow.set(acquisition)
    }
    let number = numbers.first { $0.value == id }?.key ?? nextNumber(for: id)
    let identifier = Transmission.Identifier(
      number: UInt32(clamping: number), kind: .blob, byteCount: UInt32(clamping: memory(of: id)?.byteCount ?? 0))
    guard case .shadow(let shadow) = imports[id] else { return (identifier, info) }
    return (identifier, shadow.described(info))
  }

  private func nextNumber(for id: BufferID) -> UInt64 {
    lastNumber = lastNumber % (UInt32(ScreenTable.firstNumber) - 1) + 1
    numbers[UInt64(lastNumber)] = id
    return UInt64(lastNumber)
  }

  /// Memory that the guest still has is the same again, so that there is never a second one that nobody takes away.
  private func hasMemory(_ id: BufferID, _ access: BufferAccess) throws(GPUError) -> Bool {
    switch imports[id] {
    case .shared(let weak):
      guard !weak.isTaken else { throw .contextCommand("a buffer whose former memory is still shown") }
      weak.held = weak.memory
      return weak.held != nil
    case .shadow: return access == .read
    case nil: return false
    }
  }

  private func forgetNumber(of id: BufferID) { numbers = numbers.filter { $0.value != id } }

  private func makeImport(
    _ info: BufferInfo, _ descriptor: SharedDescriptor, _ files: VMFiles, _ acquisition: Acquisition
  ) throws(GPUError) -> Import {
    guard let byteCount = HostMemory.wholePages(Int(clamping: info.memory.byteCount)) else {
      throw .invalidBlobSize(info.memory.byteCount)
    }
    let isMapped = info.access == .readWrite || info.form == .shared || info.form == .readOnly
    guard isMapped, info.memory.kind != .ranges else {
      return .shadow(try makeShadow(info, descriptor, files, acquisition))
    }
    guard info.memory.offset == 0 else { throw .contextCommand("memory that does not begin its file") }
    let id = info.buffer.id
    let memory = HostMemory(
      foreign: descriptor, byteCount: byteCount, isWritable: info.form != .readOnly
    ) { [weak self] in self?.gone(id) }
    return .shared(WeakMemory(memory))
  }

  private func makeShadow(
    _ info: BufferInfo, _ descriptor: SharedDescriptor, _ files: VMFiles, _ acquisition: Acquisition
  ) throws(GPUError) -> ShadowCopy {
    let id = info.buffer.id
    let source = try ShadowSource(info, descriptor, in: files, room.pieces)
    let shadow = try ShadowCopy(info, of: source, for: acquisition, allocate: allocate)
    shadow.tell = { [weak self] in self?.tell($0) }
    shadow.copied = { [weak self] in self?.done(id, $0) }
    return shadow
  }

  private func memory(of id: BufferID) -> HostMemory? {
    switch imports[id] {
    case .shared(let weak): weak.memory
    case .shadow(let shadow): shadow.memory
    case nil: nil
    }
  }

  /// What a number stands for.
  func memory(ofBlob number: UInt64, byteCount: UInt64) throws(GPUError) -> HostMemory {
    guard let id = numbers[number], let memory = memory(of: id), UInt64(memory.byteCount) == byteCount else {
      throw .unknownBlob(number)
    }
    return memory
  }

  /// Pixels have changed: of a copy the guest is told when it is up to date, of the memory itself at once.
  func update(_ update: BufferUpdate) {
    guard case .shadow(let shadow) = imports[update.id] else { return tell(update) }
    shadow.update(update)
  }

  /// The guest knows how it has a buffer: what waits goes on.
  func resume(_ id: BufferID) {
    if case .shadow(let shadow) = imports[id] { shadow.advance() }
  }

  /// The guest has read a generation: of its copy, or of the owner's memory.
  func guestIsDone(_ id: BufferID, _ generation: UInt64) {
    guard case .shadow(let shadow) = imports[id] else { return done(id, generation) }
    shadow.done(generation)
  }

  // MARK: Letting go

  /// The program lets go: the lease ends when no resource of the guest's has the memory any more.
  func release(_ id: BufferID) {
    forgetNumber(of: id)
    switch imports[id] {
    case .shared(let weak): weak.held = nil
    case .shadow: gone(id)
    case nil: break
    }
  }

  private func gone(_ id: BufferID) {
    guard imports.removeValue(forKey: id) != nil else { return }
    room.imports -= 1
    released(id)
  }

  /// The guest must not have the memory any more, whatever its program does.
  func takeAway(_ id: BufferID) {
    switch imports[id] {
    case .shared(let weak):
      weak.isTaken = true
      if let memory = weak.memory { access.takeAway(memory) }
    case .shadow(let shadow): shadow.empty()
    case nil: return
    }
    release(id)
  }

  /// As ``takeAway(_:)``, with all.
  func takeAllAway() {
    for id in Array(imports.keys) { takeAway(id) }
  }
}
