import Buffers
import CrossDomain
import GPUDevice
import HubProtocol
import Platform

/// The screens of other VMs that a guest's program sees, and the numbers by which it makes resources of their pictures.
final class ScreenTable {
  /// The most screens of a program, those that were asked for and not given yet included.
  static let maximumCount = 16
  /// Their numbers; those of other buffers are below.
  static let firstNumber: UInt64 = 0x4000_0000

  private struct Entry {
    let view: ScreenView
    let number: UInt64
  }

  private let vm: PeerName
  private let allocate: (Int) throws(GPUError) -> HostMemory
  /// Told what the program is to hear.
  var tell: (Message, UInt64, Transmission.Identifier?) -> Void = { _, _, _ in }
  private var entries: [BufferID: Entry] = [:]
  private var lastNumber: UInt64 = 0

  init(vm: PeerName, allocate: @escaping (Int) throws(GPUError) -> HostMemory) {
    self.vm = vm
    self.allocate = allocate
  }

  /// Asks for a screen; the program hears of it under the serial.
  func open(
    _ screen: ScreenKey, serial: UInt64, _ loop: EventLoop, _ connect: () throws(SystemError) -> FileDescriptor
  ) throws(GPUError) {
    guard entries.count < Self.maximumCount else { throw .contextCommand("more than \(Self.maximumCount) screens") }
    lastNumber = (lastNumber + 1) % Self.firstNumber
    let number = Self.firstNumber + lastNumber
    var id: BufferID?
    let view = ScreenView(screen, allocate: allocate) { [weak self] news in
      if let id { self?.take(news, of: id, serial) }
    }
    id = view.id
    entries[view.id] = Entry(view: view, number: number)
    do throws(SystemError) {
      try view.start(vm, loop, connect)
    } catch {
      take(.declined(Refusal(.notFound, reason: "no hub: \(error)")), of: view.id, serial)
    }
  }

  private func take(_ news: ScreenView.News, of id: BufferID, _ serial: UInt64) {
    guard let entry = entries[id] else { return }
    switch news {
    case .acquired(let info, let memory):
      let blob = Transmission.Identifier(
        number: UInt32(clamping: entry.number), kind: .blob, byteCount: UInt32(clamping: memory.byteCount))
      tell(.application(.acquired(info)), serial, blob)
    case .updated(let update): tell(.application(.updated(update)), 0, nil)
    case .revoked:
      entries[id] = nil
      tell(.application(.revoked(id, milliseconds: 0)), 0, nil)
    case .retired:
      entries[id] = nil
      tell(.application(.retired(id, milliseconds: 0)), 0, nil)
    case .declined(let refusal):
      entries[id] = nil
      var refusal = refusal
      refusal.messageType = MessageType.view.rawValue
      tell(.error(refusal), serial, nil)
    }
  }

  /// What a number stands for.
  func memory(ofBlob number: UInt64, byteCount: UInt64) throws(GPUError) -> HostMemory {
    let entry = entries.values.first { $0.number == number }
    guard let memory = entry?.view.memory, UInt64(memory.byteCount) == byteCount else { throw .unknownBlob(number) }
    return memory
  }

  /// The program has read a screen's picture; false when it is none.
  func done(_ id: BufferID, generation: UInt64) -> Bool {
    entries[id]?.view.done(generation)
    return entries[id] != nil
  }

  /// The program lets a screen's picture go; false when it is none.
  func release(_ id: BufferID) -> Bool {
    entries.removeValue(forKey: id).map { $0.view.close() } != nil
  }

  /// All of them, for a program that has gone, or must not see them any more.
  func closeAll() {
    for entry in entries.values {
      entry.view.close()
      try? entry.view.memory?.punch()
    }
    entries.removeAll()
  }
}
