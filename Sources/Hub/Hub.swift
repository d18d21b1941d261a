import Buffers
import Glibc
import HubProtocol
import Platform

/// The broker: knows who has which buffers and who shows them where; touches no pixel.
///
/// Events only note what changed. At the end of a turn of the loop the layout is made, if it changed, and each peer
/// about which something was noted is told, in one packet as a rule.
public final class Hub {
  /// How a hub behaves.
  public struct Configuration {
    /// Where scanouts stand; nil places them in a row.
    public var layout: Layout?
    /// After the start: how long VMs that have not come back are not called gone.
    public var grace = Duration.seconds(2)
    /// How long a VM that has left keeps its cell in the automatic layout.
    public var goneRetention = Duration.seconds(60)
    /// How long a connection may be silent before HELLO.
    public var helloLimit = Duration.seconds(5)
    /// Connections at a time.
    public var maximumConnections = 256
    /// VMs at a time, those that have left included.
    public var maximumVMs = 64
    /// Layers of a display.
    public var maximumLayers = 256
    /// Which displays may be handed memory of VMs that holds more than the picture, of those that the layout does not
    /// name.
    public var guestMemoryReaders = DisplayTrust.none
    /// Which VMs may be handed memory of which other VMs, by the reader.
    public var memoryReaders: [PeerName: Set<PeerName>] = [:]
    /// How long a consumer may keep a buffer that it was told to release.
    public var leaseLimit = Duration.seconds(10)
    /// How long after a link broke another one is made; longer each time it does not last.
    public var linkRetry = Duration.seconds(1)
    /// Names that belong to one user, and what those programs may have.
    public var applications: [PeerName: Application] = [:]
    /// What may be used by whom from the start; each with its owner.
    public var grants: [GrantRequest] = []
    /// Who may connect; unless set, the hub's own user and root. Where the system does not say who connects, the socket
    /// file, which is its owner's alone, lets in the same.
    public var admits: (UnixSocket.PeerCredentials?) -> Bool = { peer in
      peer.map { $0.uid == geteuid() || $0.uid == 0 } ?? true
    }

    /// A program that the configuration knows.
    public struct Application: Equatable, Sendable {
      /// The only user who may be it; nil: the hub's own and root.
      public var user: UInt32?
      /// What it may have.
      public var limits: LedgerAmounts

      /// A program.
      public init(user: UInt32? = nil, limits: LedgerAmounts = .usualApplicationLimits) {
        self.user = user
        self.limits = limits
      }
    }

    /// The usual behaviour.
    public init(layout: Layout? = nil) {
      self.layout = layout
    }
  }

  let loop: EventLoop
  private(set) var configuration: Configuration
  let registry = BufferRegistry()
  let accounts: PartyAccounts
  let shared: SharedBuffers
  var grants = GrantTable()
  var endpoints = PartyEndpoints()
  let processID = getpid()
  /// Random for each hub.
  public let instance = UInt64.random(in: 1...UInt64.max)
  /// Whether VMs that have not come yet may still come back from before this hub.
  private(set) var isInGrace = true

  private let report: (HubEvent) -> Void
  private var listeners: [(descriptor: SharedDescriptor, token: EventLoop.Token)] = []
  private var peers: [ObjectIdentifier: Peer] = [:]
  private(set) var machines: [PeerName: VirtualMachine] = [:]
  private(set) var displays: [PeerName: ConsumerSession] = [:]
  /// Who shows VMs other VMs' screens.
  var viewers: [ViewerSession] = []

  private var lastMemorySpace: UInt64 = 0
  private var scheduled: [Peer] = []
  private var isTurnScheduled = false
  private var needsLayout = false
  private var lastLink: UInt64 = 0
  private var graceTimer: EventLoop.TimerToken?
  private var retentionTimer: EventLoop.TimerToken?
  private lazy var turn: () -> Void = { [weak self] in self?.endTurn() }

  /// A hub that nobody can reach yet.
  public init(
    loop: EventLoop, configuration: Configuration = Configuration(), report: @escaping (HubEvent) -> Void = { _ in }
  ) {
    self.loop = loop
    self.configuration = configuration
    self.report = report
    let applications = configuration.applications
    accounts = PartyAccounts { applications[$0.name]?.limits ?? .usualApplicationLimits }
    shared = SharedBuffers(registry: registry, accounts: accounts)
    for grant in configuration.grants { addConfigured(grant) }
    accounts.isConnected = { [unowned self] in !endpoints[$0].isEmpty }
    registry.isGranted = { [unowned self] in grants.covers($0.id, named: $0.sharing.name, of: $0.owner) }
    expectLayout()
    graceTimer = loop.schedule(after: configuration.grace) { [weak self] in self?.endGrace() }
  }

