import Buffers
import CrossDomain
import GPUDevice
import HubProtocol
import Platform

/// A channel whose other end is the hub: each transmission is one message of the hub protocol, whose descriptor, if it has
/// one, is an identifier (protocol.md section 13).
///
/// The hub sees the program as a connection of the VM's (role guest). What the program says is decoded and encoded anew
/// here, so that only messages of section 8 pass, and descriptors only of memory that this process made or was given.
final class HubChannel: ChannelService {
  /// Messages of the hub's that the program has not taken, before no more are read.
  private static let maximumInbox = 64
  /// Messages of anybody's that the program has not taken, before the channel ends: more than there are for a program that
  /// asks for one thing after the other, however much it holds.
  private static let maximumUnread = 4096
  /// Messages of the program's that the hub has not taken, before the channel ends.
  private static let maximumOutbox = 256

  private struct Outgoing {
    let message: Message
    let serial: UInt64
    let descriptor: SharedDescriptor?
  }

  private let vm: PeerName
  private let sharesDisplays: Bool
  private let note: (String) -> Void
  private let ready: () -> Void
  private let room: SharingRoom
  private let exports: ExportTable
  private let imports: ImportTable
  private var fenced: FencedUpdates?
  private var answers: FencedAnswers?
  private let screens: ScreenTable
  /// Reaches the hub once more.
  private var reach: (loop: EventLoop, connect: () throws(SystemError) -> FileDescriptor)?
  private var connection: HubConnection?
  private var isGreeted = false
  private var isWelcome = false
  private(set) var isOver = false
  /// Requests of the card's own that are not answered yet; they have the serial 0.
  private var ownRequests = 0
  private var isClosed = false
  private var inbox: [Transmission] = []
  /// Other VMs' memory, of the buffer that comes next.
  private var files: VMFiles = [:]
  private var outbox: [Outgoing] = []
  /// When the card gives up waiting for readers of pages that the guest takes back.
  private var deadlines: [BufferID: EventLoop.TimerToken] = [:]
  /// What was asked for and is not answered yet.
  private var acquisitions: [UInt64: Acquisition] = [:]
  /// Called with true when the channel is to be kept although its program has gone, with false when it is over.
  var lingers: (Bool) -> Void = { _ in }

  init(
    vm: PeerName, sharesDisplays: Bool = false, access: ContextAccess, room: SharingRoom,
    allocate: @escaping (Int) throws(GPUError) -> HostMemory,
    note: @escaping (String) -> Void, ready: @escaping () -> Void
  ) {
    self.vm = vm
    self.sharesDisplays = sharesDisplays
    self.note = note
    self.ready = ready
    self.room = room
    exports = ExportTable(access: access, room: room)
    imports = ImportTable(access: access, room: room, allocate: allocate)
    screens = ScreenTable(vm: vm, allocate: allocate)
    exports.recalled = { [weak self] in self?.recalled($0) }
    imports.released = { [weak self] in self?.released($0) }
    imports.tell = { [weak self] in self?.tell(.application(.updated($0)), 0) }
    imports.done = { [weak self] in self?.post(.application(.done($0, generation: $1)), 0) }
    screens.tell = { [weak self] in self?.tell($0, $1, $2) }
  }

  /// Connects; where there is no hub, the channel is over at once, which its program is told.
  func start(_ loop: EventLoop, _ connect: @escaping () throws(SystemError) -> FileDescriptor) {
    reach = (loop, connect)
    fenced = FencedUpdates(loop: loop) { [weak self] in self?.imports.update($0) }
    answers = FencedAnswers(loop: loop) { [weak self] in self?.tell(.application($0), 0) }
    do throws(SystemError) {
      let connection = try HubConnection(try connect(), loop: loop)
      connection.handler = self
      self.connection = connection
    } catch {
      note("no channel to the hub: \(error)")
      isOver = true
    }
  }

  // MARK: From the program

