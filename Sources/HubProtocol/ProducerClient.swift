import Buffers
import Platform

/// What a producer is told.
public protocol ProducerClientDelegate: AnyObject {
  /// Every flush of the scanout through `serial` is done: shown, or nobody shows it, or it has waited long enough.
  func producer(_ client: ProducerClient, latched scanout: ScanoutIndex, through serial: UInt64)
  /// The layout asks for another mode.
  func producer(_ client: ProducerClient, wants mode: Size, of scanout: ScanoutIndex)
  /// The consumers that show the scanout can use other pictures than before: what it shows is to be handed over again
  /// if it no longer fits, or could go a better way now.
  func producer(_ client: ProducerClient, requires requirements: ScanoutRequirements, of scanout: ScanoutIndex)
  /// Nobody holds a buffer any more that was given to `retire`: its memory and what is charged for it can be given back.
  func producer(_ client: ProducerClient, freed buffer: BufferID)
  /// A consumer did not release a buffer in time, or nobody knows whether one did, and it may still be mapped; `freed`
  /// follows when it was retired.
  func producer(_ client: ProducerClient, revoked buffer: BufferID)
  /// The hub came or went (for logs).
  func producer(_ client: ProducerClient, link: HubLinkState)
}

/// A VM's end of the hub: announces its buffers, scanouts, flushes and cursors, and all of it again to a restarted hub.
///
/// Calls only note what changed; it is sent once, after the events that are being handled, merged where the hub did
/// not read for a while.
public final class ProducerClient {
  /// Whoever is told; not kept alive.
  public weak var delegate: (any ProducerClientDelegate)?
  /// The longest a flush waits for consumers (a Linux guest waits 50 ms itself).
  public var latchLimit = Duration.milliseconds(40)
  /// Whether the VMM maps memory for its guest read-only where it is told to; to be said before `start`.
  public var vmmMapsReadOnly = false

  private let loop: EventLoop
  let link: HubLink
  var buffers = ProducerBuffers()
  var scanouts = [ProducerScanout](repeating: ProducerScanout(), count: ScanoutIndex.maximumCount)
  private var isConnected = false
  private var needsState = false
  private var ledger: LedgerReport?
  private var needsLedger = false
  private var isTimerArmed = false
  private let takesLinks: Bool
  private var needsLinkReady = false
  private lazy var links = ProducerLinks(owner: self, loop: loop)
  /// The scanouts whose flushes the hub passes on to somebody.
  private var wanted = ScanoutSet.all
  /// Rises with each change of a scanout's content, over restarts of the producer as well.
  private var lastGeneration = UInt64(clamping: MonotonicTime.now.nanoseconds)
  private var isCountScheduled = false
  private var needsCounts = false

  /// A client that does nothing before `start`. Without `takesLinks` all its flushes go by way of the hub. `reach`, if
  /// given, connects to the hub's socket for it.
  public init(
    hubPath: String, vm: PeerName, socketPath: String = "", memoryLimit: UInt64 = 0, loop: EventLoop,
    takesLinks: Bool = true, reach: (() throws(SystemError) -> FileDescriptor)? = nil
  ) {
    self.loop = loop
    self.takesLinks = takesLinks
    let hello = Hello(role: .producer, name: vm, memoryLimit: memoryLimit, socketPath: socketPath)
    link =
      if let reach { HubLink(hello: hello, loop: loop, reach: reach) } else {
        HubLink(path: hubPath, hello: hello, loop: loop)
      }
    link.client = self
  }

  /// Connects, and from now on whenever there is a hub.
  public func start() { link.start() }
  /// Leaves the hub for good: its displays show that the VM is gone.
  public func stop() {
    link.stop()
    links.closeAll()
  }
  /// Whether there is a connection to a hub.
  public var isLinked: Bool { link.isUp }

  /// Whether a VMM is connected to this producer; not, until told.
  public func setVMConnected(_ connected: Bool) {
    guard connected != isConnected else { return }
    isConnected = connected
    needsState = true
    link.schedulePump()
  }