  deinit {
    stopListening()
    for peer in peers.values { peer.connection.close() }
  }

  // MARK: Connections

  /// Listens at a path.
  public func listen(path: String) throws(SystemError) {
    try serve(listening: try UnixSocket.listen(path: path, kind: .sequencedPacket, ownerOnly: true))
  }

  /// Accepts peers from a listening, non-blocking socket.
  public func serve(listening descriptor: consuming FileDescriptor) throws(SystemError) {
    let shared = SharedDescriptor(descriptor)
    let token = try loop.watch(shared.raw, for: .readable) { [weak self] _ in self?.accept(shared) }
    listeners.append((shared, token))
  }

  /// Ends every connection without a word, as the end of the process does.
  public func close() {
    stopListening()
    for peer in Array(peers.values) { peer.end("the hub ends") }
    scheduled.removeAll()
  }

  private func stopListening() {
    for listener in listeners { loop.unwatch(listener.token) }
    listeners.removeAll()
    for timer in [graceTimer, retentionTimer].compactMap({ $0 }) { loop.cancel(timer) }
  }

  /// Connections accepted in one turn: peers that connect without end do not keep the others waiting.
  static let acceptedPerTurn = 16

  private func accept(_ listener: SharedDescriptor) {
    do {
      for _ in 0..<Self.acceptedPerTurn {
        guard let connection = try UnixSocket.accept(listener.raw) else { return }
        serve(connection)
      }
    } catch {
      report(.turnedAway(nil, reason: error.description))
      pauseListening()
    }
  }

  /// Without a descriptor left, accepting again at once would only spin.
  private func pauseListening() {
    for listener in listeners { loop.change(listener.token, to: []) }
    loop.schedule(after: .milliseconds(200)) { [weak self] in
      guard let self else { return }
      for listener in listeners { loop.change(listener.token, to: .readable) }
    }
  }

  /// Serves one connected peer.
  public func serve(_ descriptor: consuming FileDescriptor) {
    let credentials: UnixSocket.PeerCredentials?
    let connection: HubConnection
    do {
      credentials = try UnixSocket.peerCredentials(descriptor.raw)
      connection = try HubConnection(descriptor, loop: loop)
    } catch {
      return report(.turnedAway(nil, reason: error.description))
    }
    if let refusal = refusal(of: credentials) {
      connection.send(.error(refusal))
      connection.close()
      return report(.turnedAway(credentials, reason: refusal.reason))
    }
    let peer = Peer(connection, credentials: credentials, hub: self)
    peers[ObjectIdentifier(peer)] = peer
  }

  private func refusal(of credentials: UnixSocket.PeerCredentials?) -> Refusal? {
    let isKnown = credentials.map { peer in configuration.applications.values.contains { $0.user == peer.uid } }
    if isKnown != true && !configuration.admits(credentials) {
      return Refusal(.notPermitted, reason: "user \(credentials.map { "\($0.uid)" } ?? "unknown") is not admitted")
    }
    if peers.count >= configuration.maximumConnections { return Refusal(.limit, reason: "too many connections") }
    return nil
  }

  func remove(_ peer: Peer, reason: String) {
    guard peers.removeValue(forKey: ObjectIdentifier(peer)) != nil else { return }
    if let consumer = peer.session as? ConsumerSession, displays[consumer.name] === consumer {
      displays[consumer.name] = nil
    }
    report(.left(peer.session?.hello, peer.credentials, reason: reason))
  }

  // MARK: Sessions

  /// Lets a peer in under its name.
  func session(for hello: Hello, of peer: Peer) throws(Refusal) -> any Session {
    if let refusal = identityRefusal(of: hello, peer.credentials) { throw refusal }
    let session: any Session
    switch hello.role {
    case .producer: session = try producer(hello, peer)
    case .consumer: session = try consumer(hello, peer)
    case .control: session = ControlSession(hello, peer: peer, hub: self)
    case .application: session = try application(hello, peer)
    case .guest: session = try guest(hello, peer)
    case .viewer: session = try viewer(hello, peer)
    }
    report(.joined(hello, peer.credentials))
    return session
  }

  private func producer(_ hello: Hello, _ peer: Peer) throws(Refusal) -> ProducerSession {
    if let former = machines[hello.name]?.producer?.peer { try replace(former, hello) }
    let vm = try machine(hello.name)
    let endpoint = PartyEndpoint(Party(.vm, hello.name), peer: peer, hub: self)
    endpoints.add(endpoint)
    let session = ProducerSession(hello, vm: vm, endpoint: endpoint, hub: self)
    vm.producer = session
    scheduleLayout()
    return session
  }