  func send(_ transmission: Transmission) throws(GPUError) {
    guard !isOver else { return }
    let (message, serial, hasDescriptor) = try decode(transmission.data)
    guard hasDescriptor == (transmission.identifiers.count == 1), transmission.identifiers.count <= 1 else {
      throw .contextCommand("identifiers that its message does not have")
    }
    switch message {
    case .hello where !isGreeted:
      isGreeted = true
      post(.hello(Hello(role: .guest, name: vm)), serial)
    case .application(let message) where isGreeted: try pass(message, serial, transmission.identifiers.first)
    default: throw .contextCommand("\(message.type) is not a program's message, or HELLO did not come first")
    }
  }

  private func decode(_ data: [UInt8]) throws(GPUError) -> (Message, UInt64, Bool) {
    do throws(ProtocolError) {
      return try PacketParser.parseDetached(data)
    } catch {
      throw .contextCommand("\(error)")
    }
  }

  private func pass(
    _ message: ApplicationMessage, _ serial: UInt64, _ identifier: Transmission.Identifier?
  ) throws(GPUError) {
    switch message {
    case .offer(let offer): try self.offer(offer, serial, identifier)
    case .view(let screen): try view(screen, serial)
    case .release(let id): if !screens.release(id) { imports.release(id) }
    case .done(let id, let generation) where screens.done(id, generation: generation): break
    case .grant(let grant) where !mayPass(grant): decline(message, serial)
    case .update(let update) where !exports.isInPlace(update.id):
      throw .contextCommand("an update of pages that are gone")
    case .update, .done:
      guard identifier == nil else { throw .contextCommand("a fence: let the command wait for it instead") }
      if case .done(let id, let generation) = message { return imports.guestIsDone(id, generation) }
      post(.application(message), serial)
    case .acquire(let acquisition):
      acquisitions[serial] = acquisition
      post(.application(message), serial)
    case .withdraw, .cancel, .lookup, .query, .constraints, .requirements, .grant, .revoke, .grants, .screens:
      post(.application(message), serial)
    default: throw .contextCommand("\(message.type) is a message of the hub's")
    }
  }

  private func view(_ screen: ScreenKey, _ serial: UInt64) throws(GPUError) {
    guard inbox.count < Self.maximumInbox, let reach else { throw .contextCommand("answers are not read") }
    try screens.open(screen, serial: serial, reach.loop, reach.connect)
  }

  /// What a screen shows is not one program's to give away, unless the configuration says so.
  private func mayPass(_ grant: GrantRequest) -> Bool {
    guard case .scanout = grant.object else { return true }
    return sharesDisplays
  }

  private func decline(_ message: ApplicationMessage, _ serial: UInt64) {
    let reason = "this VM's programs may not share its displays (share_displays in its configuration)"
    tell(.error(Refusal(.notFound, about: message.type.rawValue, reason: reason)), serial)
  }

  private func offer(
    _ offer: BufferOffer, _ serial: UInt64, _ identifier: Transmission.Identifier?
  ) throws(GPUError) {
    guard let identifier, identifier.kind == .blob else { throw .contextCommand("an offer without a resource") }
    if let reason = room.exportRefusal {
      return tell(.error(Refusal(.overLimit, about: MessageType.bufferOffer.rawValue, reason: reason)), serial)
    }
    switch try exports.add(offer, serial: serial, resource: ResourceID(rawValue: identifier.number)) {
    case .success(let offered):
      for file in exports.takeUntoldFiles() {
        post(.memoryRegister(file.id, byteCount: file.byteCount), 0, file.descriptor)
      }
      post(.application(.offer(offered.offer)), serial, offered.descriptor)
    case .failure(var refusal):
      refusal.messageType = MessageType.bufferOffer.rawValue
      tell(.error(refusal), serial)
    }
  }

  /// How long a guest waits at most for pages that it takes back while they are shared: longer than the hub waits for
  /// those who have them.
  private static let patience = Duration.seconds(30)

