import Buffers
import Hub
import HubProtocol
import Platform

/// Lets applications and VMs say anything about buffers, leases and grants, in any order; in the end nothing of them may
/// be left in the hub.
@Sendable public func fuzzApplications(_ input: UnsafeRawBufferPointer) {
  // The machine's own resources may run out; that says nothing about the hub.
  guard let machine = try? ApplicationMachine(FuzzInput(input)) else { return }
  machine.run()
}

/// A hub with four parties. The input: actions of one byte each with their operands.
private final class ApplicationMachine {
  private static let names = ["a", "b"].compactMap { PeerName($0) }
  private static let buffers = (1...3).map { BufferID(high: 0x4000, low: 2 << 62 | UInt64($0)) }

  private var input: FuzzInput
  private let fuzzed: FuzzedHub
  private let writable: FileDescriptor
  private let sealed: FileDescriptor
  private let bell: Doorbell

  init(_ input: FuzzInput) throws(SystemError) {
    self.input = input
    fuzzed = try FuzzedHub { $0.leaseLimit = .zero }
    let file = try SharedMemoryFile(name: "fuzz", count: 65_536)
    sealed = try file.readOnly()
    writable = file.takeWritable()
    bell = try Doorbell()
  }

  func run() {
    while !input.isEmpty {
      let slot = input.next(below: fuzzed.count)
      switch input.byte() % 16 {
      case 0: fuzzed.drop(slot)
      case 1, 2: fuzzed.turn()
      case 3: fuzzed.drain(slot)
      case 4: fuzzed.send(input.take(input.next(below: 600)), to: slot)
      case 5, 6: fuzzed.say(.hello(Hello(role: role(), name: name())), to: slot)
      default: say(message(), to: slot)
      }
    }
    fuzzed.expectNothingLeft(Self.names.first)
  }

  private func say(_ message: ApplicationMessage, to slot: Int) {
    fuzzed.say(.application(message), serial: UInt64(input.byte()), descriptor: descriptor(for: message), to: slot)
  }

  private func descriptor(for message: ApplicationMessage) -> Int32? {
    switch message {
    case .offer(let offer):
      let isHonest = input.byte() % 8 != 0
      return offer.isWritable == isHonest ? writable.raw : sealed.raw
    case .update, .done:
      let choice = input.byte() % 8
      return choice == 0 ? sealed.raw : choice < 4 ? bell.waiting.raw : nil
    default: return nil
    }
  }

  private func message() -> ApplicationMessage {
    switch input.next(below: 16) {
    case 0, 1: .offer(offer())
    case 2: .withdraw(id())
    case 3, 4: .update(BufferUpdate(id: id(), damage: .empty, generation: UInt64(input.byte())))
    case 5, 6: .acquire(acquisition())
    case 7: .release(id())
    case 8: .done(id(), generation: UInt64(input.byte()))
    case 9: .lookup(key())
    case 10: .query(query())
    case 11: .constraints(constraints())
    case 12: .requirements((0..<input.next(below: 3) + 1).map { _ in party() })
    case 13, 14: .grant(grant())
    default:
      switch input.byte() % 4 {
      case 0, 2: .revoke(GrantID(rawValue: UInt64(input.byte() % 16)))
      case 1: .grants(cursor: 0)
      default: .cancel(serial: UInt64(input.byte()))
      }
    }
  }

  private func role() -> Role { [.application, .application, .producer, .control][input.next(below: 4)] }
  private func name() -> PeerName { Self.names[input.next(below: Self.names.count)] }
  private func id() -> BufferID { Self.buffers[input.next(below: Self.buffers.count)] }
  private func access() -> BufferAccess { input.byte() % 3 == 0 ? .readWrite : .read }

  private func party() -> Party {
    let kinds: [Party.Kind] = [.application, .application, .vm, .display]
    return Party(kinds[input.next(below: kinds.count)], name())
  }

  private func key() -> BufferKey { input.byte() % 2 == 0 ? .id(id()) : .name(name(), owner: party()) }

  private func offer() -> BufferOffer {
    guard let layout = PixelLayout(size: Size(width: 16, height: 16), format: .xrgb8888) else {
      fatalError("a layout that is right")
    }
    let kind: MemoryKind = input.byte() % 16 == 0 ? .dmaBuf : .file
    return BufferOffer(
      buffer: BufferDescription(id: id(), layout: layout),
      memory: MemoryDescription(kind: kind, side: .host, reason: .hostAllocated, byteCount: 1024, offset: 0),
      name: input.byte() % 2 == 0 ? name() : nil, isWritable: input.byte() % 4 == 0,
      properties: [BufferProperty("k", "v")].compactMap { $0 })
  }

  private func acquisition() -> Acquisition {
    let key = key()
    let flags = input.byte()
    if case .id = key { return Acquisition(key, access: access(), wantsUpdates: flags & 1 != 0) }
    return Acquisition(key, access: access(), wantsUpdates: flags & 1 != 0, waits: flags & 2 != 0)
  }

  private func query() -> BufferQuery {
    var query = BufferQuery()
    query.cursor = UInt64(input.byte() % 8)
    query.isOwn = input.byte() % 4 == 0
    if input.byte() % 2 == 0 { query.name = name() }
    if input.byte() % 4 == 0 { query.property = BufferProperty("k", input.byte() % 2 == 0 ? "v" : "") }
    return query
  }

  private func constraints() -> Constraints {
    var constraints = Constraints()
    constraints.strideAlignment = UInt32(input.byte()) + 1
    constraints.maximumWidth = UInt32(input.byte()) + 1
    constraints.widthMultiple = UInt32(input.byte()) + 1
    if input.byte() % 2 == 0 { constraints.formats = [.xrgb8888] }
    return constraints
  }

  private func grant() -> GrantRequest {
    let objects: [GrantObject] = [.id(id()), .name(name()), .everything]
    let owner = input.byte() % 2 == 0 ? nil : party()
    return GrantRequest(owner: owner, to: party(), object: objects[input.next(below: 3)], access: access())
  }
}