  /// What the VM has of this host, for the hub's lists; the newest wins.
  public func report(_ ledger: LedgerReport) {
    guard ledger != self.ledger else { return }
    self.ledger = ledger
    needsLedger = true
    link.schedulePump()
  }

  /// Announces a scanout, or that it offers its guest another size.
  public func setMode(_ mode: Size, of scanout: ScanoutIndex) {
    guard scanout.isValid, !mode.isEmpty else { return }
    scanouts[scanout.index].mode = mode
    noteSet(scanout)
  }

  /// Shows a part of a host buffer on the scanout, registering the buffer when it is new; `retire` takes it back.
  /// `reason` says what is copied into it, if anything.
  ///
  /// - Throws: when the system has no descriptor left for a new buffer; nothing changes then.
  public func show(
    _ buffer: HostBuffer, source: Rectangle, on scanout: ScanoutIndex, reason: HandOverReason = .transferred
  ) throws(SystemError) {
    guard scanout.isValid else { return }
    if !buffers.contains(buffer.id) { try buffers.add(SharedPicture(buffer, reason: reason)) }
    setContent(ScanoutState.Content(buffer: buffer.id, source: source), of: scanout)
  }

  func setContent(_ content: ScanoutState.Content?, of scanout: ScanoutIndex) {
    lastGeneration += 1
    scanouts[scanout.index].content = content
    scanouts[scanout.index].generation = lastGeneration
    noteSet(scanout)
  }

  /// Turns the scanout off.
  public func turnOff(_ scanout: ScanoutIndex) {
    guard scanout.isValid else { return }
    setContent(nil, of: scanout)
  }

  /// Takes a buffer back; scanouts that show it turn off.
  ///
  /// - Returns: whether somebody may still read it, so that the delegate is told when it is freed; without a hub nobody
  ///   can say that, and nothing is waited for.
  @discardableResult
  public func retire(_ id: BufferID) -> Bool {
    let retirement = buffers.retire(id)
    if retirement == .unknown { return false }
    if retirement == .unsure { delegate?.producer(self, revoked: id) }
    for index in scanouts.indices where scanouts[index].content?.buffer == id { turnOff(ScanoutIndex(index)) }
    link.schedulePump()
    return retirement == .waits
  }

  /// The pixels inside `damage` (in the buffer) changed.
  ///
  /// - Returns: the serial that `latched` will name; nil when nobody has to be waited for.
  public func flush(_ scanout: ScanoutIndex, damage: Rectangle) -> UInt64? {
    guard scanout.isValid, scanouts[scanout.index].content != nil else { return nil }
    let serial = scanouts[scanout.index].lastSerial + 1
    scanouts[scanout.index].lastSerial = serial
    let goesToHub = link.isUp && wanted.contains(scanout)
    if goesToHub { tellHub(scanout, damage, serial) } else { count(scanout) }
    guard tellLinks(scanout, damage, serial) || goesToHub else { return nil }
    let deadline = MonotonicTime.now + latchLimit
    scanouts[scanout.index].waiting.append(serial: serial, deadline: deadline)
    armTimer(deadline)
    return serial
  }

  private func tellHub(_ scanout: ScanoutIndex, _ damage: Rectangle, _ serial: UInt64) {
    scanouts[scanout.index].damage = scanouts[scanout.index].damage.union(damage)
    scanouts[scanout.index].needsFlush = true
    scanouts[scanout.index].hubSent = serial
    link.schedulePump()
  }

  private func tellLinks(_ scanout: ScanoutIndex, _ damage: Rectangle, _ serial: UInt64) -> Bool {
    // Without a hub nobody learns of another content, and nobody can show it.
    guard link.isUp || !scanouts[scanout.index].needsSet else { return false }
    return links.flush(scanout, damage, generation: scanouts[scanout.index].generation, serial: serial)
  }