  /// The guest takes pages back whose buffer its program has not taken back: it ends in the program's place.
  private func recalled(_ id: BufferID) {
    guard let export = exports.recall(id) else { return }
    ownRequests += 1
    post(.application(.withdraw(id)), 0)
    deadlines[id] = reach?.loop.schedule(after: Self.patience) { [weak self, weak export] in
      guard let self, let export else { return }
      deadlines[id] = nil
      exports.giveUp(export)
      endIfNothingIsLeft()
    }
  }

  private func cancelDeadline(of id: BufferID) {
    if let timer = deadlines.removeValue(forKey: id) { reach?.loop.cancel(timer) }
  }

  /// Whether it answers a request of the card's own.
  private func isOwn(_ message: Message, _ serial: UInt64) -> Bool {
    guard serial == 0, ownRequests > 0 else { return false }
    switch message {
    case .application(.accepted): break
    case .error(let refusal) where refusal.messageType == MessageType.bufferWithdraw.rawValue: break
    default: return false
    }
    ownRequests -= 1
    return true
  }

  private func released(_ id: BufferID) {
    fenced?.drop(id)
    post(.application(.release(id)), 0)
    endIfNothingIsLeft()
  }

  private func post(_ message: Message, _ serial: UInt64, _ descriptor: SharedDescriptor? = nil) {
    guard let connection else { return }
    if outbox.isEmpty, connection.send(message, serial: serial, descriptor: descriptor) {
      return connection.transmit()
    }
    guard outbox.count < Self.maximumOutbox else { return end("it asks faster than it reads answers") }
    outbox.append(Outgoing(message: message, serial: serial, descriptor: descriptor))
  }

  func write(_ data: PipeData) throws(GPUError) { throw .contextCommand("the hub's channel has no pipes") }

  // MARK: To the program

  func next() -> CrossDomainCommand? {
    if !inbox.isEmpty {
      let first = inbox.removeFirst()
      if inbox.isEmpty { connection?.pauseReading(false) }
      return .receive(first)
    }
    return isOver ? .receive(Transmission([])) : nil
  }

  private func tell(_ message: Message, _ serial: UInt64, _ blob: Transmission.Identifier? = nil) {
    guard !isClosed, !isOver else { return }
    guard inbox.count < Self.maximumUnread else { return end("its program does not read") }
    inbox.append(
      Transmission(
        message.encoded(serial: serial, carriesDescriptor: blob != nil), identifiers: blob.map { [$0] } ?? []))
    if inbox.count >= Self.maximumInbox { connection?.pauseReading(true) }
    ready()
  }

  func memory(ofBlob number: UInt64, byteCount: UInt64) throws(GPUError) -> HostMemory {
    guard number < ScreenTable.firstNumber else { return try screens.memory(ofBlob: number, byteCount: byteCount) }
    return try imports.memory(ofBlob: number, byteCount: byteCount)
  }

  // MARK: Ending

  /// The program has gone: what it offered is taken back, what it holds released. The connection stays until nobody uses
  /// what was shared.
  func close() {
    isClosed = true
    inbox.removeAll()
    guard !isOver else { return }
    connection?.pauseReading(false)
    screens.closeAll()
    for id in exports.ids { post(.application(.withdraw(id)), 0) }
    imports.takeAllAway()
    lingers(true)
    endIfNothingIsLeft()
  }

  private func endIfNothingIsLeft() {
    guard isClosed, exports.isEmpty, imports.isEmpty else { return }
    connection?.close()
    connection = nil
    lingers(false)
  }

  /// The channel is over: what others gave is taken away; what was given to others is the program's alone, which may offer
  /// it again.
  private func end(_ reason: String) {
    note("channel to the hub ended: \(reason)")
    isOver = true
    connection?.close()
    connection = nil
    outbox.removeAll()
    fenced?.dropAll()
    answers?.dropAll()
    screens.closeAll()
    imports.takeAllAway()
    exports.removeAll()
    for id in deadlines.keys { cancelDeadline(of: id) }
    if isClosed { lingers(false) } else { ready() }
  }
}

