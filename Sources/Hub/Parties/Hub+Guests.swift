import Buffers
import HubProtocol
import Platform

// Programs in guests (protocol.md sections 13 and 14): they reach the hub through their VM's graphics card.
extension Hub {
  /// The most programs of one VM at a time.
  static let maximumGuestPrograms = 32

  /// Lets a guest's program in: nobody but the process that is the VM's producer speaks for the VM.
  func guest(_ hello: Hello, _ peer: Peer) throws(Refusal) -> ApplicationSession {
    let producer = try card(of: hello.name, peer)
    guard producer.guests.count < Self.maximumGuestPrograms else {
      throw Refusal(.limit, reason: "more than \(Self.maximumGuestPrograms) programs of VM \(hello.name)")
    }
    let endpoint = PartyEndpoint(producer.endpoint.party, isGuest: true, peer: peer, hub: self)
    endpoints.add(endpoint)
    let session = ApplicationSession(hello, endpoint: endpoint) { [weak producer] session in
      producer?.guests.removeAll { $0 === session }
    }
    producer.guests.append(session)
    return session
  }

  private func card(of vm: PeerName, _ peer: Peer) throws(Refusal) -> ProducerSession {
    guard let producer = machines[vm]?.producer, producer.peer.isSameProcess(as: peer) else {
      throw Refusal(.notPermitted, reason: "only the graphics card of VM \(vm) speaks for its guest")
    }
    return producer
  }

  // MARK: Screens

  /// Lets a guest see what a screen of another VM shows, if that is granted.
  func viewer(_ hello: Hello, _ peer: Peer) throws(Refusal) -> ViewerSession {
    let producer = try card(of: hello.name, peer)
    guard producer.viewers.count < Self.maximumGuestPrograms else {
      throw Refusal(.limit, reason: "more than \(Self.maximumGuestPrograms) views of VM \(hello.name)")
    }
    let session = ViewerSession(hello, peer: peer, hub: self)
    producer.viewers.append(session)
    viewers.append(session)
    return session
  }

  /// How long the owner of a screen goes on as if somebody looked.
  static let viewerHold = Duration.seconds(1)

  func forget(_ viewer: ViewerSession) {
    if let screen = viewer.screen, let vm = machines[screen.vm], let scanout = vm.existing(screen.scanout),
      scanout.hold(until: .now + Self.viewerHold)
    {
      endHold(of: scanout, of: vm, at: .now + Self.viewerHold)
    }
    viewers.removeAll { $0 === viewer }
    machines[viewer.hello.name]?.producer?.viewers.removeAll { $0 === viewer }
  }

  private func endHold(of scanout: Scanout, of vm: VirtualMachine, at end: MonotonicTime) {
    loop.schedule(at: end) { [weak self] in
      guard let self else { return }
      if let next = scanout.endHold() { return endHold(of: scanout, of: vm, at: next) }
      if let producer = vm.producer { schedule(producer.peer) }
    }
  }

  /// Whether a party may see a screen, and it is there.
  func isVisible(_ screen: ScreenKey, to party: Party) -> Bool {
    guard grants.opens(screen.scanout, of: Party(.vm, screen.vm), to: party),
      let scanout = machines[screen.vm]?.existing(screen.scanout)
    else { return false }
    return scanout.isAnnounced && !scanout.mode.isEmpty
  }

  /// Answers SCREENS: those that a party may see and that are there, a packet of them.
  func listScreens(from cursor: UInt64, _ serial: UInt64, to peer: Peer, as party: Party) throws(Refusal) {
    try peer.beginPage()
    let wanted = grants.all.compactMap { grant in
      grant.id.rawValue > cursor && grant.grantee == party ? info(of: grant).map { (grant.id, $0) } : nil
    }
    let page = wanted.prefix(Wire.maximumPacketByteCount / 128)
    for (_, info) in page { _ = peer.send(.application(.screenInfo(info)), serial: serial) }
    let next = page.count < wanted.count ? page.last?.0.rawValue ?? 0 : 0
    _ = peer.send(.application(.queryEnd(count: UInt32(page.count), next: next)), serial: serial)
  }

  private func info(of grant: GrantRecord) -> ScreenInfo? {
    guard case .scanout(let index) = grant.object, let vm = machines[grant.owner.name] else { return nil }
    let screen = ScreenKey(vm: vm.name, scanout: index)
    guard isVisible(screen, to: grant.grantee), let scanout = vm.existing(index) else { return nil }
    let absence: AbsenceReason? =
      vm.isAbsent ? .gone : !vm.isConnected ? .offline : scanout.content == nil ? .off : nil
    return ScreenInfo(screen, absence: absence, size: scanout.content?.source.size ?? scanout.mode)
  }

  /// A grant has gone: who saw a screen by it sees it no more.
  func endViewers(by grant: GrantRecord) {
    guard case .scanout(let scanout) = grant.object else { return }
    let screen = ScreenKey(vm: grant.owner.name, scanout: scanout)
    for viewer in viewers where viewer.party == grant.grantee && viewer.screen == screen {
      viewer.peer.fail(Refusal(.revoked, reason: "the right to see the screen was revoked"))
    }
  }
}