  /// Changes a scanout's cursor; its picture is copied.
  public func setCursor(_ cursor: CursorState, of scanout: ScanoutIndex) {
    guard scanout.isValid else { return }
    scanouts[scanout.index].cursor = cursor
    scanouts[scanout.index].needsCursor = true
    scanouts[scanout.index].needsCursorMove = false
    link.schedulePump()
  }

  /// Moves a scanout's cursor.
  public func moveCursor(of scanout: ScanoutIndex, x: Int32, y: Int32) {
    guard scanout.isValid else { return }
    scanouts[scanout.index].cursor.x = x
    scanouts[scanout.index].cursor.y = y
    scanouts[scanout.index].needsCursorMove = true
    link.schedulePump()
  }

  private func noteSet(_ scanout: ScanoutIndex) {
    scanouts[scanout.index].isAnnounced = true
    scanouts[scanout.index].needsSet = true
    link.schedulePump()
  }

  // MARK: Latching

  private func armTimer(_ deadline: MonotonicTime) {
    guard !isTimerArmed else { return }
    isTimerArmed = true
    loop.schedule(at: deadline) { [weak self] in self?.expire() }
  }

  private func expire() {
    isTimerArmed = false
    let now = MonotonicTime.now
    for index in scanouts.indices {
      guard let serial = scanouts[index].waiting.removeExpired(at: now) else { continue }
      delegate?.producer(self, latched: ScanoutIndex(index), through: serial)
    }
    let next = scanouts.compactMap(\.waiting.nextDeadline).min()
    if let next { armTimer(next) }
  }

  private func latched(_ scanout: ScanoutIndex, through serial: UInt64) {
    guard scanouts[scanout.index].waiting.remove(through: serial) else { return }
    delegate?.producer(self, latched: scanout, through: serial)
  }

  /// Ends the waiting for what everybody has latched who was told.
  private func settle(_ scanout: ScanoutIndex) {
    let entry = scanouts[scanout.index]
    guard !entry.waiting.isEmpty else { return }
    var done = min(entry.lastSerial, links.done(scanout))
    if entry.hubLatched < entry.hubSent { done = min(done, entry.hubLatched) }
    latched(scanout, through: done)
  }

  // MARK: Counting

  /// A flush that the hub does not see; it is told of their number, ten times a second at most.
  private func count(_ scanout: ScanoutIndex) {
    scanouts[scanout.index].uncounted += 1
    guard link.isUp, !isCountScheduled else { return }
    isCountScheduled = true
    loop.schedule(after: .milliseconds(100)) { [weak self] in
      guard let self else { return }
      isCountScheduled = false
      needsCounts = true
      link.schedulePump()
    }
  }
}

extension ProducerClient: HubLinkClient {
  func linkOpened() {
    for index in scanouts.indices { scanouts[index].forgetAnnounced() }
    needsState = true
    needsLedger = ledger != nil
    needsLinkReady = takesLinks
    needsCounts = false
    wanted = .all
    links.closeAll()
  }

  func linkReceived(_ message: Message, serial: UInt64, descriptor: consuming FileDescriptor?) {
    switch message {
    case .flushLatched(let scanout):
      scanouts[scanout.index].hubLatched = max(scanouts[scanout.index].hubLatched, serial)
      settle(scanout)
    case .producerLink(let id, let display):
      if let descriptor, takesLinks { links.open(id, display: display, descriptor, owner: self) }
    case .linkScanouts(let id, let shown): links.show(id, shown, serial: serial)
    case .flushesWanted(let scanouts): setWanted(scanouts)
    case .scanoutMode(let scanout, let mode): delegate?.producer(self, wants: mode, of: scanout)
    case .scanoutRequirements(let scanout, let requirements): receive(requirements, of: scanout)
    case .bufferFreed(let id): receiveFreed(id)
    case .application(.bufferRevoked(let id)): delegate?.producer(self, revoked: id)
    default: break
    }
  }