  private func consumer(_ hello: Hello, _ peer: Peer) throws(Refusal) -> ConsumerSession {
    if let former = displays[hello.name]?.peer { try replace(former, hello) }
    let session = ConsumerSession(hello, peer: peer, hub: self)
    displays[hello.name] = session
    return session
  }

  private func application(_ hello: Hello, _ peer: Peer) throws(Refusal) -> ApplicationSession {
    let party = Party(.application, hello.name)
    if let former = endpoints[party].first?.peer { try replace(former, hello) }
    let endpoint = PartyEndpoint(party, peer: peer, hub: self)
    endpoints.add(endpoint)
    return ApplicationSession(hello, endpoint: endpoint)
  }

  private func replace(_ former: Peer, _ hello: Hello) throws(Refusal) {
    guard former.isHungUp else {
      throw Refusal(
        .nameInUse, reason: "\(hello.role) \(hello.name) is connected (process \(former.processID))")
    }
    former.end("closed by the peer")
  }

  var clients: [ClientRecord] {
    peers.values.compactMap { peer in
      guard let hello = peer.session?.hello else { return nil }
      return ClientRecord(
        name: hello.name, role: hello.role, processID: peer.processID, userID: peer.credentials?.uid ?? .max,
        messagesReceived: peer.connection.messagesReceived, messagesSent: peer.connection.messagesSent)
    }
  }

  // MARK: VMs

  private func machine(_ name: PeerName) throws(Refusal) -> VirtualMachine {
    if let vm = machines[name] { return vm }
    if machines.count >= configuration.maximumVMs { forgetOldest() }
    guard machines.count < configuration.maximumVMs else {
      throw Refusal(.limit, reason: "more than \(configuration.maximumVMs) VMs")
    }
    let vm = VirtualMachine(name: name)
    machines[name] = vm
    return vm
  }

  /// A display shows a layer of this VM from before this hub: the VM is expected back.
  func recall(_ layer: LayerRecall) {
    guard isInGrace, configuration.layout == nil, let vm = try? machine(layer.vm), vm.isAbsent else { return }
    vm.scanout(layer.scanout).isAnnounced = true
    scheduleLayout()
  }

  /// A producer has left: its VM is remembered for a while.
  func vmLeft() {
    scheduleLayout()
    armRetention()
  }

  private func armRetention() {
    guard retentionTimer == nil else { return }
    retentionTimer = loop.schedule(after: configuration.goneRetention) { [weak self] in self?.forgetGone() }
  }

  private func forgetGone() {
    retentionTimer = nil
    let limit = MonotonicTime.now
    var isAnyLeft = false
    for (vm, since) in forgettable {
      if since + configuration.goneRetention <= limit { forget(vm) } else { isAnyLeft = true }
    }
    if isAnyLeft { armRetention() }
  }

  private func forgetOldest() {
    if let oldest = forgettable.min(by: { $0.since < $1.since }) { forget(oldest.vm) }
  }

  private var forgettable: [(vm: VirtualMachine, since: MonotonicTime)] {
    machines.values.compactMap { vm in
      guard case .gone(let since) = vm.presence, !isPlaced(vm.name) else { return nil }
      return (vm, since)
    }
  }

  private func isPlaced(_ name: PeerName) -> Bool {
    configuration.layout?.placements.contains { $0.vm == name } ?? false
  }

  private func forget(_ vm: VirtualMachine) {
    machines[vm.name] = nil
    report(.forgotten(vm.name))
    scheduleLayout()
  }

  private func endGrace() {
    isInGrace = false
    for vm in machines.values where vm.presence == .expected && !isPlaced(vm.name) { vm.producerLeft() }
    for display in displays.values { display.graceEnded() }
    for viewer in viewers { viewer.consumer.graceEnded() }
    armRetention()
  }

  // MARK: Buffers

  /// A buffer's owner has taken it back: who holds it is told.
  func retire(_ entry: BufferEntry, isOrphan: Bool) {
    shared.remove(entry)
    removeGrants(for: entry)
    for lease in entry.sharing.leases { lease.holder.noteRetired(lease) }
    registry.retire(entry, isOrphan: isOrphan)
    for display in displays.values { display.noteRetired(entry) }
    for viewer in viewers { viewer.consumer.noteRetired(entry) }
  }

  /// Whether a display may be handed VMs' memory.
  func isTrusted(_ display: PeerName) -> Bool {
    let known = configuration.layout?.displays.first { $0.name == display }
    return known?.seesGuestMemory ?? configuration.guestMemoryReaders.includes(display)
  }