extension HubChannel: HubConnectionHandler {
  func connection(
    _ connection: HubConnection, received message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) {
    if isOwn(message, serial) { return }
    switch message {
    case .memorySet(let key, let byteCount):
      guard let descriptor else { return }
      files[key.memory] = ReadOnlyBuffer.VMMemory(descriptor: SharedDescriptor(descriptor), byteCount: byteCount)
    case .application(.bufferInfo(let info)): tell(.application(.bufferInfo(info.asCopied)), serial)
    case .welcome:
      isWelcome = true
      tell(message, serial)
    case .error(let refusal) where refusal.code == .notPermitted && !isWelcome:
      // The hub does not know this card: not yet, when it has just been started. The program may try again.
      end("\(refusal)")
    case .application(.acquired(let info)):
      guard let descriptor else { return }
      acquired(info, serial, SharedDescriptor(descriptor))
    case .application(.updated(let update)): updated(update, descriptor)
    case .application(.bufferDone(let done)):
      answers?.add(.bufferDone(done), of: done.id, Self.fence(descriptor))
    case .application(.bufferTaken(let taken)): answers?.add(.bufferTaken(taken), of: taken.id, nil)
    case .application(.revoked(let id, _)), .application(.retired(let id, _)):
      // The card lets go in the guest's place, at once: whoever gave the buffer need not wait for the guest.
      imports.takeAway(id)
      tell(message, serial)
    case .bufferFreed(let id):
      answers?.drop(id)
      exports.remove(id)
      cancelDeadline(of: id)
      tell(message, serial)
      endIfNothingIsLeft()
    case .application(.bufferRevoked(let id)):
      exports.empty(id)
      tell(message, serial)
    case .application(.accepted):
      exports.accepted(serial: serial)
      tell(message, serial)
    case .error(let refusal) where refusal.messageType == MessageType.acquire.rawValue:
      acquisitions[serial] = nil
      tell(message, serial)
    case .error(let refusal) where refusal.messageType == MessageType.bufferOffer.rawValue:
      exports.declined(serial: serial)
      tell(message, serial)
    default: tell(message, serial)
    }
  }

  /// The files of the buffer that comes next.
  private func takeFiles() -> VMFiles {
    defer { files.removeAll() }
    return files
  }

  private func updated(_ update: BufferUpdate, _ fence: consuming FileDescriptor?) {
    fenced?.add(update, Self.fence(fence))
  }

  private static func fence(_ descriptor: consuming FileDescriptor?) -> SharedDescriptor? {
    if let descriptor { SharedDescriptor(descriptor) } else { nil }
  }

  private func acquired(_ info: BufferInfo, _ serial: UInt64, _ descriptor: SharedDescriptor) {
    let wanted = acquisitions.removeValue(forKey: serial) ?? Acquisition(.id(info.buffer.id), access: info.access)
    do throws(GPUError) {
      let (blob, own) = try imports.add(info, descriptor, in: takeFiles(), for: wanted)
      tell(.application(.acquired(own.asCopied)), serial, blob)
      imports.resume(info.buffer.id)
    } catch {
      if !imports.holds(info.buffer.id) { post(.application(.release(info.buffer.id)), 0) }
      let refusal = Refusal(.overLimit, about: MessageType.acquire.rawValue, reason: "\(error)")
      tell(.error(refusal), serial)
    }
  }

  func connectionHasRoom(_ connection: HubConnection) {
    while let first = outbox.first {
      guard connection.send(first.message, serial: first.serial, descriptor: first.descriptor) else { break }
      outbox.removeFirst()
    }
    connection.transmit()
  }

  func connection(_ connection: HubConnection, ended reason: HubConnection.End) {
    self.connection = nil
    end("\(reason)")
  }
}

extension BufferInfo {
  /// As the guest has it: what is in other VMs' pages is memory of the host's to it.
  fileprivate var asCopied: BufferInfo {
    guard memory.kind != .file else { return self }
    var info = self
    info.memory = MemoryDescription(
      kind: .file, side: .host, reason: .hostAllocated, byteCount: memory.byteCount)
    return info
  }
}