  func linkLost() {
    for index in scanouts.indices {
      scanouts[index].hubLatched = scanouts[index].hubSent
      settle(ScanoutIndex(index))
    }
    for id in buffers.forgetAnnounced() {
      delegate?.producer(self, revoked: id)
      delegate?.producer(self, freed: id)
    }
  }

  /// Who comes to watch by way of the hub has missed what went by links only: everything is damaged.
  private func setWanted(_ new: ScanoutSet) {
    let added = new.subtracting(wanted)
    wanted = new
    for index in scanouts.indices where added.contains(ScanoutIndex(index)) {
      guard let content = scanouts[index].content else { continue }
      scanouts[index].lastSerial += 1
      tellHub(ScanoutIndex(index), content.source, scanouts[index].lastSerial)
    }
  }

  func linkChanged(_ state: HubLinkState) {
    delegate?.producer(self, link: state)
  }

  func linkPump() {
    guard pumpState(), pumpLedger(), pumpScanouts(), buffers.pumpUnregistered(on: link), pumpFlushes(), pumpLinks(),
      pumpCounts()
    else {
      return
    }
    pumpCursors()
  }

  private func pumpState() -> Bool {
    guard needsState else { return true }
    guard link.send(.vmState(connected: isConnected, mapsReadOnly: vmmMapsReadOnly)) else { return false }
    needsState = false
    return true
  }

  private func pumpLedger() -> Bool {
    guard needsLedger, let ledger else { return true }
    guard link.send(.vmLedger(ledger)) else { return false }
    needsLedger = false
    return true
  }

  /// Behind the flushes that were sent before the way changed.
  private func pumpLinks() -> Bool {
    if needsLinkReady {
      guard link.send(.producerLinkReady) else { return false }
      needsLinkReady = false
    }
    return links.tell { link.send(.linkRoute($0, $1), serial: $2) }
  }

  private func pumpCounts() -> Bool {
    guard needsCounts else { return true }
    for index in scanouts.indices where scanouts[index].uncounted > 0 {
      guard link.send(.flushesLinked(ScanoutIndex(index), count: scanouts[index].uncounted)) else { return false }
      scanouts[index].uncounted = 0
    }
    needsCounts = false
    return true
  }

  private func pumpScanouts() -> Bool {
    for index in scanouts.indices where scanouts[index].needsSet {
      if let content = scanouts[index].content, !buffers.announce(content.buffer, on: link) { return false }
      let scanout = scanouts[index]
      let state = ScanoutState(scanout: ScanoutIndex(index), mode: scanout.mode, content: scanout.content)
      guard link.send(.scanoutSet(state), serial: scanout.generation) else { return false }
      scanouts[index].needsSet = false
    }
    return true
  }

  private func pumpFlushes() -> Bool {
    for index in scanouts.indices where scanouts[index].needsFlush {
      let scanout = scanouts[index]
      guard link.send(.flush(ScanoutIndex(index), damage: scanout.damage), serial: scanout.lastSerial) else {
        return false
      }
      scanouts[index].needsFlush = false
      scanouts[index].damage = .empty
    }
    return true
  }

  private func pumpCursors() {
    for index in scanouts.indices {
      let scanout = ScanoutIndex(index)
      let cursor = scanouts[index].cursor
      if scanouts[index].needsCursor {
        guard link.send(.cursorSet(scanout, cursor)) else { return }
        scanouts[index].needsCursor = false
        scanouts[index].needsCursorMove = false
      }
      if scanouts[index].needsCursorMove {
        guard link.send(.cursorMove(scanout, x: cursor.x, y: cursor.y)) else { return }
        scanouts[index].needsCursorMove = false
      }
    }
  }
}

extension ProducerClient: ProducerLinksOwner, ProducerLinkOwner {
  func linksSettled(_ scanout: ScanoutIndex) { settle(scanout) }
  func linksChanged() { link.schedulePump() }
  func linkLatched(_ link: ProducerLink, _ scanout: ScanoutIndex) { settle(scanout) }
  func linkEnded(_ link: ProducerLink) { links.remove(link) }
}