  /// The number of one more producer's memory files.
  func nextMemorySpace() -> MemorySpace {
    lastMemorySpace += 1
    return MemorySpace(rawValue: lastMemorySpace)
  }

  /// A producer has taken a memory file back or left: whoever has it is told to let go.
  func remove(_ memory: MemoryEntry) {
    for display in displays.values { display.noteRemoved(memory) }
  }

  // MARK: Turns

  /// Something about the peer is to be told at the end of this turn.
  func schedule(_ peer: Peer) {
    guard !peer.isScheduled else { return }
    peer.isScheduled = true
    scheduled.append(peer)
    scheduleTurn()
  }

  /// The layout is to be made anew at the end of this turn.
  func scheduleLayout() {
    needsLayout = true
    scheduleTurn()
  }

  private func scheduleTurn() {
    guard !isTurnScheduled else { return }
    isTurnScheduled = true
    loop.afterEvents(turn)
  }

  private func endTurn() {
    isTurnScheduled = false
    if needsLayout {
      needsLayout = false
      arrangeLayers()
    }
    var index = 0
    while index < scheduled.count {
      let peer = scheduled[index]
      peer.isScheduled = false
      peer.pump()
      index += 1
    }
    scheduled.removeAll(keepingCapacity: true)
  }

  // MARK: Layout

  /// Replaces the layout while everything runs; nil goes over to the automatic one.
  public func setLayout(_ layout: Layout?) {
    configuration.layout = layout
    for display in displays.values { display.trustChanged() }
    for vm in machines.values where vm.presence == .expected && !isInGrace && !isPlaced(vm.name) { forget(vm) }
    expectLayout()
    scheduleLayout()
  }

  private func expectLayout() {
    for placement in configuration.layout?.placements ?? [] {
      guard placement.scanout.isValid else { continue }
      _ = (try? machine(placement.vm))?.scanout(placement.scanout)
    }
  }

  private func arrangeLayers() {
    askForModes()
    for display in displays.values {
      guard let size = display.display?.size else { continue }
      display.arrange(layers(on: Layout.Display(name: display.name, size: size)))
    }
    for viewer in viewers { viewer.arrange() }
    for vm in machines.values { vm.producer?.introduce(to: displays.values) }
  }

  // MARK: Links

  /// A new link, its ends to be handed over; nil when the system has no descriptor left: flushes pass the hub then.
  func makeLink(to consumer: ConsumerSession) -> Introduction? {
    lastLink += 1
    return try? Introduction(LinkID(rawValue: lastLink), consumer)
  }

  /// Hands a consumer its ends of new links; false when its socket is full.
  func tellLinks(to consumer: ConsumerSession) -> Bool {
    for vm in machines.values {
      guard vm.producer?.tellLinks(to: consumer) ?? true else { return false }
    }
    return true
  }

  /// A consumer has left.
  func forgetLinks(to consumer: ConsumerSession) {
    for vm in machines.values { vm.producer?.forgetLinks(to: consumer) }
  }

  private func layers(on display: Layout.Display) -> [(LayerDescription, VirtualMachine)] {
    let placements = configuration.layout?.placements.filter { $0.display == display.name }
    var seen: [PeerName: [ScanoutIndex: Int]] = [:]
    return (placements ?? Layout.row(of: cells, on: display)).prefix(configuration.maximumLayers).compactMap { place in
      guard place.scanout.isValid, let vm = machines[place.vm] else { return nil }
      let ordinal = seen[place.vm, default: [:]][place.scanout, default: 0]
      seen[place.vm, default: [:]][place.scanout] = ordinal + 1
      let id = LayerID(vm: place.vm, scanout: place.scanout, display: display.name, ordinal: ordinal)
      let layer = LayerDescription(
        id: id, vm: place.vm, scanout: place.scanout, area: place.area, z: place.z, scaleMode: place.scaleMode,
        opacity: place.opacity)
      return (layer, vm)
    }
  }

  /// What the automatic layout shows: every scanout of every VM, by name.
  private var cells: [(vm: PeerName, scanout: ScanoutIndex)] {
    machines.keys.sorted().flatMap { name -> [(vm: PeerName, scanout: ScanoutIndex)] in
      let announced = machines[name]?.announced ?? []
      return (announced.isEmpty ? [ScanoutIndex(0)] : announced).map { (name, $0) }
    }
  }

  private func askForModes() {
    for vm in machines.values {
      for scanout in vm.scanouts { scanout.wantedMode = nil }
      if let producer = vm.producer { schedule(producer.peer) }
    }
    for place in configuration.layout?.placements.reversed() ?? [] {
      guard let mode = place.mode, let scanout = machines[place.vm]?.existing(place.scanout) else { continue }
      scanout.wantedMode = mode
    }
  }
}
